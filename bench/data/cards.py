"""Read data set cards: `datasets/*.toml` -> `Card`. Preparing the data checks a card's counts."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from bench.base import schema, search_path, structured_files
from bench.base.errors import InputError, unknown
from bench.base.paths import CARDS, IS_INSTALLED, OWN_CARDS
from bench.base.protocol import Evaluation
from bench.base.schema import Range
from bench.data import card_options
from bench.data.card_options import JPEG, Resample, Storage
from bench.data.known_labels import Known

Count = Annotated[int, Range(0, 10**9)]
Side = Annotated[int, Range(8, 4096)]  # pixels
NO_KEYS = {  # fields of `Card` that its file does not hold, with what to do instead
    "name": "a card is named after its file; rename the file",
    "known": "say it in commands: NAME@known=0.1",
}
LONGEST_CHANGE = 100  # characters of an option's value: it becomes part of a folder's name


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
    bilinear filter, or plain bilinear interpolation, as Caffe and OpenCV do it. storage: whether the store
    holds pixels or JPEG files. known: of a variant in which only a part of the training labels is known.
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
    storage: Storage = "pixels"
    evaluation: Evaluation = dataclasses.field(default_factory=Evaluation)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    variants: tuple[Variant, ...] = ()
    obtain: str = ""
    archives: tuple[Archive, ...] = ()
    not_offered: str = ""
    known: Known | None = None

    @property
    def file(self) -> str:
        """The name of the card's file."""
        return f"{base(self.name)}.toml"


def names() -> list[str]:
    """The names of all cards, the suite's and the user's: their file names without `.toml`."""
    return sorted(search_path.files("datasets", CARDS))


def base(name: str) -> str:
    """A data set's name without its options: `nuswide` for `nuswide@keep=all`."""
    return name.partition("@")[0]


def variant(name: str) -> str:
    """A data set's options without those of storage: `keep=all` of `nuswide@keep=all,size=448`."""
    options = name.partition("@")[2].split(",")
    return ",".join(option for option in options if option.partition("=")[0] not in card_options.SAME_IMAGES)


def card_file(name: str) -> Path:
    """The file of a data set's card or, where there is none, the one that a new card gets."""
    folder = OWN_CARDS if IS_INSTALLED else CARDS
    return search_path.files("datasets", CARDS).get(base(name), folder / f"{base(name)}.toml")


def load_card(name: str) -> Card:
    """The card `datasets/<name>.toml`; `<name>@option=value,...` is the same card with these options changed.

    Every card also has the options of `bench.data.card_options`. For an unknown name or option, InputError
    lists those that exist.
    """
    if base(name) not in names():
        raise unknown("data set", base(name), names())
    changes = [change for change in name.partition("@")[2].split(",") if change]
    if wrong := [change for change in changes if not _can_name_a_folder(change)]:
        shown = name if name.isprintable() and len(name) <= LONGEST_CHANGE else base(name)
        given = f"data set {shown}: {wrong[0][:LONGEST_CHANGE]!r}"
        raise InputError(f"{given} is not option=value, as in nuswide@keep=all")
    options = dict(change.split("=", 1) for change in changes)
    shared = {option: options.pop(option) for option in card_options.NAMES if option in options}
    return card_options.apply(read(card_file(name), changes=options), shared)


def _can_name_a_folder(change: str) -> bool:
    """Whether a change is `option=value` that can stand in the name of the data set's folder."""
    return "=" in change and "/" not in change and change.isprintable() and len(change) <= LONGEST_CHANGE


def read(path: Path, *, changes: Mapping[str, str] | None = None) -> Card:
    """The card in a file, with some options changed; InputError names the file and the wrong key or value."""
    table = structured_files.read_toml(path)
    if wrong_keys := sorted(table.keys() & NO_KEYS):
        key = wrong_keys[0]
        raise InputError(f"{path.name}: {key} is no key of a card; {NO_KEYS[key]}")
    try:
        changed = _change(table.get("options", {}), changes or {})
        name = "@".join(filter(None, [path.stem, ",".join(changed)]))
        card: Card = schema.build(Card, table, where="", given={"name": name, "known": None})
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
            raise unknown("option", name, [*options, *card_options.NAMES])
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
    if card.storage != "pixels":
        parts.append([card.storage, JPEG])
    if card.known:
        parts.append(vars(card.known))
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=vars).encode()).hexdigest()
