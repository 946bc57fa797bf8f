"""Check tables of TOML and JSON, and recipes, against the types and ranges of a dataclass's fields.

A field's type says what it takes. Its range, where it has one, stands beside it, as in
`epochs: Annotated[int, Range(1, 1000)] = 30`; a subclass that gives another default keeps the range.
"""

import dataclasses
import inspect
import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from bench.base.errors import InputError, unknown

TYPE_NAMES = {  # in messages
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}
LONGEST_SHOWN = 40  # characters of a wrong value that a message shows


@dataclass(frozen=True)
class Range:
    """The numbers that a field takes: finite, from `least` to `most`, or above and below others.

    Of a tuple it holds for every number in it; rising: and each must be higher than the one before.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    rising: bool = False

    def __contains__(self, value: float) -> bool:
        return (
            math.isfinite(value)
            and (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        """The range in words.

        >>> print(Range(1, 64), Range(above=0), Range(0, below=1), Range(above=0, most=1), sep="; ")
        from 1 to 64; above 0; from 0, below 1; above 0, at most 1
        """
        if self.least is not None and self.most is not None:
            return f"from {self.least} to {self.most}"
        words = {"from": self.least, "above": self.above, "at most": self.most, "below": self.below}
        return ", ".join(f"{word} {limit}" for word, limit in words.items() if limit is not None)


def build(kind: Any, table: object, *, where: str, given: Mapping[str, Any] | None = None) -> Any:
    """An instance of a dataclass from a table of TOML or JSON; no type is converted.

    where: the prefix of keys in messages, as in `options.`. given: values of fields that are no keys of the
    table. Raises InputError for an unknown key, a missing
    key, and a value of the wrong type or out of its range.
    """
    if not isinstance(table, dict):
        raise InputError(f"{where.rstrip('.') or 'it'} must be a table")
    given = given or {}
    fields = {field.name: field for field in dataclasses.fields(kind) if field.name not in given}
    for key in table:
        if key not in fields:
            raise unknown("key", where + str(key)[:LONGEST_SHOWN], fields)
    if missing := [where + name for name, field in fields.items() if name not in table and _required(field)]:
        raise InputError(f"missing: {', '.join(missing)}")
    types = field_types(kind)
    values = {key: read_value(types[key], value, where=where + key) for key, value in table.items()}
    return kind(**given, **values)


def field_types(kind: Any) -> dict[str, Any]:
    """The types of a dataclass's fields, with their ranges, those of its base classes included."""
    types: dict[str, Any] = {}
    for owner in reversed(kind.__mro__):
        for name, new in inspect.get_annotations(owner, eval_str=True).items():
            old = types.get(name)
            keeps_range = get_origin(old) is Annotated and get_origin(new) is not Annotated
            types[name] = Annotated[new, *old.__metadata__] if keeps_range else new  # type: ignore[union-attr]
    return {field.name: types[field.name] for field in dataclasses.fields(kind)}


def check_ranges(instance: Any, *, where: str = "") -> None:
    """Raise InputError for the first field of a dataclass's instance that is out of its range.

    where: what the message says before the field's name.
    """
    for name, kind in field_types(type(instance)).items():
        if get_origin(kind) is Annotated:
            _check_range(kind, getattr(instance, name), where=where + name)


def read_value(kind: Any, value: object, *, where: str) -> Any:  # noqa: PLR0911 (a case for each kind of type)
    """The value of a field of this type as TOML or JSON have it: lists become tuples, tables dataclasses.

    where: the field's name in messages. Raises InputError for a value of the wrong type or out of its range.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        result = read_value(parts[0], value, where=where)
        _check_range(kind, result, where=where)
        return result
    if dataclasses.is_dataclass(kind):
        return build(kind, value, where=f"{where}.")
    if origin is tuple:
        return _items(parts[0], value, where=where)
    if origin in (Union, UnionType):
        (given,) = (part for part in parts if part is not NoneType)
        return None if value is None and NoneType in parts else read_value(given, value, where=where)
    if origin is Literal:
        if value not in parts:
            raise unknown(where, str(value)[:LONGEST_SHOWN], parts)
        return value
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _entries(parts[1], value, where=where)
    is_right = type(value) is kind or (kind is float and type(value) is int)
    if kind in TYPE_NAMES and not is_right:
        raise InputError(f"{where} must be {TYPE_NAMES[kind]}, not {shown(value)}")
    return value


def shown(value: object) -> str:
    """A wrong value as messages show it: at most so many characters that the message can be read."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def _required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _items(kind: Any, value: object, *, where: str) -> tuple[Any, ...]:
    plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    plural = {str: "names", int: "whole numbers", float: "numbers"}.get(plain, "tables")
    allowed: Any = {str: str, int: int, float: (int, float)}.get(plain, dict)
    if not isinstance(value, list) or not all(isinstance(item, allowed) for item in value):
        raise InputError(f"{where} must be a list of {plural}")
    return tuple(read_value(kind, item, where=f"{where}[{index}]") for index, item in enumerate(value))


def _entries(kind: Any, value: object, *, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where} must be a table")
    return {key: read_value(kind, entry, where=f"{where}.{key}") for key, entry in value.items()}


def _check_range(kind: Any, value: Any, *, where: str) -> None:
    """Raise InputError unless the value is in the Range of its annotated type; None is in every range."""
    for limit in get_args(kind)[1:]:
        if not isinstance(limit, Range) or value is None:
            continue
        is_many = isinstance(value, tuple)
        numbers: Iterable[float] = value if is_many else (value,)
        in_order = not (limit.rising and is_many) or all(a < b for a, b in itertools.pairwise(value))
        if not in_order or not all(number in limit for number in numbers):
            text = ",".join(map(str, value)) if is_many else str(value)
            raise InputError(f"{where}={text[:LONGEST_SHOWN]}: give {_allowed(kind, limit)}")


def _allowed(kind: Any, limit: Range) -> str:
    """What a field takes, in words: `a whole number from 1 to 64, or none`."""
    (plain, *_) = get_args(kind)
    is_whole, is_many = "int" in str(plain), get_origin(plain) is tuple
    number = f"{'' if is_many else 'a '}{'whole ' if is_whole else ''}number{'s' if is_many else ''} {limit}"
    rising = ", each higher than the one before" if limit.rising else ""
    return number + rising + (", or none" if NoneType in get_args(plain) else "")
