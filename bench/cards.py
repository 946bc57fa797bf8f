"""`datasets/*.toml` -> a frozen `Card`: what a data set claims to be. Preparation believes it only after counting."""

import dataclasses
import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.errors import InputError, unknown
from bench.paths import CARDS

Top3 = Literal["forced", "thresholded"]
Unspecified = Literal["negative", "excluded"]


@dataclass(frozen=True)
class Split:
    """What one split must count up to: images, and positive entries over all labels (0: not known)."""

    images: int
    positives: int = 0


@dataclass(frozen=True)
class Sizes:
    """Side in pixels of the square images in the store, for training (before crops) and for testing."""

    train: int = 256
    test: int = 224


@dataclass(frozen=True)
class Evaluation:
    """How the paper scores this data set (reference: the evaluation protocol of each published table)."""

    profile: str = "srn2017"
    top3: Top3 | None = None
    unspecified: Unspecified | None = None


@dataclass(frozen=True)
class Card:
    """One data set: its labels in order, its splits, how its files are read and how it is scored."""

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
    evaluation: Evaluation = Evaluation()
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    sha256: str = ""


def names() -> list[str]:
    """All cards of this checkout, by file name."""
    return sorted(path.stem for path in CARDS.glob("*.toml"))


def load(name: str) -> Card:
    """The card `datasets/<name>.toml`; InputError lists the cards there are."""
    if name not in names():
        raise unknown("data set", name, names())
    return read(CARDS / f"{name}.toml")


def read(path: Path) -> Card:
    """The card in a file; a key, type or value that does not belong is an InputError that names file and key."""
    text = path.read_bytes()
    try:
        table = tomllib.loads(text.decode())
        card = _build(Card, {"name": path.stem, **table, "sha256": hashlib.sha256(text).hexdigest()}, where="")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, InputError) as mistake:
        raise InputError(f"{path.name}: {mistake}") from mistake
    if len(set(card.labels)) != len(card.labels) or not card.labels:
        raise InputError(f"{path.name}: labels must be a list of different names")
    return card


def _build(kind: Any, table: Mapping[str, Any], *, where: str) -> Any:
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
        return _build(kind, value, where=f"{where}.")
    if kind == tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise InputError(f"{where} must be a list of names")
        return tuple(value)
    if kind in (str, int) and type(value) is not kind:
        raise InputError(f"{where} must be {'text' if kind is str else 'a whole number'}, not {value!r}")
    choices = [item for literal in getattr(kind, "__args__", ()) for item in getattr(literal, "__args__", ())]
    if choices and value not in choices:
        raise unknown(where, str(value), choices)
    if kind == Mapping[str, Any] and not isinstance(value, dict):
        raise InputError(f"{where} must be a table")
    return value
