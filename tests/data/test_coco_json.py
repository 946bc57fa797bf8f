"""The reader coco-json, on a tree in MS-COCO's layout and on a user's own data."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from bench.base.errors import InputError
from bench.data import cards
from bench.data.formats import NO_LABEL, Box, Sample, coco_json
from tests import trees

CARD = trees.card("coco")
TRAIN = "annotations/instances_train2014.json"


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_image_has_the_labels_of_all_its_annotations_crowds_too(tmp_path: Path, split: str):
    found = trees.positives(CARD, coco_json.read(CARD, split, trees.coco(tmp_path)))
    assert found == dict(trees.COCO[split])
    assert list(found) == list(trees.COCO[split])


def test_category_ids_with_gaps_get_the_column_of_their_name(tmp_path: Path):
    """The toothbrush has the id 90, although there are 80 categories."""
    samples = list(coco_json.read(CARD, "train", trees.coco(tmp_path)))
    assert isinstance(samples[1], Sample)
    assert samples[1].labels_C.nonzero()[0].tolist() == [0, 45, 79]


def test_images_without_annotations_are_left_out_if_the_card_drops_them(tmp_path: Path):
    mine = trees.with_options(CARD, unlabelled="dropped")
    samples = list(coco_json.read(mine, "train", trees.coco(tmp_path)))
    assert trees.left_out(samples) == {"COCO_train2014_000000000081.jpg": NO_LABEL}
    assert len(trees.positives(mine, samples)) == 3


def test_the_reader_does_not_check_that_an_image_exists(tmp_path: Path):
    name = "COCO_train2014_000000000009.jpg"
    (trees.coco(tmp_path) / "train2014" / name).unlink()
    assert name in trees.positives(CARD, coco_json.read(CARD, "train", tmp_path))


def test_a_users_own_card_reads_its_own_files(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text(
        """
        title = "Pets"
        summary = "two pets"
        format = "coco-json"
        labels = ["cat", "dog"]
        source = "here"
        licence = "none"
        train = {images = 1}
        test = {images = 1}
        [options]
        train_json = "train.json"
        train_images = "pictures"
        test_json = "test.json"
        test_images = "pictures"
        """,
        encoding="utf-8",
    )
    content = {
        "images": [{"id": 7, "file_name": "sub/x.png"}],
        "categories": [{"id": 5, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": [{"image_id": 7, "category_id": 5}],
    }
    trees.write(tmp_path / "test.json", [json.dumps(content)])
    (tmp_path / "pictures").mkdir()
    (sample,) = coco_json.read(cards.read(path), "test", tmp_path)
    assert isinstance(sample, Sample)
    assert (sample.id, sample.image) == ("sub/x.png", tmp_path / "pictures" / "sub" / "x.png")
    assert sample.labels_C.tolist() == [0, 1]


def pets(root: Path, categories: list[tuple[int, str]], used: tuple[int, ...], /, **options: Any) -> Any:
    """The labels of an image of two pets, of an export with these categories."""
    mine = trees.card("coco", labels=("cat", "dog"), options={**CARD.options, **options})
    content = {
        "images": [{"id": 7, "file_name": "sub\\x.png"}],
        "categories": [{"id": number, "name": name} for number, name in categories],
        "annotations": [{"image_id": 7, "category_id": number} for number in used],
    }
    trees.write(root / TRAIN, [json.dumps(content)])
    (root / "train2014").mkdir(exist_ok=True)
    (sample,) = coco_json.read(mine, "train", root)
    assert isinstance(sample, Sample)
    assert (sample.id, sample.image) == ("sub/x.png", root / "train2014" / "sub" / "x.png")
    return sample.labels_C.tolist()


BY_NAME: dict[str, Any] = {"categories": "by-name"}


@pytest.mark.parametrize(
    ("categories", "used", "options", "labels"),
    [
        ([(0, "pets"), (1, "cat"), (2, "dog")], (2,), BY_NAME, [0, 1]),  # Roboflow's supercategory
        ([(1, "dog"), (2, "cat")], (1,), BY_NAME, [0, 1]),
        ([(1, "Cats"), (2, "dog")], (1,), {"renamed": {"Cats": "cat"}}, [1, 0]),
        (
            [(1, "Cats"), (2, "tom"), (3, "dog")],
            (2,),
            {**BY_NAME, "renamed": {"Cats": "cat", "tom": "cat"}},
            [1, 0],
        ),
        ([(1, "cat"), (2, "cow"), (3, "dog")], (2, 3), {"renamed": {"cow": ""}}, [0, 1]),
    ],
)
def test_a_card_may_match_categories_by_name_rename_and_drop_them(
    tmp_path: Path,
    categories: list[tuple[int, str]],
    used: tuple[int, ...],
    options: dict[str, Any],
    labels: list[int],
):
    assert pets(tmp_path, categories, used, **options) == labels


@pytest.mark.parametrize(
    ("categories", "used", "options", "message"),
    [
        ([(0, "pets"), (1, "cat"), (2, "dog")], (), {}, 'label 1 is .pets.*say: categories = "by-name"'),
        ([(0, "pets"), (1, "cat"), (2, "dog")], (0,), BY_NAME, "that are no labels in coco.toml: pets; give"),
        ([(1, "cat"), (2, "Dog")], (1,), BY_NAME, "labels of coco.toml that are no category: dog; if they"),
        ([(1, "cat"), (1, "dog")], (1,), {}, "two categories have the id 1"),
    ],
)
def test_categories_that_are_no_labels_are_refused_with_a_way_on(
    tmp_path: Path,
    categories: list[tuple[int, str]],
    used: tuple[int, ...],
    options: dict[str, Any],
    message: str,
):
    with pytest.raises(InputError, match=message):
        pets(tmp_path, categories, used, **options)


def damage(path: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def refused(
    reader: Callable[..., Iterable[object]], root: Path, change: Callable[[Any], object], message: str
) -> None:
    """Assert that the reader names the file and the wrong place in it."""
    path = trees.coco(root) / TRAIN
    damage(path, change)
    with pytest.raises(InputError) as caught:
        list(reader(CARD, "train", root))
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.pop("images"), "has no list 'images'; it must be an object with a list 'images'"),
        (lambda file: file.update(annotations={}), "has no list 'annotations'"),
        (lambda file: file["images"][1].pop("file_name"), "images[1] has no 'file_name' that is text"),
        (lambda file: file["images"].append("x.jpg"), "images[4] has no 'id' that is a whole number"),
        (lambda file: file["images"][0].update(id="25"), "images[0] has no 'id' that is a whole number"),
        (lambda file: file["images"][0].update(id=9), "two images have the id 9"),
        (
            lambda file: file["annotations"][2].update(category_id=91),
            "annotations[2] has the category_id 91, which is not in 'categories'",
        ),
        (
            lambda file: file["annotations"][0].update(image_id=1),
            "annotations[0] has the image_id 1, which is not in 'images'",
        ),
        (
            lambda file: file["images"][1].update(file_name="a\0b.jpg"),
            r"images[1] has the file_name 'a\x00b.jpg', which cannot be a file name",
        ),
        (
            lambda file: file["images"][1].update(file_name="\ud800.jpg"),
            r"images[1] has the file_name '\ud800.jpg', which cannot be a file name",
        ),
        (lambda file: file["annotations"][0].pop("category_id"), "annotations[0] has no 'category_id'"),
        (
            lambda file: file["categories"].pop(),
            "categories by id: label 1 is 'bicycle', but 'person' in coco.toml",
        ),
        (
            lambda file: file["categories"].pop(0),
            "label 80 is '(none)', but 'toothbrush' in coco.toml; names and order",
        ),
        (
            lambda file: file["categories"].append({"id": 91, "name": "hair brush"}),
            "label 81 is 'hair brush', but '(none)' in coco.toml",
        ),
    ],
)
def test_a_file_of_another_schema_is_refused_with_the_place(
    tmp_path: Path, change: Callable[[Any], object], message: str
):
    refused(coco_json.read, tmp_path, change, message)


@pytest.mark.parametrize("text", ["", "{", "\x93NUMPY", "[" * 100_000])
def test_a_file_that_is_not_json_is_named(tmp_path: Path, text: str):
    path = trees.coco(tmp_path) / TRAIN
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"2014.json(: line 1 is not UTF-8| cannot be read as JSON: )"):
        list(coco_json.read(CARD, "train", tmp_path))


def test_json_that_is_not_an_object_is_refused(tmp_path: Path):
    (trees.coco(tmp_path) / TRAIN).write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match=r"instances_train2014.json has no list 'images'"):
        list(coco_json.read(CARD, "train", tmp_path))


def test_boxes_are_shares_of_the_image_and_include_crowds(tmp_path: Path):
    path = trees.coco(tmp_path) / TRAIN
    content = json.loads(path.read_text(encoding="utf-8"))
    for image in content["images"]:
        image |= {"width": 200, "height": 100}
    for annotation in content["annotations"]:
        annotation["bbox"] = [20, 10, 100, 50]
    path.write_text(json.dumps(content), encoding="utf-8")
    boxes = dict(coco_json.boxes(CARD, "train", tmp_path))
    assert list(boxes) == list(trees.COCO["train"])
    for name, labels in trees.COCO["train"].items():
        assert {CARD.labels[box.label] for box in boxes[name]} == set(labels)
    giraffe, _ = boxes["COCO_train2014_000000000025.jpg"]
    assert giraffe == Box(CARD.labels.index("giraffe"), 0.1, 0.1, 0.5, 0.5)


def test_annotations_without_boxes_are_named(tmp_path: Path):
    source = trees.coco(tmp_path)
    content = json.loads((source / TRAIN).read_text(encoding="utf-8"))
    for annotation in content["annotations"]:
        annotation.pop("bbox", None)
    (source / TRAIN).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=r"annotations\[0\] has no 'bbox' that is a list"):
        next(coco_json.boxes(CARD, "train", source))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda file: file["annotations"][2].update(bbox=[1, 2, 3]),
            "annotations[2]: bbox must be four numbers: left, top, width, height in pixels",
        ),
        (
            lambda file: file["annotations"][2].update(bbox=[1, 2, None, 4]),
            "annotations[2]: bbox must be four numbers",
        ),
        (
            lambda file: file["annotations"][2].update(bbox=None),
            "annotations[2] has no 'bbox' that is a list",
        ),
        (
            lambda file: file["images"][1].update(width=0),
            "images[1] has the impossible size 0 x 30 pixels",
        ),
        (
            lambda file: file["images"][1].update(height=10**400),
            "images[1] has the impossible size 40 x 1000",
        ),
    ],
)
def test_a_wrong_box_is_refused_with_the_place(tmp_path: Path, change: Callable[[Any], object], message: str):
    refused(coco_json.boxes, tmp_path, change, message)
