"""Format list-files: for each split a list of images and a matrix of labels, as users of SRN exchange them.

A line of the list is a path, optionally followed by the number of labels. The same line of the matrix holds
the image's labels, 1, 0 or -1 in the card's order, separated by spaces, tabs, commas or semicolons. With
the option `line = "path-and-labels"` there is no matrix: the labels are behind the path, and a heading may
name them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.base import structured_files
from bench.base.errors import InputError
from bench.data import formats
from bench.data.cards import Card
from bench.data.formats import Sample, _source

VALUES = {"1": 1, "0": 0, "-1": -1}
SEPARATORS = re.compile(r"[\s,;]+")
PATH_AND_NUMBER = re.compile(r"(.*[^\s,;])[\s,;]+(-?[0-9]{1,9})")
IF_PATH = """; if the number belongs to the path, say line = "path" in the card's [options]"""
Line = Literal["any", "path", "path-and-count", "path-and-labels"]


@dataclass(frozen=True)
class Options:
    """The card's [options]: files in the source folder; root: the folder to which the listed paths belong.

    line: what a line of the lists is; "any": a path, or a path and the number of its labels, unless that is
    in doubt. train_groups, test_groups: files with the group of each image; an empty line: the image alone.
    """

    train_list: str
    test_list: str
    train_labels: str = ""
    test_labels: str = ""
    root: str = "."
    line: Line = "any"
    train_groups: str = ""
    test_groups: str = ""


def read(card: Card, split: str, source: Path | None) -> Iterator[Sample]:
    """The split's images in the order of its list; an image's id is its path in the list."""
    options = formats.options(Options, card)
    root = _source.folder(card, source)
    names = (options.train_list, options.train_labels), (options.test_list, options.test_labels)
    images, matrix = names[split == "test"]
    if (options.line == "path-and-labels") == bool(matrix):
        raise InputError(
            f'{card.file}: [options] must have either {split}_labels, or line = "path-and-labels" if the'
            f" labels are on the lines of {images}"
        )
    listed, folder = _source.find(card, root, images), _source.find(card, root, options.root)
    if matrix:
        labels = _source.find(card, root, matrix)
        pairs = read_pair(listed, labels, labels=len(card.labels), line=options.line)
    else:
        pairs = _read_labelled(listed, card.labels)
    names_of_groups = options.test_groups if split == "test" else options.train_groups
    groups = _groups(_source.find(card, root, names_of_groups), listed) if names_of_groups else None
    for index, (name, labels_C) in enumerate(zip(*pairs, strict=True)):
        yield Sample(name, folder / name, labels_C, groups[index] if groups else "")


def _groups(path: Path, images: Path) -> list[str]:
    """The group of each line of a list of images."""
    groups = [line.strip() for line in structured_files.read_text(path).removesuffix("\n").split("\n")]
    if len(groups) != (lines := len(_source.read_list(images))):
        raise InputError(f"{path} has {len(groups)} lines, but {images} has {lines}; a line each is needed")
    return groups


def read_pair(
    images: Path, matrix: Path, *, labels: int, line: Line = "any"
) -> tuple[list[str], NDArray[np.int8]]:
    """(paths in the list, labels_NC of the matrix); InputError names the first wrong line.

    images, matrix: the two files. labels: the number of labels. line: what a line of the list is.
    """
    lines = _source.read_list(images)
    if line == "any":
        _refuse_doubtful(images, lines, labels)
    listed = [_path_and_count(text, line) for text in lines]
    rows = _source.read_lines(matrix)
    if len(listed) != len(rows):
        raise InputError(
            f"{images} has {len(listed)} lines, but {matrix} has {len(rows)}; they must have the same number"
            f" (the first lines are {lines[0][:80]!r} and {(rows or [''])[0][:80]!r})"
        )
    labels_NC = np.empty((len(rows), labels), dtype=np.int8)
    for index, ((_, count), row) in enumerate(zip(listed, rows, strict=True)):
        number = f"line {index + 1}"
        labels_NC[index] = _labels(row, labels, where=f"{matrix}: {number}")
        # If the matrix has -1, the count may be that of the positives or the sum of the row.
        if count is not None and count not in (np.sum(labels_NC[index] == 1), np.sum(labels_NC[index])):
            raise InputError(
                f"{images}: {number} counts {count} labels, but {number} of {matrix} has another number; give"
                f" files that belong together{IF_PATH}"
            )
    return [path for path, _ in listed], labels_NC


