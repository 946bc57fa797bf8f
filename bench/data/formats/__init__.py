"""One reader per annotation format; the file name, with `-` for `_`, is the format's name on a card.

A reader is a function `read(card, split, source)` that yields the split's samples in the owner's order, and
in place of a sample that the card's options leave out, a `LeftOut`. Readers do not decode images. A format
whose annotations say where labels stand has a function `boxes(card, split, source)` too, which yields an
image's id with its boxes.
"""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import InputError, unknown
from bench.data import cards
from bench.data.cards import Card

Table = TypeVar("Table")


@dataclass(frozen=True)
class Sample:
    """One image with its labels, before it is resized.

    `image` is a file, which need not exist, or uint8 pixels (H, W, 3). `box` (left, top, width, height, in
    pixels) is the part of it that is meant, as its owner gives it: it may reach beyond the image and is to be
    clipped to it; None: all of it. `labels_C` holds 1, 0 or -1 (bench.scoring says what they mean). Images of
    one `group` stay together when training images are held out; "" stands for the id.
    """

    id: str
    image: Path | NDArray[np.uint8]
    labels_C: NDArray[np.int8]
    group: str = ""
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class LeftOut:
    """What the owner lists and the data set does without, and why, in words that can be counted."""

    id: str
    reason: str


@dataclass(frozen=True)
class Box:
    """Where a label stands: its column, and left, top, width and height in shares of the image's sides."""

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


def names() -> list[str]:
    """The formats there are, as a card names them."""
    return sorted(path.stem.replace("_", "-") for path in Path(__file__).parent.glob("[!_]*.py"))


def reader(name: str) -> Reader:
    """The `read` function of a format; InputError lists the formats."""
    if name not in names():
        raise unknown("format", name, names())
    read: Reader = importlib.import_module(f"bench.data.formats.{name.replace('-', '_')}").read
    return read


def boxes(name: str) -> Boxes | None:
    """The `boxes` function of a format whose annotations say where labels stand; None: they do not."""
    found: Boxes | None = getattr(importlib.import_module(reader(name).__module__), "boxes", None)
    return found


def options(kind: type[Table], card: Card) -> Table:
    """The card's [options] as the dataclass of its format; InputError names what does not belong there."""
    try:
        found: Table = cards.build(kind, card.options, where="options.")
    except InputError as mistake:
        raise InputError(f"{card.file}: {mistake}") from mistake
    return found
