"""The rows of a table that show printed numbers: of the first paper, of later ones, and of others' runs."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from bench.base import method_names
from bench.base.method_names import normalised
from bench.base.protocol import Column, Values
from bench.data import cards
from bench.results import listing, table_formats
from bench.results.published_rows import NOT_KNOWN, PublishedRow, PublishedTable
from bench.results.table_model import TableRow

USUAL_PRETRAINING = "ImageNet-1k"


def printed_rows(paper: PublishedTable | None, dataset: str, profile: str) -> Iterator[TableRow]:
    """The rows that papers print, then those of later papers and others' reproductions, with their marks.

    dataset: with its options. profile: of the data set's paper; a value that differs in one has a remark.
    """
    if paper is None:
        return
    method_of = {normalised(method): method for method in method_names.method_summaries()}
    source: Literal["paper", "later", "others"]
    for source, rows in (("paper", paper.rows), ("later", paper.later), ("others", paper.others)):
        for row in rows:
            values = printed_values(row)
            yield TableRow(
                source=source,
                method=method_of.get(normalised(row.name), row.name),
                title=row.name,
                variant=_setting(row, paper),
                values=values,
                marks=_marks(row, paper, source),
                remarks=_joined(
                    _variant_remarks(row, dataset),
                    profile_remarks(values, row.profile, profile),
                    _f1c_remarks(row),
                    _second_hand_remarks(row),
                ),
                facts=_facts(row, paper),
            )


def _marks(row: PublishedRow, paper: PublishedTable, source: str) -> dict[str, str]:
    """The row's own marks; with its source, if it is another's reproduction or second-hand in a later row."""
    if source == "others":
        return {row.source: str(paper.sources[row.source]), **row.marks}
    return {**(listing.second_hand(row) if source == "later" else {}), **row.marks}


def _setting(row: PublishedRow, paper: PublishedTable) -> str:
    """Trunk, input size and unusual pretraining; without what all rows share and a trunk that is the name."""
    if row.setting == paper.common_setting and not row.pretraining:
        return ""
    setting = row.setting.removeprefix(row.name).strip() if row.trunk == row.name else row.setting
    more = row.pretraining if row.pretraining != USUAL_PRETRAINING else ""
    return ", ".join(filter(None, [setting, more]))


def _facts(row: PublishedRow, paper: PublishedTable) -> dict[str, Any]:
    return {
        "year": paper.year(row),
        "profile": row.profile,
        "f1c": row.convention.f1_c if row.convention else row.f1c,
        "trunk": row.trunk,
        "input_size": row.input_size,
        "pretraining": row.pretraining,
        "selection": row.selection,
        "images": row.variant,
        "read": "second-hand" if row.cites else "first-hand",
        "printed_in": str(paper.sources[row.source]),
        "cites": row.cites,
        "columns_from": str(paper.sources[row.columns_from]) if row.columns_from else "",
        **({"AP": dict(row.AP)} if row.AP else {}),
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
    if profile == NOT_KNOWN:
        return dict.fromkeys(values, "profile not known")
    return dict.fromkeys(values, f"profile {profile}, not {expected}") if profile != expected else {}


def _f1c_remarks(row: PublishedRow) -> dict[Column, str]:
    """A remark on each F1-C that the paper computes as a harmonic mean, against its profile."""
    if row.f1c != "harmonic":
        return {}
    return {column: table_formats.HARMONIC for column in printed_values(row) if column[1] == "F1-C"}


def _second_hand_remarks(row: PublishedRow) -> dict[Column, str]:
    """A remark on each value but mAP that was read in another's table than the row."""
    if not row.columns_from:
        return {}
    remark = f"second-hand, read in {row.columns_from.upper()}"
    return {column: remark for column in printed_values(row) if column[1] != "mAP"}
