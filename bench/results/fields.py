"""Check the fields of record files and of published tables: required keys, types, percentages."""

import json
import math
from collections.abc import Collection, Mapping
from typing import Any

from bench.base.errors import InputError

NULL = type(None)
TYPE_NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number with a decimal point",
    dict: "an object",
    list: "a list",
    bool: "true or false",
    NULL: "null",
}


def require_key(table: Mapping[str, Any], key: str, *, name: str) -> None:
    """InputError unless the table has the key; `name` is the key as the message gives it."""
    if key not in table:
        raise InputError(f"{name} is missing")


def check_type(value: object, types: Collection[type], *, name: str) -> None:
    """InputError unless the value has exactly one of the types; so True is not a whole number."""
    if type(value) not in types:
        allowed = " or ".join(TYPE_NAMES[kind] for kind in types)
        raise InputError(f"{name} must be {allowed}, not {_excerpt(value)}")


def check_percentage(value: Any, *, name: str, rounding: float = 0.0) -> None:
    """InputError unless the value is a number from 0 to 100, with a rounding error of at most `rounding`."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (is_number and math.isfinite(value) and -rounding <= value <= 100 + rounding):
        raise InputError(f"{name} must be a number from 0 to 100, not {_excerpt(value)}")


def _excerpt(value: object) -> str:
    return json.dumps(value, default=str)[:40]
