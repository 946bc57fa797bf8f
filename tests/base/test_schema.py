"""The schema: types and ranges of a dataclass's fields, for tables and for recipes."""

import doctest
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest

from bench.base import schema
from bench.base.errors import InputError
from bench.base.schema import Range


@dataclass(frozen=True)
class Inner:
    side: Annotated[int, Range(1, 9)] = 1


@dataclass(frozen=True)
class Outer:
    share: Annotated[float, Range(above=0, most=1)]
    inner: Inner = Inner()
    numbers: Annotated[tuple[int, ...], Range(0, rising=True)] = ()
    kind: Literal["a", "b"] | None = None
    counts: Mapping[str, Annotated[int, Range(0)]] | None = None
    flag: bool = False


@dataclass(frozen=True)
class Other(Outer):
    share: float = 0.5


def test_a_table_becomes_the_dataclass():
    table = {"share": 1, "inner": {"side": 3}, "numbers": [1, 2], "kind": "b", "counts": {"x": 4}}
    assert schema.build(Outer, table, where="") == Outer(1, Inner(3), (1, 2), "b", {"x": 4})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"share": True}, "share must be a number, not true"),
        ({"share": 0}, "share=0: give a number above 0, at most 1"),
        ({"share": float("nan")}, "share=nan: give a number above 0, at most 1"),
        ({"share": float("inf")}, "share=inf: give a number above 0, at most 1"),
        ({"share": "x" * 99}, "share must be a number, not 'xxx"),
        ({"inner": []}, "inner must be a table"),
        ({"inner": {"side": 10}}, "inner.side=10: give a whole number from 1 to 9"),
        ({"numbers": [2, 2]}, "numbers=2,2: give whole numbers from 0, each higher than the one before"),
        ({"numbers": [1, "a"]}, "numbers must be a list of whole numbers"),
        ({"kind": []}, "unknown kind '[]'; choose from: a, b"),
        ({"counts": {"x": -1}}, "counts.x=-1: give a whole number from 0"),
        ({"flag": 1}, "flag must be true or false, not 1"),
        ({"size": 1}, "unknown key 'size'; choose from: share, inner"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str):
    with pytest.raises(InputError) as caught:
        schema.build(Outer, {"share": 1, **change}, where="")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("table", [None, [], "x", 3])
def test_what_is_no_table_is_refused(table: object):
    with pytest.raises(InputError, match="inner must be a table"):
        schema.build(Inner, table, where="inner.")


def test_a_subclass_with_another_default_keeps_the_range():
    with pytest.raises(InputError, match="share=2: give a number above 0, at most 1"):
        schema.check_ranges(Other(2))


def test_the_doctests_hold():
    assert doctest.testmod(schema).failed == 0
