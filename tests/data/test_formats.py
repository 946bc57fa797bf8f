"""What all readers share: names, options, and messages about missing files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.base.errors import InputError
from bench.data import cards, download, formats
from bench.data.formats import Sample
from tests import trees


def read(name: str, source: Path | None, split: str = "train") -> list[Sample]:
    card = trees.card(name)
    items = formats.reader(card.format)(card, split, source)
    return [sample for sample in items if isinstance(sample, Sample)]


def test_every_card_that_needs_original_files_has_a_test_tree():
    part_of_voc2007 = "voc2007-bus-car-cat-train"  # of the same files
    assert set(cards.names()) - {"demo", part_of_voc2007} == set(trees.MAKE)


def test_the_formats_are_the_files_of_the_package():
    assert formats.names() == [
        "coco-json", "digit-scenes", "hf-datasets", "list-files", "nuswide-lists", "voc-xml", "wider-json"
    ]  # fmt: skip


def test_an_unknown_format_lists_the_formats():
    with pytest.raises(InputError, match="unknown format 'tfrecord'; choose from: coco-json, .*wider-json"):
        formats.reader("tfrecord")


@pytest.mark.parametrize("name", trees.MAKE)
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_sample_of_an_official_tree_has_a_file_and_a_value_for_each_label(
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
def test_without_a_source_a_message_says_how_to_get_the_files(name: str):
    card = cards.load_card(name)
    with pytest.raises(InputError) as caught:
        read(name, None)
    message = str(caught.value)
    assert message.startswith(
        f"the original files of {card.title} are needed; {card.obtain}; then give that folder: "
    )
    assert "--source DIR" in message
    assert "http" in message
    assert "\n" not in message
    assert message.endswith("--download") is bool(card.archives and not card.not_offered)


def test_a_source_that_is_not_a_folder_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"nowhere is not a folder; get train2014.zip, .*--source DIR"):
        read("coco", tmp_path / "nowhere")


def test_a_card_without_instructions_names_its_source():
    mine = replace(cards.load_card("coco"), obtain="", archives=(), source="our own photographs")
    message = (
        "are needed; coco.toml names as their source: our own photographs; give the folder that holds them:"
        " --source DIR"
    )
    with pytest.raises(InputError, match=f"{message}$"):
        next(formats.reader("coco-json")(mine, "train", None))
    with pytest.raises(InputError, match="MS-COCO cannot be downloaded automatically; coco.toml names as"):
        download.fetch(mine, Path("nowhere"))


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
def test_for_an_empty_folder_the_missing_files_are_named(tmp_path: Path, name: str, missing: str):
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
        ("wider", {"keep": "all"}, "wider.toml: unknown key 'options.keep'"),
    ],
)
def test_a_wrong_option_is_named_with_the_choices(name: str, options: dict[str, Any], message: str):
    card = trees.with_options(cards.load_card(name), **options)
    with pytest.raises(InputError) as caught:
        next(formats.reader(card.format)(card, "train", None))
    assert message in str(caught.value)


def test_a_missing_option_is_named():
    card = replace(cards.load_card("voc2007"), options={})
    with pytest.raises(InputError, match=r"voc2007.toml: missing: options.folder"):
        next(formats.reader(card.format)(card, "train", None))