def _path_and_count(text: str, line: Line = "any") -> tuple[str, int | None]:
    r"""The path of a line, with slashes, and the number of labels after it, if there is one.

    >>> _path_and_count("actor\\0001 a.jpg 3"), _path_and_count("b.jpg"), _path_and_count("b 3", "path")
    (('actor/0001 a.jpg', 3), ('b.jpg', None), ('b 3', None))
    """
    path = text.replace("\\", "/")
    if line != "path" and (match := PATH_AND_NUMBER.fullmatch(path)):
        return match[1], int(match[2])
    return path, None


def _refuse_doubtful(images: Path, lines: Sequence[str], labels: int) -> None:
    """Raise InputError if the lines may hold labels, or only some of them a number of labels."""
    first = None
    for index, text in enumerate(lines):
        words = SEPARATORS.split(text)
        if len(words) > labels > 1 and all(word in VALUES for word in words[-labels:]):
            raise InputError(
                f"{images}: line {index + 1} is {text[:80]!r}: if these are {labels} labels behind the path,"
                ' say line = "path-and-labels" in the card\'s [options], and name no file of labels; if the'
                ' last number counts the labels, line = "path-and-count"; if not, line = "path"'
            )
        has_number = PATH_AND_NUMBER.fullmatch(text) is not None
        if (first := has_number if first is None else first) != has_number:
            raise InputError(
                f"{images}: line {index + 1} is {text[:80]!r}; a number behind the path is taken for that of"
                f" the labels, but only some lines have one{IF_PATH}"
            )


def _read_labelled(images: Path, labels: Sequence[str]) -> tuple[list[str], NDArray[np.int8]]:
    """(paths, labels_NC) of a list whose lines hold the labels too; a heading may name these in any order."""
    lines = _source.read_list(images)
    for separator in ("\t", ";", ",", None):
        words = _words(lines[0], separator, len(labels))
        heading = sorted(words[1:]) == sorted(labels)
        if heading or (len(words) == len(labels) + 1 and all(word in VALUES for word in words[1:])):
            break
    else:
        raise InputError(
            f"{images}: line 1 is {lines[0][:80]!r}; it must be a path and {len(labels)} labels, each 1, 0 or"
            " -1, or a heading with the names of the labels, separated by tabs, semicolons, commas or spaces"
        )
    order = [words[1:].index(label) for label in labels] if heading else list(range(len(labels)))
    rows = [_words(line, separator, len(labels)) for line in lines[heading:]]
    labels_NC = np.empty((len(rows), len(labels)), dtype=np.int8)
    for index, row in enumerate(rows):
        where = f"{images}: line {index + 1 + heading}"
        labels_NC[index] = np.array(_labels(" ".join(row[1:]), len(labels), where=where))[order]
    return [row[0].replace("\\", "/") for row in rows], labels_NC


def _words(line: str, separator: str | None, labels: int) -> list[str]:
    """The path, which may hold the separator itself, and the words of the labels."""
    return [word.strip().strip('"') for word in line.rsplit(separator, maxsplit=labels)]


def _labels(row: str, labels: int, *, where: str) -> list[int]:
    words = [word for word in SEPARATORS.split(row) if word]
    if len(words) != labels:
        raise InputError(f"{where} has {len(words)} labels; the card has {labels}")
    wrong = [word for word in words if word not in VALUES]
    if wrong:
        raise InputError(f"{where} holds {wrong[0]!r}; only 1, 0 and -1 are allowed")
    return [VALUES[word] for word in words]
