"""One reader per annotation format; the file name, with `-` for `_`, is the format's name on a card.

A reader is a function `read(card, split, source)` that yields the split's samples in the owner's order.
"""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.errors import unknown

if TYPE_CHECKING:
    from bench.cards import Card


@dataclass(frozen=True)
class Sample:
    """One image with its labels, before it is resized.

    `image` is a file, or uint8 pixels (H, W, 3); `box` (left, top, width, height) is the part of it that is
    meant, None: all of it. `labels_C` holds 1, 0 or -1 (bench.metrics says what they mean). Images of one
    `group` stay together when training images are held out; "" stands for the id.
    """

    id: str
    image: Path | NDArray[np.uint8]
    labels_C: NDArray[np.int8]
    group: str = ""
    box: tuple[float, float, float, float] | None = None


Reader = Callable[["Card", str, Path | None], Iterator[Sample]]


def names() -> list[str]:
    """The formats there are, as a card names them."""
    return sorted(path.stem.replace("_", "-") for path in Path(__file__).parent.glob("[!_]*.py"))


def reader(name: str) -> Reader:
    """The `read` function of a format; InputError lists the formats."""
    if name not in names():
        raise unknown("format", name, names())
    read: Reader = importlib.import_module(f"bench.formats.{name.replace('-', '_')}").read
    return read
