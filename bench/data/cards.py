"""Read data set cards: `datasets/*.toml` -> `Card`. Preparing the data checks a card's counts."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from bench.base import schema, structured_files
from bench.base.errors import InputError, unknown
from bench.base.paths import CARDS
from bench.base.protocol import Evaluation
from bench.base.schema import Range

Count = Annotated[int, Range(0, 10**9)]
Side = Annotated[int, Range(8, 4096)]  # pixels
LONGEST_CHANGE = 100  # characters of an option's value: it becomes part of a folder's name
Resample = Literal["antialiased", "bilinear"]
SHARED_OPTIONS = ("size", "train_size", "resample")  # of every card, besides those in its [options]


@dataclass(frozen=True)
class Split:
    """The expected size of a split: images, and positive labels of all images together (0: not known).

    approximate: copies of the data set differ in size, so a difference is reported, but is not an error.
    """

    images: Count
    positives: Count = 0
    approximate: bool = False


@dataclass(frozen=True)
class Sizes:
    """The side in pixels of the square images in the store, for training (before crops) and for testing."""

    train: Side = 256
    test: Side = 224


@dataclass(frozen=True)
class Archive:
    """An archive that the data set's owner publishes; it is unpacked into the source folder."""

    url: str
    bytes: Annotated[int, Range(1)]
    md5: str


@dataclass(frozen=True)
class Variant:
    """The expected size of the splits if the card has these options instead of the paper's."""

    options: Mapping[str, Any]
    train: Split
    test: Split


@dataclass(frozen=True)
class Card:
    """One data set: its labels in order, its splits, how its files are read and how results are evaluated.

    name: the card's file name and the changed options, as in `nuswide@keep=all`; names the folders in `data/`
    and `runs/`. obtain: how to get the original files and how to arrange them in the source folder, as an
    instruction that continues a sentence. not_offered: the files that the archives do not contain; "": none.
    exif: whether photographs are turned as their EXIF orientation says, in the store and in use; boxes refer
    to the pixels as stored. resample: how images are resized, in the store and in use: Pillow's antialiased
    bilinear filter, or plain bilinear interpolation, as Caffe and OpenCV do it.
    """

    name: str
    title: str
    summary: str
    format: str
    labels: tuple[str, ...]
    train: Split
    test: Split
    source: str
    licence: str
    sizes: Sizes = Sizes()
    exif: Literal["ignore", "turn"] = "ignore"
    resample: Resample = "antialiased"
    evaluation: Evaluation = dataclasses.field(default_factory=Evaluation)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    variants: tuple[Variant, ...] = ()
    obtain: str = ""
    archives: tuple[Archive, ...] = ()
    not_offered: str = ""

    @property
    def file(self) -> str:
        """The name of the card's file."""
        return f"{base(self.name)}.toml"


def names() -> list[str]:
    """The names of all cards in this checkout: their file names without `.toml`."""
    return sorted(path.stem for path in CARDS.glob("*.toml"))


def base(name: str) -> str:
    """A data set's name without its options: `nuswide` for `nuswide@keep=all`."""
    return name.partition("@")[0]


def variant(name: str) -> str:
    """A data set's options but `size`, which chooses no image: `keep=all` of `nuswide@keep=all,size=448`."""
    options = name.partition("@")[2].split(",")
    return ",".join(option for option in options if not option.startswith("size="))


def load_card(name: str) -> Card:
    """The card `datasets/<name>.toml`; `<name>@option=value,...` is the same card with these options changed.

    Every card also has the options `size` and `train_size`, the sides of stored test and training images (see
    `at`), and `resample`. For an unknown name or option, InputError lists those that exist.
    """
    if base(name) not in names():
        raise unknown("data set", base(name), names())
    changes = [change for change in name.partition("@")[2].split(",") if change]
    if wrong := [change for change in changes if not _can_name_a_folder(change)]:
        shown = name if name.isprintable() and len(name) <= LONGEST_CHANGE else base(name)
        given = f"data set {shown}: {wrong[0][:LONGEST_CHANGE]!r}"
        raise InputError(f"{given} is not option=value, as in nuswide@keep=all")
    options = dict(change.split("=", 1) for change in changes)
    shared = {option: options.pop(option) for option in SHARED_OPTIONS if option in options}
    card = read(CARDS / f"{base(name)}.toml", changes=options)
    card = _resampled(card, shared.pop("resample", card.resample))
    sides = {option: _pixels(name, option, text) for option, text in shared.items()}
    card = at(card, sides.get("size", card.sizes.test))
    return _with_train_size(card, sides.get("train_size", card.sizes.train))


