"""Read data set cards: `datasets/*.toml` -> `Card`. Preparing the data checks a card's counts."""

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from bench.base.errors import InputError, unknown
from bench.base.paths import CARDS
from bench.base.protocol import Evaluation

TYPE_NAMES = {str: "text", int: "a whole number", bool: "true or false", list: "a list"}  # in messages


@dataclass(frozen=True)
class Split:
    """The expected size of a split: images, and positive labels of all images together (0: not known).

    approximate: copies of the data set differ in size, so a difference is reported, but is not an error.
    """

    images: int
    positives: int = 0
    approximate: bool = False


@dataclass(frozen=True)
class Sizes:
    """The side in pixels of the square images in the store, for training (before crops) and for testing."""

    train: int = 256
    test: int = 224


@dataclass(frozen=True)
class Archive:
    """An archive that the data set's owner publishes; it is unpacked into the source folder."""

    url: str
    bytes: int
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
    to the pixels as stored.
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


def load_card(name: str) -> Card:
    """The card `datasets/<name>.toml`; `<name>@option=value,...` is the same card with these options changed.

    Every card also has the option `size`: see `at`. For an unknown name or option, InputError lists those
    that exist.
    """
    if base(name) not in names():
        raise unknown("data set", base(name), names())
    changes = [change for change in name.partition("@")[2].split(",") if change]
    if wrong := [change for change in changes if "=" not in change or "/" in change]:
        raise InputError(f"data set {name}: {wrong[0]!r} is not option=value, as in nuswide@keep=all")
    options = dict(change.split("=", 1) for change in changes)
    size = options.pop("size", None)
    card = read(CARDS / f"{base(name)}.toml", changes=options)
    if size is None:
        return card
    if not (size.isdecimal() and int(size)):
        raise InputError(f"data set {name}: size={size} is not a number of pixels; write it as in size=448")
    return at(card, int(size))


def at(card: Card, size: int) -> Card:
    """The card with test images of `size` x `size` pixels, and training images scaled in proportion.

    Images of another size than the card's are in a store of their own: `coco@size=448`.
    """
    if size == card.sizes.test:
        return card
    options = [*filter(None, card.name.partition("@")[2].split(","))]
    if any(option.startswith("size=") for option in options):
        raise InputError(
            f"{card.name}: the recipe needs images of {size} pixels; change it with --set input_size=PIXELS"
        )
    sizes = Sizes(train=round(size * card.sizes.train / card.sizes.test), test=size)
    return dataclasses.replace(card, name=_name(card.file, sorted([*options, f"size={size}"])), sizes=sizes)


def _name(file: str, options: Sequence[str]) -> str:
    return "@".join(filter(None, [Path(file).stem, ",".join(options)]))


def read(path: Path, *, changes: Mapping[str, str] | None = None) -> Card:
    """The card in a file, with some options changed; InputError names the file and the wrong key or value."""
    try:
        table = tomllib.loads(path.read_bytes().decode())
        changed = _change(table.get("options", {}), changes or {})
        card = build(Card, {"name": _name(path.name, changed), **table}, where="")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, InputError) as error:
        raise InputError(f"{path.name}: {error}") from error
    if len(set(card.labels)) != len(card.labels) or not card.labels:
        raise InputError(f"{path.name}: labels must be a list of different names")
    return _counting_by_options(card)


def _change(options: dict[str, Any], changes: Mapping[str, str]) -> list[str]:
    """Set existing options to values given as text; returns `name=text` of those whose value changed."""
    changed = []
    for name, text in sorted(changes.items()):
        if name not in options:
            raise unknown("option", name, options)
        try:
            value = text if type(options[name]) is str else tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError as error:
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
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=vars).encode()).hexdigest()


def build(kind: Any, table: Mapping[str, Any], *, where: str) -> Any:
    """An instance of a dataclass from a TOML table; no type is converted.

    where: the prefix of keys in messages, as in `options.`. Raises InputError for an unknown key, a missing
    key, and a value of the wrong type.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in table:
        if key not in fields:
            raise unknown("key", where + key, fields)
    missing = [where + name for name, field in fields.items() if name not in table and _required(field)]
    if missing:
        raise InputError(f"missing: {', '.join(missing)}")
    return kind(**{key: _value(fields[key].type, value, where=where + key) for key, value in table.items()})


def _required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _value(kind: Any, value: Any, *, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise InputError(f"{where} must be a table")
        return build(kind, value, where=f"{where}.")
    if get_origin(kind) is tuple:
        return _items(get_args(kind)[0], value, where=where)
    if kind in TYPE_NAMES and type(value) is not kind:
        raise InputError(f"{where} must be {TYPE_NAMES[kind]}, not {value!r}")
    if (choices := _choices(kind)) and value not in choices:
        raise unknown(where, str(value), choices)
    if kind == Mapping[str, Any] and not isinstance(value, dict):
        raise InputError(f"{where} must be a table")
    return value


def _items(kind: Any, value: Any, *, where: str) -> tuple[Any, ...]:
    item_type, plural = (str, "names") if kind is str else (dict, "tables")
    if not isinstance(value, list) or not all(isinstance(item, item_type) for item in value):
        raise InputError(f"{where} must be a list of {plural}")
    return tuple(_value(kind, item, where=f"{where}[{index}]") for index, item in enumerate(value))


def _choices(kind: Any) -> list[str]:
    """The values that a Literal type allows; the type may be a union with None."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [choice for part in get_args(kind) for choice in _choices(part)]
