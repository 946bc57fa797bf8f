"""What all readers share: names, options, and what they say where the owner's files are not there."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.base.errors import InputError
from bench.data import cards, formats
from bench.data.formats import Sample
from tests import trees


def read(name: str, source: Path | None, split: str = "train") -> list[Sample]:
    card = trees.card(name)
    found = formats.reader(card.format)(card, split, source)
    return [sample for sample in found if isinstance(sample, Sample)]


def test_every_card_that_needs_its_owners_files_has_a_tree_here():
    assert set(cards.names()) - {"demo"} == set(trees.MAKE)


def test_the_files_are_the_formats():
    assert formats.names() == [
        "coco-json", "digit-scenes", "list-files", "nuswide-lists", "voc-xml", "wider-json"
    ]  # fmt: skip


def test_an_unknown_format_lists_the_formats():
    with pytest.raises(InputError, match="unknown format 'tfrecord'; choose from: coco-json, .*wider-json"):
        formats.reader("tfrecord")


@pytest.mark.parametrize("name", trees.MAKE)
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_image_read_from_an_official_tree_is_a_file_with_a_label_for_each_name(
    tmp_path: Path, name: str, split: str
):
    samples = read(name, trees.MAKE[name](tmp_path), split)
    assert samples
    for sample in samples:
        assert isinstance(sample.image, Path)
        assert sample.image.is_file()
        assert sample.labels_C.dtype == "int8"
        assert sample.labels_C.shape == (len(cards.load_card(name).labels),)


@pytest.mark.parametrize("name", trees.MAKE)
def test_without_a_source_one_message_says_what_to_get_from_whom_and_where_to_put_it(name: str):
    card = cards.load_card(name)
    with pytest.raises(InputError) as caught:
        read(name, None)
    message = str(caught.value)
    assert message.startswith(f"the files of {card.title} are needed; {card.obtain}; then give that folder: ")
    assert "--source DIR" in message
    assert "http" in message
    assert "\n" not in message
    assert message.endswith("--download") is bool(card.archives and not card.not_offered)


def test_a_source_that_is_no_folder_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"nowhere is not a folder; get train2014.zip, .*--source DIR"):
        read("coco", tmp_path / "nowhere")


def test_a_card_of_ones_own_without_advice_names_its_source():
    mine = replace(cards.load_card("coco"), obtain="", archives=(), source="the attic")
    with pytest.raises(
        InputError, match="are needed; get them from the attic; then give that folder: --source"
    ):
        next(formats.reader("coco-json")(mine, "train", None))


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("coco", "has no annotations/instances_train2014.json; get "),
        ("nuswide", "has no ImageList/TrainImagelist.txt; ask "),
        (
            "wider",
            "has no Anno/wider_attribute_trainval.json and no Annotations/wider_attribute_trainval.json and ",
        ),
        ("voc2007", "has no VOCdevkit/VOC2007/ImageSets and no VOC2007/ImageSets and no ./ImageSets; get "),
    ],
)
def test_an_empty_folder_is_answered_with_what_it_should_hold(tmp_path: Path, name: str, missing: str):
    with pytest.raises(InputError) as caught:
        read(name, tmp_path)
    assert f"{tmp_path} {missing}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "coco",
            {"unlabeled": "kept"},
            "coco.toml: unknown key 'options.unlabeled'; choose from: train_json, ",
        ),
        (
            "coco",
            {"unlabelled": "no"},
            "coco.toml: unknown options.unlabelled 'no'; choose from: kept, dropped",
        ),
        ("coco", {"train_json": 3}, "coco.toml: options.train_json must be text, not 3"),
        ("nuswide", {"keep": "some"}, "unknown options.keep 'some'; choose from: labelled-and-present, all"),
        ("voc2007", {"difficult": "yes"}, "choose from: unspecified, positive-in-training"),
        ("wider", {"keep": "all"}, "wider.toml: format wider-json has no options; remove [options]"),
    ],
)
def test_an_option_that_does_not_belong_is_named_with_the_choices(
    name: str, options: dict[str, Any], message: str
):
    card = trees.with_options(cards.load_card(name), **options)
    with pytest.raises(InputError) as caught:
        next(formats.reader(card.format)(card, "train", None))
    assert message in str(caught.value)


def test_an_option_that_is_missing_is_named():
    card = replace(cards.load_card("voc2007"), options={})
    with pytest.raises(InputError, match=r"voc2007.toml: missing: options.folder"):
        next(formats.reader(card.format)(card, "train", None))
