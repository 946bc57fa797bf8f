"""The reader wider-json: one sample per person, with the original box."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.base.errors import InputError
from bench.data.cards import Card
from bench.data.formats import wider_json
from tests import trees

CARD: Card = trees.card("wider")
PARADE = "train/0--Parade/0_Parade_a.jpg"


@pytest.mark.parametrize("annotations", ["Anno", "Annotations", "."])
def test_training_persons_come_from_train_and_val_in_the_order_of_the_file(tmp_path: Path, annotations: str):
    samples = list(wider_json.read(CARD, "train", trees.wider(tmp_path, annotations=annotations)))
    assert trees.positives(CARD, samples) == {
        f"{PARADE}#0": ("Male", "Hat"),
        f"{PARADE}#1": (),
        "val/1--Handshaking/1_Handshaking_b.jpg#0": ("formal",),
    }
    assert [sample.group for sample in samples] == [PARADE, PARADE, "val/1--Handshaking/1_Handshaking_b.jpg"]


def test_labels_are_one_minus_one_and_zero_where_unspecified(tmp_path: Path):
    first, second, third = wider_json.read(CARD, "train", trees.wider(tmp_path))
    assert first.labels_C.tolist() == [1, -1, -1, 1, -1, -1, -1, -1, -1, -1, -1, -1, 0, -1]
    assert set(second.labels_C.tolist()) == {-1}
    assert [CARD.labels[column] for column in (third.labels_C == 0).nonzero()[0]] == ["jeans", "stripe"]


def test_boxes_are_the_original_ones_even_if_they_extend_beyond_the_image(tmp_path: Path):
    boxes = [sample.box for sample in wider_json.read(CARD, "train", trees.wider(tmp_path))]
    assert boxes == [(2, 3, 10, 20), (30, 20, 25, 25), (-4.5, -2, 20, 25)]


def test_test_persons_come_from_their_own_file(tmp_path: Path):
    (sample,) = wider_json.read(CARD, "test", trees.wider(tmp_path))
    assert sample.id == "test/0--Parade/0_Parade_c.jpg#0"
    assert sample.image == tmp_path / "Image" / "test" / "0--Parade" / "0_Parade_c.jpg"


def first_person(file: Any) -> Any:
    return file["images"][0]["targets"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.pop("images"), "has no list 'images'"),
        (lambda file: file["images"][0].pop("targets"), "images[0] has no 'targets' that is a list"),
        (
            lambda file: file.pop("attribute_id_map"),
            "has no object 'attribute_id_map'; it must map numbers to names",
        ),
        (
            lambda file: file["attribute_id_map"].update({"3": "hat"}),
            "attribute_id_map: label 4 is 'hat', but 'Hat' in wider.toml; names and order",
        ),
        (
            lambda file: file["images"][0].update(file_name="test/x.jpg"),
            "test/x.jpg is not in the folder train or val",
        ),
        (
            lambda file: first_person(file)["attribute"].pop(),
            f"person 0 of {PARADE}: 'attribute' must be a list of 14 values, each 1, 0 or -1",
        ),
        (
            lambda file: first_person(file)["attribute"].__setitem__(3, 2),
            f"person 0 of {PARADE}: 'attribute' must be a list of 14 values, each 1, 0 or -1",
        ),
        (
            lambda file: file["images"][0].update(targets=["a person"]),
            f"person 0 of {PARADE}: 'attribute' must be a list of 14 values",
        ),
        (
            lambda file: first_person(file).update(bbox=[1, 2, 3]),
            f"person 0 of {PARADE}: bbox must be four numbers: left, top, width, height",
        ),
        (
            lambda file: first_person(file).update(bbox=[1, 2, float("nan"), 4]),
            f"person 0 of {PARADE}: bbox must be four numbers",
        ),
        (
            lambda file: first_person(file).update(bbox=[1e308, 1, 1e308, 1e308]),
            f"person 0 of {PARADE}: bbox must be four numbers",
        ),
        (
            lambda file: first_person(file).update(bbox=[10**400, 1, 2, 3]),
            f"person 0 of {PARADE}: bbox must be four numbers",
        ),
        (
            lambda file: first_person(file).pop("bbox"),
            f"person 0 of {PARADE}: bbox must be four numbers",
        ),
        (
            lambda file: file["images"][0].update(file_name="train/\0.jpg"),
            r"images[0] has the file_name 'train/\x00.jpg', which cannot be a file name",
        ),
    ],
)
def test_a_file_of_another_schema_is_refused_with_the_person(
    tmp_path: Path, change: Callable[[Any], object], message: str
):
    path = trees.wider(tmp_path) / "Anno" / "wider_attribute_trainval.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        list(wider_json.read(CARD, "train", tmp_path))
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_attributes_of_0_without_any_minus_1_are_refused(tmp_path: Path):
    """0 means unspecified: with 0 for negatives nothing would be negative, and any prediction had mAP 100."""
    root = trees.wider(tmp_path / "source")
    path = next(root.rglob("*trainval.json"))
    content = json.loads(path.read_text(encoding="utf-8"))
    for image in content["images"]:
        for person in image["targets"]:
            person["attribute"] = [max(value, 0) for value in person["attribute"]]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match="attributes are 1 and 0, none is -1; .*: write -1 for attributes"):
        list(wider_json.read(CARD, "train", root))
