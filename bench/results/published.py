"""Read the published results of a data set, with the papers that print them (`results/published/*.toml`).

`rows` are what a method's own paper prints, `later` what papers since 2018 print, `others` what others got
who trained a method again.

`results/published/SHA256SUMS` lists the checksum of each file, so that an edit of a file is noticed.
"""

import dataclasses
import hashlib
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from bench.base import paths
from bench.base.errors import InputError, unknown
from bench.base.protocol import ALL, TOP3, Top3
from bench.base.structured_files import read_text, read_toml
from bench.data import cards
from bench.results.fields import check_percentage, check_type, require_key
from bench.results.published_rows import NOT_KNOWN, PublishedRow, PublishedTable, Source
from bench.scoring import profiles

SUMS = "SHA256SUMS"  # in the layout of the program sha256sum, in the folder of the files
EDITED = "edited by hand"
EDITED_MEANING = (
    "published rows differ from those of the release: {path} does not have the checksum in "
    + SUMS
    + "; take "
    "the file back with git checkout, or, if the change is right, run sha256sum *.toml > " + SUMS + " there"
)


def published_datasets() -> list[str]:
    """The names of the data sets with published results."""
    return sorted(path.stem for path in paths.PUBLISHED.glob("*.toml"))


def known_datasets() -> list[str]:
    """The names of the data sets with a card, with published results, or with both."""
    return sorted({*cards.names(), *published_datasets()})


def full_dataset_name(name: str) -> str:
    """The name of the data set's folders; InputError with the list of data sets if the name is unknown."""
    if cards.base(name) not in known_datasets():
        raise unknown("data set", cards.base(name), known_datasets())
    return cards.load_card(name).name if "@" in name else name


def load_published(name: str) -> PublishedTable | None:
    """The published results of a data set (options after `@` are ignored); None if it has none."""
    stem = cards.base(full_dataset_name(name))
    if stem not in published_datasets():
        return None
    path = paths.PUBLISHED / f"{stem}.toml"
    table = read_published_file(path)
    if not is_edited(path):
        return table
    mark = {EDITED: EDITED_MEANING.format(path=f"results/published/{path.name}")}
    rows, others, later = (
        tuple(dataclasses.replace(row, marks={**row.marks, **mark}) for row in part)
        for part in (table.rows, table.others, table.later)
    )
    return dataclasses.replace(table, rows=rows, others=others, later=later)


def elsewhere(dataset: str, method: str, row: PublishedRow | None) -> str:
    """Where the published row of a method is comparable, with the command; empty: on this data set.

    dataset: with its options. row: the published row of the method, its trunk and input size, if any.
    """
    if row is None or row.variant == cards.variant(dataset):
        return ""
    base = cards.base(dataset)
    there = row.images(base)
    remedy = f"to compare with it: python -m bench.run --dataset {there} --method {method}"
    if not there.startswith(base):
        remedy = f"no variant of {base} has these images"
    return f"the published row of {row.name} is on {there}; {remedy}"


def is_edited(path: Path) -> bool:
    """Whether a file is not the one whose checksum is listed; one without a checksum is a user's."""
    sums = path.with_name(SUMS)
    lines = read_text(sums).splitlines() if sums.exists() else []
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    digest = hashlib.sha256(read_text(path).encode()).hexdigest()
    return listed.get(path.name, digest) != digest


def read_published_file(path: Path) -> PublishedTable:
    """The published results in a file; InputError gives the file, the row and what is wrong."""
    table = read_toml(path)
    try:
        return _parse_table(table)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error


def _parse_table(table: Mapping[str, Any]) -> PublishedTable:
    _check_keys(PublishedTable, table, where="the file")
    for name in table["columns"]:
        if name not in ALL:
            raise unknown("column", str(name), ALL)
    if table.get("top3") not in (None, *get_args(Top3)):
        raise unknown("top3 of the file", table["top3"], get_args(Top3))
    if not table["sources"]:
        raise InputError("sources: at least one is needed")
    sources = {key: _parse_source(key, entry) for key, entry in table["sources"].items()}
    parts = {
        part: tuple(_parse_row(entry, sources, table["columns"]) for entry in table.get(part, ()))
        for part in ("rows", "others", "later")
    }
    return PublishedTable(**{**table, "columns": tuple(table["columns"]), "sources": sources, **parts})


def _parse_source(key: str, entry: Any) -> Source:
    check_type(entry, (dict,), name=f"source {key!r}")
    _check_keys(Source, entry, where=f"source {key!r}")
    return Source(**entry)


def _parse_row(entry: Any, sources: Iterable[str], columns: Iterable[str]) -> PublishedRow:
    check_type(entry, (dict,), name="each of rows")
    where = f"row {entry.get('name')!r}"
    _check_keys(PublishedRow, entry, where=where)
    row = PublishedRow(**entry)
    for source in filter(None, (row.source, row.columns_from)):
        if source not in sources:
            raise unknown(f"source of {where}", source, sources)
    if row.f1c not in ("", "mean", "harmonic"):
        raise unknown(f"f1c of {where}", row.f1c, ("mean", "harmonic"))
    if row.profile not in (known := (*profiles.PROFILES, NOT_KNOWN)):
        raise unknown(f"profile of {where}", row.profile, known)
    _check_numbers(row.all, columns, where=f"all of {where}")
    _check_numbers(row.top3, TOP3, where=f"top3 of {where}")
    _check_numbers(row.AP, row.AP, where=f"AP of {where}")
    for mark, meaning in row.marks.items():
        check_type(meaning, (str,), name=f"{where}: marks.{mark}")
    return row


def _check_keys(kind: Any, entry: Mapping[str, Any], *, where: str) -> None:
    """InputError unless the keys are fields of the dataclass, each value has its field's type, and all fields
    without a default are there.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in entry:
        if key not in fields:
            raise unknown(f"key of {where}", key, fields)
        check_type(entry[key], (_toml_type(fields[key].type),), name=f"{where}: {key}")
    for name, item in fields.items():
        if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            require_key(entry, name, name=f"{where}: {name}")


def _toml_type(annotation: Any) -> type:
    """The type that TOML has for a field: text, whole number, list or table."""
    if get_origin(annotation) is types.UnionType or type(None) in get_args(annotation):  # X | None
        return _toml_type(get_args(annotation)[0])
    kinds: dict[Any, type] = {Literal: str, Mapping: dict, tuple: list}
    kind: type = kinds.get(get_origin(annotation), annotation)
    return kind


def _check_numbers(values: Mapping[str, Any], names: Iterable[str], *, where: str) -> None:
    for name, value in values.items():
        if name not in names:
            raise unknown(f"metric in {where}", name, names)
        check_type(value, (float,), name=f"{where}: {name}")
        check_percentage(value, name=f"{where}: {name}")
