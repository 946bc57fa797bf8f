"""The data of a results table, and its two formats for programs, CSV and JSON, with all digits.

The formats for readers are in `bench/results/typeset.py`.
"""

import csv
import io
import json
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.base.csv_cells import safe_cell
from bench.base.protocol import GROUPS, Column, Values, column_name


@dataclass(frozen=True)
class TableRow:
    """One row: a method as published, as others or we reproduced it, or a file that was scored; in percent.

    n: number of seeds (None: not known). lines: further lines below the values; keys as in `typeset.LINES`.
    marks: word beside the name -> what it means. remarks: notes on single values.
    remedy: the command that makes the records, where there are none. facts: further keys of the JSON object.
    section: the heading it stands under ("": that of its source).
    """

    source: Literal["paper", "later", "others", "reproduced", "scored"]
    method: str
    title: str
    variant: str = ""
    n: int | None = None
    values: Values = field(default_factory=dict)
    lines: Mapping[str, Mapping[Column, float | str]] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[Column, str] = field(default_factory=dict)
    remedy: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    section: str = ""

    @property
    def name(self) -> str:
        """Title, variant and marks: `ResNet-101 [budget=equal] (partial)`."""
        variant = f" [{self.variant}]" if self.variant else ""
        return f"{self.title}{variant}" + "".join(f" ({mark})" for mark in self.marks)


@dataclass(frozen=True)
class Table:
    """Rows and columns, the text above (`about`, title first) and the notes below.

    records: where the results of the rows come from. lines: the further lines that a row may have; CSV and
    JSON have all of them in each row, also where they are empty. facts: those of the rows' facts that are
    columns of CSV.
    """

    dataset: str
    about: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...]
    records: str
    lines: tuple[str, ...] = ("std", "difference", "tolerance", "verdict")
    facts: tuple[str, ...] = ()

    @property
    def letters(self) -> dict[str, str]:
        """Remark -> the letter that is printed behind the values it belongs to."""
        remarks = [
            remark for row in self.rows for column, remark in row.remarks.items() if column in self.columns
        ]
        return dict(zip(dict.fromkeys(remarks), string.ascii_letters, strict=False))


def as_csv(table: Table) -> str:
    """One line per row: its values, then the values of its further lines under names such as "std mAP".

    A text that a spreadsheet would run as a formula begins with an apostrophe.
    """
    names = {column: column_name(column, top3="top3") for column in table.columns}
    headings = ["method", "title", "variant", "source", "n", "marks", "remarks", "run"]
    headings += ["group", *table.facts] if table.facts else []
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    below = [f"{line} {name}" for line in table.lines for name in names.values()]
    writer.writerow([*headings, *names.values(), *below])
    for row in table.rows:
        remarks = "; ".join(
            f"{names[column]}: {row.remarks[column]}" for column in names if column in row.remarks
        )
        facts = [
            row.method,
            row.title,
            row.variant,
            row.source,
            row.n,
            " ".join(row.marks),
            remarks,
            row.remedy,
        ]
        facts += [row.section, *(row.facts.get(fact) for fact in table.facts)] if table.facts else []
        parts = [row.values, *(row.lines.get(line, {}) for line in table.lines)]
        writer.writerow(
            [safe_cell(fact) for fact in facts]
            + [part.get(column) for part in parts for column in table.columns]
        )
    return buffer.getvalue()


def as_json(table: Table) -> str:
    """`{dataset, ..., rows: [{method, source, n, all: {...}, top3: {...}, std: {...}, ...}]}`."""
    facts = {"dataset": table.dataset, "about": table.about, "records": table.records, "notes": table.notes}
    rows = [_row_object(table, row) for row in table.rows]
    return json.dumps(facts | {"rows": rows}, indent=1, ensure_ascii=False) + "\n"


def _row_object(table: Table, row: TableRow) -> dict[str, Any]:
    names = ("method", "title", "variant", "source", "n")
    head: dict[str, Any] = {name: getattr(row, name) for name in names}
    below = {line: _nested(table, row.lines.get(line, {})) for line in table.lines}
    extra: dict[str, Any] = {"marks": dict(row.marks), "remarks": _nested(table, row.remarks)}
    extra |= {"run": row.remedy} if row.remedy else {}
    extra |= {"group": row.section} if row.section else {}
    return head | _nested(table, row.values) | below | extra | dict(row.facts)


def _nested(table: Table, values: Mapping[Column, float | str]) -> dict[str, Any]:
    """{"all": {"mAP": ..., ...}, "top3": {...}}; columns without a value are absent."""
    nested: dict[str, Any] = {group: {} for group in GROUPS}
    for group, metric in table.columns:
        if (group, metric) in values:
            nested.setdefault(group, {})[metric] = values[group, metric]
    return nested
