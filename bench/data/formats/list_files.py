"""Format list-files: for each split a list of images and a matrix of labels, as users of SRN exchange them.

A line of the list is a path, optionally followed by the number of labels. The same line of the matrix holds
the image's labels, 1, 0 or -1 in the card's order, separated by spaces.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import InputError
from bench.data import formats
from bench.data.cards import Card
from bench.data.formats import Sample, _source

VALUES = {"1": 1, "0": 0, "-1": -1}


@dataclass(frozen=True)
class Options:
    """The card's [options]: files in the source folder; root: the folder to which the listed paths belong."""

    train_list: str
    train_labels: str
    test_list: str
    test_labels: str
    root: str = "."


def read(card: Card, split: str, source: Path | None) -> Iterator[Sample]:
    """The split's images in the order of its list; an image's id is its path in the list."""
    options = formats.options(Options, card)
    root = _source.folder(card, source)
    names = (options.train_list, options.train_labels), (options.test_list, options.test_labels)
    images, matrix = (_source.find(card, root, name) for name in names[split == "test"])
    folder = _source.find(card, root, options.root)
    for name, labels_C in zip(*read_pair(images, matrix, labels=len(card.labels)), strict=True):
        yield Sample(name, folder / name, labels_C)


def read_pair(images: Path, matrix: Path, *, labels: int) -> tuple[list[str], NDArray[np.int8]]:
    """(paths in the list, labels_NC of the matrix); InputError names the first wrong line.

    images, matrix: the two files. labels: the number of labels.
    """
    listed = [_path_and_count(line) for line in _source.read_list(images)]
    rows = _source.read_lines(matrix)
    if len(listed) != len(rows):
        raise InputError(
            f"{images} has {len(listed)} lines, but {matrix} has {len(rows)}; they must have the same number"
        )
    labels_NC = np.empty((len(rows), labels), dtype=np.int8)
    for index, ((_, count), row) in enumerate(zip(listed, rows, strict=True)):
        line = f"line {index + 1}"
        labels_NC[index] = _labels(row, labels, where=f"{matrix}: {line}")
        # If the matrix has -1, the count may be that of the positives or the sum of the row.
        if count is not None and count not in (np.sum(labels_NC[index] == 1), np.sum(labels_NC[index])):
            raise InputError(
                f"{images}: {line} counts {count} labels, but {line} of {matrix} has another number; give"
                " files that belong together"
            )
    return [path for path, _ in listed], labels_NC


def _path_and_count(line: str) -> tuple[str, int | None]:
    r"""The path of a line, with slashes, and the number of labels after it, if there is one.

    >>> _path_and_count("actor\\0001 a.jpg 3"), _path_and_count("b.jpg")
    (('actor/0001 a.jpg', 3), ('b.jpg', None))
    """
    words = line.replace("\\", "/").rsplit(maxsplit=1)
    if len(words) == 2 and words[1].removeprefix("-").isdecimal():
        return words[0], int(words[1])
    return line.replace("\\", "/"), None


def _labels(row: str, labels: int, *, where: str) -> list[int]:
    words = row.split()
    if len(words) != labels:
        raise InputError(f"{where} has {len(words)} labels; the card has {labels}")
    wrong = [word for word in words if word not in VALUES]
    if wrong:
        raise InputError(f"{where} holds {wrong[0]!r}; only 1, 0 and -1 are allowed")
    return [VALUES[word] for word in words]
