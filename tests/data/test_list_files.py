"""The reader list-files: a user's own data set as two lists and two matrices."""

import doctest
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bench.base.errors import InputError
from bench.data import cards, formats
from bench.data.cards import Card
from bench.data.formats import LeftOut, list_files
from tests import trees

TEXT = """
title = "Pets"
summary = "two pets"
format = "list-files"
labels = ["cat", "dog"]
source = "here"
licence = "none"
train = {images = 3, positives = 3}
test = {images = 1, positives = 1}
[options]
train_list = "train_imglist.txt"
train_labels = "train_label.txt"
test_list = "test_imglist.txt"
test_labels = "test_label.txt"
root = "pictures"
"""


@pytest.fixture
def card(tmp_path: Path) -> Card:
    return cards.read(trees.write(tmp_path / "pets.toml", TEXT.splitlines()))


def test_the_doctests_hold():
    assert doctest.testmod(list_files).failed == 0


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_line_of_the_matrix_is_the_labels_of_the_image_on_that_line(tmp_path: Path, card: Card, split: str):
    samples = list(list_files.read(card, split, trees.own(tmp_path)))
    assert trees.positives(card, samples) == dict(trees.OWN[split])
    assert [sample.image for sample in samples] == [tmp_path / "pictures" / name for name in trees.OWN[split]]


def test_the_count_of_labels_may_be_absent_and_unspecified_labels_are_kept(tmp_path: Path, card: Card):
    source = trees.own(tmp_path)
    trees.write(source / "train_imglist.txt", ["a/1.jpg", "b/2 x.jpg", "a\\3.jpg"])
    trees.write(source / "train_label.txt", ["1 -1", "  0\t0 ", "-1 1"])
    samples = list(list_files.read(card, "train", source))
    assert [sample.id for sample in samples] == list(trees.OWN["train"])
    assert [sample.labels_C.tolist() for sample in samples] == [[1, -1], [0, 0], [-1, 1]]


def test_the_count_may_be_the_number_of_positives_or_the_sum_of_the_row(tmp_path: Path, card: Card):
    source = trees.own(tmp_path)
    trees.write(source / "train_imglist.txt", ["a/1.jpg 1", "b/2 x.jpg 0", "a/3.jpg -2"])
    trees.write(source / "train_label.txt", ["1 -1", "1 -1", "-1 -1"])
    assert len(list(list_files.read(card, "train", source))) == 3


@pytest.mark.parametrize(
    ("file", "lines", "message"),
    [
        (
            "train_label.txt",
            ["1 1", "0 0"],
            "train_imglist.txt has 3 lines, but {root}/train_label.txt has 2; they must have the same number",
        ),
        ("train_label.txt", ["1 1", "0 0 0", "0 1"], "train_label.txt: line 2 has 3 labels; the card has 2"),
        (
            "train_label.txt",
            ["1 1", "0 0", "0 yes"],
            "train_label.txt: line 3 holds 'yes'; only 1, 0 and -1 are allowed",
        ),
        (
            "train_label.txt",
            ["1 1", "0 1", "0 1"],
            "train_imglist.txt: line 2 counts 0 labels, but line 2 of {root}",
        ),
        (
            "train_imglist.txt",
            ["a/1.jpg 2", "", "a/3.jpg 1"],
            "train_imglist.txt: line 2 is empty; every line must name an image",
        ),
    ],
)
def test_inconsistent_lists_are_refused_with_file_and_line(
    tmp_path: Path, card: Card, file: str, lines: list[str], message: str
):
    trees.write(trees.own(tmp_path) / file, lines)
    with pytest.raises(InputError) as caught:
        list(list_files.read(card, "train", tmp_path))
    assert message.format(root=tmp_path) in str(caught.value)


def test_a_missing_list_is_named_with_the_source_of_the_data(tmp_path: Path, card: Card):
    (trees.own(tmp_path) / "train_label.txt").unlink()
    with pytest.raises(
        InputError, match=r"has no train_label.txt; pets.toml names as their source: here; give the folder"
    ):
        list(list_files.read(card, "train", tmp_path))


def labelled(card: Card, line: str) -> Card:
    """The card for lists that hold the labels themselves."""
    options = {key: value for key, value in card.options.items() if not key.endswith("_labels")}
    return replace(card, options={**options, "line": line})


