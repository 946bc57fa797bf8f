"""The reader list-files: a user's own data set as two lists and two matrices."""

import doctest
from pathlib import Path

import pytest

from bench.base.errors import InputError
from bench.data import cards
from bench.data.cards import Card
from bench.data.formats import list_files
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
        InputError, match=r"has no train_label.txt; get them from here; then give that folder"
    ):
        list(list_files.read(card, "train", tmp_path))
