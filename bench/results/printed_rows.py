"""The rows of a table that show printed numbers: of the papers, and of others who trained again."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from bench.base import method_names
from bench.base.method_names import normalised
from bench.base.protocol import Column, Values
from bench.data import cards
from bench.results import table_formats
from bench.results.published_rows import PublishedRow, PublishedTable
from bench.results.table_model import TableRow


def printed_rows(paper: PublishedTable | None, dataset: str, profile: str) -> Iterator[TableRow]:
    """The rows that papers print of their own methods, then others' reproductions, marked with their source.

    dataset: with its options. profile: of the data set's paper; a value that differs in one has a remark.
    """
    if paper is None:
        return
    method_of = {normalised(method): method for method in method_names.method_summaries()}
    source: Literal["paper", "others"]
    for source, rows in (("paper", paper.rows), ("others", paper.others)):
        for row in rows:
            values = printed_values(row)
            yield TableRow(
                source=source,
                method=method_of.get(normalised(row.name), row.name),
                title=row.name,
                variant=_setting(row, paper),
                values=values,
                marks={row.source: str(paper.sources[row.source]), **row.marks}
                if source == "others"
                else row.marks,
                remarks=_joined(
                    _variant_remarks(row, dataset),
                    profile_remarks(values, row.profile, profile),
                    _f1c_remarks(row),
                ),
                facts=_facts(row, paper),
            )


def _setting(row: PublishedRow, paper: PublishedTable) -> str:
    """Trunk and input size; without those that all rows share, and without a trunk that is the row's name."""
    if row.setting == paper.common_setting:
        return ""
    return f"at {row.input_size}" if row.input_size and row.trunk == row.name else row.setting


def _facts(row: PublishedRow, paper: PublishedTable) -> dict[str, Any]:
    return {
        "profile": row.profile,
        "f1c": row.convention.f1_c,
        "trunk": row.trunk,
        "input_size": row.input_size,
        "images": row.variant,
        "printed_in": str(paper.sources[row.source]),
        "cites": row.cites,
    }


def printed_values(row: PublishedRow) -> dict[Column, float]:
    values = {("all", name): value for name, value in row.all.items()}
    return values | {("top3", name): value for name, value in row.top3.items()}


def _joined(*parts: Mapping[Column, str]) -> dict[Column, str]:
    """All remarks on a value as one."""
    columns = dict.fromkeys(column for part in parts for column in part)
    return {column: "; ".join(part[column] for part in parts if column in part) for column in columns}


def _variant_remarks(row: PublishedRow, dataset: str) -> dict[Column, str]:
    """A remark on each value if it is on other images than the table's."""
    if row.variant == cards.variant(dataset):
        return {}
    return dict.fromkeys(printed_values(row), f"on {row.images(cards.base(dataset))}")


def profile_remarks(values: Values, profile: str, expected: str) -> dict[Column, str]:
    """A remark on each value if its profile is not that of the data set's paper."""
    return dict.fromkeys(values, f"profile {profile}, not {expected}") if profile != expected else {}


def _f1c_remarks(row: PublishedRow) -> dict[Column, str]:
    """A remark on each F1-C that the paper computes as a harmonic mean, against its profile."""
    if row.f1c != "harmonic":
        return {}
    return {column: table_formats.HARMONIC for column in printed_values(row) if column[1] == "F1-C"}