@pytest.mark.parametrize(
    "lines",
    [
        ["a/1.jpg 1 1", "b/2 x.jpg 0 0", "a\\3.jpg 0 1"],
        ["a/1.jpg\t1\t1", "b/2 x.jpg\t0\t0", "a/3.jpg\t0\t1"],
        ["a/1.jpg,1,1", "b/2 x.jpg,0,0", "a/3.jpg, 0, 1"],
        ["path;dog;cat", '"a/1.jpg";1;1', "b/2 x.jpg;0;0", "a/3.jpg;1;0"],
        ['image,"cat","dog"', "a/1.jpg,1,1", "b/2 x.jpg,0,0", "a/3.jpg,0,1"],
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_labels_may_stand_on_the_lines_of_the_list(tmp_path: Path, card: Card, lines: list[str], end: str):
    path = trees.own(tmp_path) / "train_imglist.txt"
    path.write_bytes("".join(line + end for line in lines).encode("utf-8-sig"))
    mine = labelled(card, "path-and-labels")
    assert trees.positives(mine, list_files.read(mine, "train", tmp_path)) == dict(trees.OWN["train"])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["a.jpg 1 1 1 2"],
            r"line 1 is 'a.jpg 1 1 1 2'; it must be a path and 2 labels, each 1, 0 or -1, or",
        ),
        (["path,cat,cow", "a.jpg,1,0"], "line 1 is 'path,cat,cow'; it must be a path and 2 labels"),
        (["a.jpg,1,0", "b.jpg,1"], "line 2 has 1 labels; the card has 2"),
        (["a.jpg,1,0", "b.jpg,1,2"], "line 2 holds '2'; only 1, 0 and -1 are allowed"),
    ],
)
def test_wrong_labels_on_a_line_are_refused(tmp_path: Path, card: Card, lines: list[str], message: str):
    trees.write(trees.own(tmp_path) / "train_imglist.txt", lines)
    with pytest.raises(InputError, match=message):
        list(list_files.read(labelled(card, "path-and-labels"), "train", tmp_path))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["a/1.jpg 1 1", "b/2 x.jpg 0 0", "a/3.jpg 0 1"],
            "line 1 is 'a/1.jpg 1 1': if these are 2 labels behind the path, say line = \"path-and-labels\"",
        ),
        (
            ["a/1.jpg", "photo 17", "a/3.jpg"],
            "line 2 is 'photo 17'; a number behind the path is taken for that",
        ),
        (["photo 16", "photo 17", "photo 18"], 'line 1 counts 16 labels.*say line = "path" in the card'),
    ],
)
def test_a_line_in_doubt_is_refused_with_what_it_is_taken_for(
    tmp_path: Path, card: Card, lines: list[str], message: str
):
    trees.write(trees.own(tmp_path) / "train_imglist.txt", lines)
    with pytest.raises(InputError, match=message):
        list(list_files.read(card, "train", tmp_path))


def test_a_path_may_end_in_a_number_if_the_card_says_so(tmp_path: Path, card: Card):
    trees.write(trees.own(tmp_path) / "train_imglist.txt", ["photo 16", "photo 17", "photo 0 1"])
    mine = trees.with_options(card, line="path")
    assert list(trees.positives(mine, list_files.read(mine, "train", tmp_path))) == [
        "photo 16",
        "photo 17",
        "photo 0 1",
    ]


@pytest.mark.parametrize("separator", ["\t", ",", "; ", ", "])
def test_matrix_and_count_may_have_any_separator(tmp_path: Path, card: Card, separator: str):
    source = trees.own(tmp_path)
    trees.write(
        source / "train_imglist.txt",
        [f"{name}{separator}{n}" for name, n in zip(trees.OWN["train"], (2, 0, 1), strict=True)],
    )
    trees.write(source / "train_label.txt", [separator.join(row) for row in ("11", "00", "01")])
    assert trees.positives(card, list_files.read(card, "train", source)) == dict(trees.OWN["train"])


def test_a_card_without_labels_or_with_both_is_refused(tmp_path: Path, card: Card):
    for mine in (labelled(card, "any"), trees.with_options(card, line="path-and-labels")):
        with pytest.raises(
            InputError, match=r"pets.toml: \[options\] must have either train_labels, or line ="
        ):
            list(list_files.read(mine, "train", trees.own(tmp_path)))


def test_a_pipe_or_a_device_is_no_list(tmp_path: Path, card: Card):
    path = trees.own(tmp_path) / "train_label.txt"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match="train_label.txt: is a pipe or a device; a file is expected"):
        list(list_files.read(card, "train", tmp_path))


def test_an_image_that_is_listed_twice_is_left_out_the_second_time(tmp_path: Path, card: Card):
    trees.write(trees.own(tmp_path) / "train_imglist.txt", ["a/1.jpg", "a/1.jpg", "a\\1.jpg"])
    trees.write(tmp_path / "train_label.txt", ["1 0", "1 0", "0 1"])
    items = list(formats.reader("list-files")(card, "train", tmp_path))
    assert trees.positives(card, items) == {"a/1.jpg": ("cat",)}
    reasons = [item.reason for item in items if isinstance(item, LeftOut)]
    assert reasons == ["listed twice", "listed twice, with other labels"]


def test_a_name_that_is_too_long_for_a_file_is_said_to_be_missing(tmp_path: Path, card: Card):
    mine = trees.with_options(card, train_list="x" * 300)
    with pytest.raises(InputError, match=f"has no {'x' * 300}; pets.toml names"):
        list(list_files.read(mine, "train", trees.own(tmp_path)))
