"""Options that every card has: sides, resizing and storage of images, how many labels are known.

They stand in the data set's name, as in `coco@size=448,known=0.1`; each makes a store of its own.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from bench.base import schema
from bench.base.errors import InputError, unknown
from bench.data.known_labels import with_known

if TYPE_CHECKING:
    from bench.data.cards import Card

Resample = Literal["antialiased", "bilinear"]
Storage = Literal["pixels", "jpeg"]
JPEG: dict[str, Any] = {"quality": 95, "subsampling": "4:4:4"}  # of stored images, in Pillow's words
SIZES = ("size", "train_size")
NAMES = (*SIZES, "resample", "storage", "known", "known_seed")
SAME_IMAGES = (*SIZES, "storage")  # options that change how images are stored, not which there are


def apply(card: "Card", options: Mapping[str, str]) -> "Card":
    """The card with these options, given as text; InputError for a wrong value."""
    card = with_known(card, options.get("known"), options.get("known_seed"))
    card = _resampled(card, options.get("resample", card.resample))
    card = _stored(card, options.get("storage", card.storage))
    sides = {
        name: _pixels(card.name, name, options[name]) for name in ("size", "train_size") if name in options
    }
    card = at(card, sides.get("size", card.sizes.test))
    return _with_train_size(card, sides.get("train_size", card.sizes.train))


def _pixels(name: str, option: str, text: str) -> int:
    if not (text.isdecimal() and text.strip("0")):
        wrong = f"data set {name}: {option}={text} is not a number of pixels"
        raise InputError(f"{wrong}; write it as in {option}=448")
    return int(text)


def _resampled(card: "Card", how: str) -> "Card":
    """The card with images resized in this way; InputError for an unknown one."""
    if how not in get_args(Resample):
        raise unknown("resample", how, get_args(Resample))
    return card if how == card.resample else _renamed(card, f"resample={how}", resample=how)


def _stored(card: "Card", how: str) -> "Card":
    """The card with images stored in this way; InputError for an unknown one."""
    if how not in get_args(Storage):
        raise unknown("storage", how, get_args(Storage))
    return card if how == card.storage else _renamed(card, f"storage={how}", storage=how)


def _with_train_size(card: "Card", side: int) -> "Card":
    """The card with training images of `side` x `side` pixels, whatever the size of the test images."""
    if side == card.sizes.train:
        return card
    sizes = dataclasses.replace(card.sizes, train=side)
    schema.check_ranges(sizes, where=f"data set {card.name}: sizes.")
    return _renamed(card, f"train_size={side}", sizes=sizes)


def _renamed(card: "Card", option: str, **changes: Any) -> "Card":
    """The card with an option more in its name, and what this option changes."""
    options = ",".join(sorted([*_options(card), option]))
    return dataclasses.replace(card, name=f"{Path(card.file).stem}@{options}", **changes)


def _options(card: "Card") -> list[str]:
    """The options in a card's name, as in `size=448`."""
    return [*filter(None, card.name.partition("@")[2].split(","))]


def at(card: "Card", size: int, *, crops: bool = True) -> "Card":
    """The card with test images of `size` x `size` pixels, and training images scaled in proportion.

    Without crops the training images have the size of the test images: they too are then resized only once.
    Images of another size than the card's are in a store of their own: `coco@size=448`, without crops
    `coco@size=448,train_size=448`. A `train_size` in the card's name stays.
    """
    fixed = any(option.startswith("train_size=") for option in _options(card))
    if size != card.sizes.test:
        if any(option.startswith("size=") for option in _options(card)):
            needed = f"{card.name}: the recipe needs images of {size} pixels"
            raise InputError(f"{needed}; change it with --set input_size=PIXELS")
        proportional = round(size * card.sizes.train / card.sizes.test)
        train = card.sizes.train if fixed else proportional
        sizes = dataclasses.replace(card.sizes, train=train, test=size)
        schema.check_ranges(sizes, where=f"data set {card.name}: images of {size} pixels: sizes.")
        card = _renamed(card, f"size={size}", sizes=sizes)
    if crops or card.sizes.train == size:
        return card
    if fixed:
        needed = f"{card.name}: without crops the recipe needs training images of {size} pixels"
        raise InputError(f"{needed}; leave out train_size")
    return _with_train_size(card, size)
