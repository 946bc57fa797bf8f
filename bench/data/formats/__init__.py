"""Readers of annotation formats, one per file; a card names a format by its file name, with `-` for `_`.

A reader is a function `read(card, split, source)`. It yields the samples of a split in the order of the
original files, and a `LeftOut` in place of each sample that is left out. Readers do not decode images. If the
annotations of a format say where each label is in the image, its file also has a function
`boxes(card, split, source)`, which yields each image's id with its boxes.
"""

import functools
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.base import schema
from bench.base.errors import InputError, unknown
from bench.data.cards import Card

OptionsClass = TypeVar("OptionsClass")


@dataclass(frozen=True)
class Sample:
    """One image with its labels, before it is resized.

    image: a file, which may be missing, uint8 pixels (H, W, 3), or the bytes of a file (N,). labels_C: 1, 0
    or -1; bench.scoring says what they mean. group: images of the same group are held out for validation
    together; "": the id. box: (left, top, width, height) in pixels, the part of the image to use, as in the
    original annotations; it may extend beyond the image and is then clipped; None: the whole image. square:
    see `decode.crop`.
    """

    id: str
    image: Path | NDArray[np.uint8]
    labels_C: NDArray[np.int8]
    group: str = ""
    box: tuple[float, float, float, float] | None = None
    square: bool = False


@dataclass(frozen=True)
class LeftOut:
    """An image of the original lists that is not used; reason: one of a few texts, which reports count."""

    id: str
    reason: str


@dataclass(frozen=True)
class Box:
    """Where a label is in an image; label: its column; the others: shares of the image's width or height."""

    label: int
    left: float
    top: float
    width: float
    height: float


Reader = Callable[[Card, str, Path | None], Iterator[Sample | LeftOut]]
Boxes = Callable[[Card, str, Path | None], Iterator[tuple[str, list[Box]]]]

NO_LABEL = "without a label"
MISSING = "image missing"
PLACEHOLDER = "placeholder of a photograph that is gone"
NO_ANNOTATION = "annotation file missing"
TWICE = "listed twice"
TWICE_OTHERWISE = "listed twice, with other labels"
FAULTS = frozenset({NO_ANNOTATION, TWICE, TWICE_OTHERWISE})  # of the files: preparation stops at these


def names() -> list[str]:
    """The names of all formats, as used in cards."""
    return sorted(path.stem.replace("_", "-") for path in Path(__file__).parent.glob("[!_]*.py"))


def reader(name: str) -> Reader:
    """The `read` function of a format, in which only the first of several samples with one id is a sample.

    InputError lists the formats if there is no such one.
    """
    if name not in names():
        raise unknown("format", name, names())
    read: Reader = importlib.import_module(f"bench.data.formats.{name.replace('-', '_')}").read
    return _each_once(read)


def _each_once(read: Reader) -> Reader:
    """The reader with a LeftOut in place of each sample whose id was there before."""

    @functools.wraps(read)
    def once(card: Card, split: str, source: Path | None) -> Iterator[Sample | LeftOut]:
        labels_by_id: dict[str, bytes] = {}
        for item in read(card, split, source):
            if isinstance(item, LeftOut) or item.id not in labels_by_id:
                if isinstance(item, Sample):
                    labels_by_id[item.id] = item.labels_C.tobytes()
                yield item
            else:
                is_same = labels_by_id[item.id] == item.labels_C.tobytes()
                yield LeftOut(item.id, TWICE if is_same else TWICE_OTHERWISE)

    return once


def boxes(name: str) -> Boxes | None:
    """The `boxes` function of a format; None if its annotations do not say where labels are."""
    function: Boxes | None = getattr(importlib.import_module(reader(name).__module__), "boxes", None)
    return function


def check_options(card: Card) -> None:
    """Raises InputError, before any file is read, for a wrong option of the card."""
    options(importlib.import_module(reader(card.format).__module__).Options, card)


def options(kind: type[OptionsClass], card: Card) -> OptionsClass:
    """The card's [options] as the dataclass of its format; InputError names a wrong option."""
    try:
        built: OptionsClass = schema.build(kind, card.options, where="options.")
    except InputError as error:
        raise InputError(f"{card.file}: {error}") from error
    return built
