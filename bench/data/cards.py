"""`datasets/*.toml` -> a frozen `Card`: what a data set claims to be, believed only after counting."""

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

KINDS = {str: "text", int: "a whole number", bool: "true or false"}


@dataclass(frozen=True)
class Split:
    """What one split must count up to: images, and positive entries over all labels (0: not known).

    approximate: the numbers are not those of every copy: a difference is reported, not refused.
    """

    images: int
    positives: int = 0
    approximate: bool = False


@dataclass(frozen=True)
class Sizes:
    """Side in pixels of the square images in the store, for training (before crops) and for testing."""

    train: int = 256
    test: int = 224


@dataclass(frozen=True)
class Archive:
    """A file that its owner offers openly; it is unpacked into the source folder as it is."""

    url: str
    bytes: int
    md5: str


@dataclass(frozen=True)
class Variant:
    """What the splits count up to when the card has these options instead of the paper's."""

    options: Mapping[str, Any]
    train: Split
    test: Split


@dataclass(frozen=True)
class Card:
    """One data set: its labels in order, its splits, how its files are read and how it is scored.

    name: of its file, and which options are changed, as in `nuswide@keep=all`: its folder in data and runs.
    obtain: what to get, from whom, and how to lay it out in the source folder, as the end of a sentence.
    not_offered: what of that is not in the archives; "": nothing.
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
    evaluation: Evaluation = dataclasses.field(default_factory=Evaluation)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    variants: tuple[Variant, ...] = ()
    obtain: str = ""
    archives: tuple[Archive, ...] = ()
    not_offered: str = ""
    sha256: str = ""

    @property
    def file(self) -> str:
        """The name of the card's file."""
        return f"{base(self.name)}.toml"


def names() -> list[str]:
    """All cards of this checkout, by file name."""
    return sorted(path.stem for path in CARDS.glob("*.toml"))


def base(name: str) -> str:
    """The card's file name in a data set's name: `nuswide` of `nuswide@keep=all`."""
    return name.partition("@")[0]


def load_card(name: str) -> Card:
    """The card `datasets/<name>.toml`; `<name>@option=value,...` is the same with these options changed.

    Beside its own options every card has `size`: see `at`. InputError lists the cards, or the options, that
    there are.
    """
    if base(name) not in names():
        raise unknown("data set", base(name), names())
    changes = [change for change in name.partition("@")[2].split(",") if change]
    if wrong := [change for change in changes if "=" not in change or "/" in change]:
        raise InputError(f"data set {name}: {wrong[0]!r} is no option=value, as in nuswide@keep=all")
    options = dict(change.split("=", 1) for change in changes)
    size = options.pop("size", None)
    card = read(CARDS / f"{base(name)}.toml", changes=options)
    if size is None:
        return card
    if not (size.isdecimal() and int(size)):
        raise InputError(f"data set {name}: size={size}: a number of pixels expected, as in size=448")
    return at(card, int(size))


def at(card: Card, size: int) -> Card:
    """The card with test images of `size` x `size` pixels, and training images larger in proportion.

    Another size than the card's is another store beside the first one: `coco@size=448`.
    """
    if size == card.sizes.test:
        return card
    options = [*filter(None, card.name.partition("@")[2].split(","))]
    if any(option.startswith("size=") for option in options):
        raise InputError(
            f"{card.name}: the recipe asks for {size} pixels; change that: --set input_size=PIXELS"
        )
    sizes = Sizes(train=round(size * card.sizes.train / card.sizes.test), test=size)
    return dataclasses.replace(card, name=_name(card.file, sorted([*options, f"size={size}"])), sizes=sizes)


def _name(file: str, options: Sequence[str]) -> str:
    return "@".join(filter(None, [Path(file).stem, ",".join(options)]))


def read(path: Path, *, changes: Mapping[str, str] | None = None) -> Card:
    """The card in a file; InputError names file and key where a key, type or value does not belong."""
    text = path.read_bytes()
    try:
        table = tomllib.loads(text.decode())
        changed = _change(table.get("options", {}), changes or {})
        card = build(
            Card,
            {"name": _name(path.name, changed), **table, "sha256": hashlib.sha256(text).hexdigest()},
            where="",
        )
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, InputError) as mistake:
        raise InputError(f"{path.name}: {mistake}") from mistake
    if len(set(card.labels)) != len(card.labels) or not card.labels:
        raise InputError(f"{path.name}: labels must be a list of different names")
    return _counting_by_options(card)


def _change(options: dict[str, Any], changes: Mapping[str, str]) -> list[str]:
    """Set options, which are there already, to values given as text; returns those that are others now."""
    changed = []
    for name, text in sorted(changes.items()):
        if name not in options:
            raise unknown("option", name, options)
        try:
            value = text if type(options[name]) is str else tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError as mistake:
            raise InputError(f"option {name} must be written as in the card, not {text!r}") from mistake
        if value != options[name]:
            options[name] = value
            changed.append(f"{name}={text}")
    return changed


def _counting_by_options(card: Card) -> Card:
    """The card with the counts of the variant whose options it has, if there is one."""
    for variant in card.variants:
        if variant.options.items() <= card.options.items():
            return dataclasses.replace(card, train=variant.train, test=variant.test)
    return card


def store_digest(card: Card) -> str:
    """SHA-256 of what determines the prepared store; wording, sources and metrics may change."""
    facts = [card.format, card.labels, card.train, card.test, card.sizes, dict(card.options)]
    if card.evaluation.result_files:  # the readers then leave the test labels out
        facts.append("no test labels")
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=vars).encode()).hexdigest()


def build(kind: Any, table: Mapping[str, Any], *, where: str) -> Any:
    """A dataclass from a TOML table, refusing what it does not know, lacks, or would have to guess."""
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
    if kind in KINDS and type(value) is not kind:
        raise InputError(f"{where} must be {KINDS[kind]}, not {value!r}")
    if (choices := _choices(kind)) and value not in choices:
        raise unknown(where, str(value), choices)
    if kind == Mapping[str, Any] and not isinstance(value, dict):
        raise InputError(f"{where} must be a table")
    return value


def _items(kind: Any, value: Any, *, where: str) -> tuple[Any, ...]:
    wanted, what = (str, "names") if kind is str else (dict, "tables")
    if not isinstance(value, list) or not all(isinstance(item, wanted) for item in value):
        raise InputError(f"{where} must be a list of {what}")
    return tuple(_value(kind, item, where=f"{where}[{place}]") for place, item in enumerate(value))


def _choices(kind: Any) -> list[str]:
    """What a Literal allows, alone or with None beside it."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [choice for part in get_args(kind) for choice in _choices(part)]