def _pixels(name: str, option: str, text: str) -> int:
    if not (text.isdecimal() and text.strip("0")):
        wrong = f"data set {name}: {option}={text} is not a number of pixels"
        raise InputError(f"{wrong}; write it as in {option}=448")
    return int(text)


def _resampled(card: Card, how: str) -> Card:
    """The card with images resized in this way; InputError for an unknown one."""
    if how not in get_args(Resample):
        raise unknown("resample", how, get_args(Resample))
    return card if how == card.resample else _renamed(card, f"resample={how}", resample=how)


def _with_train_size(card: Card, side: int) -> Card:
    """The card with training images of `side` x `side` pixels, whatever the size of the test images."""
    if side == card.sizes.train:
        return card
    sizes = dataclasses.replace(card.sizes, train=side)
    schema.check_ranges(sizes, where=f"data set {card.name}: sizes.")
    return _renamed(card, f"train_size={side}", sizes=sizes)


def _renamed(card: Card, option: str, **changes: Any) -> Card:
    """The card with an option more in its name, and what this option changes."""
    return dataclasses.replace(card, name=_name(card.file, sorted([*_options(card), option])), **changes)


def _options(card: Card) -> list[str]:
    """The options in a card's name, as in `size=448`."""
    return [*filter(None, card.name.partition("@")[2].split(","))]


def _can_name_a_folder(change: str) -> bool:
    """Whether a change is `option=value` that can stand in the name of the data set's folder."""
    return "=" in change and "/" not in change and change.isprintable() and len(change) <= LONGEST_CHANGE


def at(card: Card, size: int, *, crops: bool = True) -> Card:
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
        sizes = Sizes(train=card.sizes.train if fixed else proportional, test=size)
        schema.check_ranges(sizes, where=f"data set {card.name}: images of {size} pixels: sizes.")
        card = _renamed(card, f"size={size}", sizes=sizes)
    if crops or card.sizes.train == size:
        return card
    if fixed:
        needed = f"{card.name}: without crops the recipe needs training images of {size} pixels"
        raise InputError(f"{needed}; leave out train_size")
    return _with_train_size(card, size)


def _name(file: str, options: Sequence[str]) -> str:
    return "@".join(filter(None, [Path(file).stem, ",".join(options)]))


def read(path: Path, *, changes: Mapping[str, str] | None = None) -> Card:
    """The card in a file, with some options changed; InputError names the file and the wrong key or value."""
    table = structured_files.read_toml(path)
    try:
        changed = _change(table.get("options", {}), changes or {})
        card: Card = schema.build(Card, {"name": _name(path.name, changed), **table}, where="")
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error
    if len(set(card.labels)) != len(card.labels) or not card.labels:
        raise InputError(f"{path.name}: labels must be a list of different names")
    if wrong := [label for label in card.labels if not label.strip() or not label.isprintable()]:
        raise InputError(f"{path.name}: label {wrong[0]!r} is empty or has characters that cannot be printed")
    return _counting_by_options(card)


def _change(options: object, changes: Mapping[str, str]) -> list[str]:
    """Set existing options to values given as text; returns `name=text` of those whose value changed."""
    changed: list[str] = []
    if not isinstance(options, dict):  # `schema.build` refuses it
        return changed
    for name, text in sorted(changes.items()):
        if name not in options:
            raise unknown("option", name, [*options, *SHARED_OPTIONS])
        try:
            is_text = type(options[name]) is str
            value = text if is_text else structured_files.parse_toml(f"value = {text}")["value"]
        except ValueError as error:
            raise InputError(f"option {name} must be written as in the card, not {text!r}") from error
        if value != options[name]:
            options[name] = value
            changed.append(f"{name}={text}")
    return changed


def _counting_by_options(card: Card) -> Card:
    """The card with the expected counts of the variant that matches its options, if there is one."""
    for variant in card.variants:
        if variant.options.items() <= card.options.items():
            return dataclasses.replace(card, train=variant.train, test=variant.test)
    return card


def store_digest(card: Card) -> str:
    """SHA-256 of what determines the prepared store; texts, archives and evaluation do not change it."""
    parts = [card.format, card.labels, card.train, card.test, card.sizes, dict(card.options)]
    if card.evaluation.result_files:  # the readers then set all test labels to 0
        parts.append("no test labels")
    if card.exif == "turn":
        parts.append("turned as EXIF says")
    if card.resample != "antialiased":
        parts.append(card.resample)
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=vars).encode()).hexdigest()
