"""The reader coco-json, on a tree in MS-COCO's layout and on data of one's own."""

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
def test_an_image_has_the_labels_of_all_its_objects_crowds_too_in_the_files_order(tmp_path: Path, split: str):
    found = trees.positives(CARD, coco_json.read(CARD, split, trees.coco(tmp_path)))
    assert found == dict(trees.COCO[split])
    assert list(found) == list(trees.COCO[split])


def test_ids_with_holes_take_the_place_of_their_name(tmp_path: Path):
    """The toothbrush is category 90 of 80."""
    samples = list(coco_json.read(CARD, "train", trees.coco(tmp_path)))
    assert isinstance(samples[1], Sample)
    assert samples[1].labels_C.nonzero()[0].tolist() == [0, 45, 79]


def test_images_without_any_object_are_left_out_if_the_card_drops_them(tmp_path: Path):
    mine = trees.with_options(CARD, unlabelled="dropped")
    samples = list(coco_json.read(mine, "train", trees.coco(tmp_path)))
    assert trees.left_out(samples) == {"COCO_train2014_000000000081.jpg": NO_LABEL}
    assert len(trees.positives(mine, samples)) == 3


def test_a_missing_image_is_left_to_the_preparation(tmp_path: Path):
    name = "COCO_train2014_000000000009.jpg"
    (trees.coco(tmp_path) / "train2014" / name).unlink()
    assert name in trees.positives(CARD, coco_json.read(CARD, "train", tmp_path))


def test_a_card_of_ones_own_reads_its_own_files(tmp_path: Path):
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


def spoil(path: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def refused(
    reader: Callable[..., Iterable[object]], root: Path, change: Callable[[Any], object], message: str
) -> None:
    """Hold the reader to naming the file, and in it the place that the change spoils."""
    path = trees.coco(root) / TRAIN
    spoil(path, change)
    with pytest.raises(InputError) as caught:
        list(reader(CARD, "train", root))
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.pop("images"), "has no list 'images'; an object with 'images' is expected"),
        (lambda file: file.update(annotations={}), "has no list 'annotations'"),
        (lambda file: file["images"][1].pop("file_name"), "images[1] has no 'file_name' that is text"),
        (lambda file: file["images"].append("x.jpg"), "images[4] has no 'id' that is a whole number"),
        (lambda file: file["images"][0].update(id="25"), "images[0] has no 'id' that is a whole number"),
        (lambda file: file["images"][0].update(id=9), "two images have the id 9"),
        (
            lambda file: file["annotations"][2].update(category_id=91),
            "annotations[2] has the unknown category 91",
        ),
        (
            lambda file: file["annotations"][0].update(image_id=1),
            "annotations[0] is of image 1, which is not in",
        ),
        (
            lambda file: file["images"][1].update(file_name="a\0b.jpg"),
            r"images[1] has the file_name 'a\x00b.jpg'; no file has such a name",
        ),
        (
            lambda file: file["images"][1].update(file_name="\ud800.jpg"),
            r"images[1] has the file_name '\ud800.jpg'; no file has such a name",
        ),
        (lambda file: file["annotations"][0].pop("category_id"), "annotations[0] has no 'category_id'"),
        (
            lambda file: file["categories"].pop(),
            "categories by id: label 1 is 'bicycle', in coco.toml 'person'",
        ),
        (
            lambda file: file["categories"].pop(0),
            "label 80 is '(none)', in coco.toml 'toothbrush'; order counts",
        ),
        (
            lambda file: file["categories"].append({"id": 91, "name": "hair brush"}),
            "label 81 is 'hair brush', in coco.toml '(none)'",
        ),
    ],
)
def test_a_file_of_another_schema_is_refused_by_place(
    tmp_path: Path, change: Callable[[Any], object], message: str
):
    refused(coco_json.read, tmp_path, change, message)


@pytest.mark.parametrize("text", ["", "{", "\x93NUMPY", "[" * 100_000])
def test_a_file_that_is_not_json_is_refused_by_name(tmp_path: Path, text: str):
    path = trees.coco(tmp_path) / TRAIN
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"instances_train2014.json is not JSON: "):
        list(coco_json.read(CARD, "train", tmp_path))


def test_json_that_is_no_object_is_refused(tmp_path: Path):
    (trees.coco(tmp_path) / TRAIN).write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match=r"instances_train2014.json has no list 'images'"):
        list(coco_json.read(CARD, "train", tmp_path))


def test_boxes_are_shares_of_the_image_and_those_of_crowds_count(tmp_path: Path):
    path = trees.coco(tmp_path) / TRAIN
    content = json.loads(path.read_text(encoding="utf-8"))
    for image in content["images"]:
        image |= {"width": 200, "height": 100}
    for note in content["annotations"]:
        note["bbox"] = [20, 10, 100, 50]
    path.write_text(json.dumps(content), encoding="utf-8")
    found = dict(coco_json.boxes(CARD, "train", tmp_path))
    assert list(found) == list(trees.COCO["train"])
    for name, labels in trees.COCO["train"].items():
        assert {CARD.labels[box.label] for box in found[name]} == set(labels)
    giraffe, _ = found["COCO_train2014_000000000025.jpg"]
    assert giraffe == Box(CARD.labels.index("giraffe"), 0.1, 0.1, 0.5, 0.5)


def test_annotations_without_boxes_are_named(tmp_path: Path):
    source = trees.coco(tmp_path)
    content = json.loads((source / TRAIN).read_text(encoding="utf-8"))
    for note in content["annotations"]:
        note.pop("bbox", None)
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
            "images[1] is 0 x 30 pixels, which no image has",
        ),
        (
            lambda file: file["images"][1].update(height=10**400),
            "0 pixels, which no image has",
        ),
    ],
)
def test_a_box_that_is_none_is_refused_by_place(
    tmp_path: Path, change: Callable[[Any], object], message: str
):
    refused(coco_json.boxes, tmp_path, change, message)
