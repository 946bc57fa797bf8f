"""What a table holds, before it has a form, and its two forms for programs, CSV and JSON, with every digit.

The forms for readers are in `bench/results/typeset.py`.
"""

import csv
import io
import json
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.base.protocol import GROUPS, Column, Values


@dataclass(frozen=True)
class TableRow:
    """One method as a paper printed it or as its records have it, or a file that was scored; in percent.

    n: seeds (None: not known). lines: what stands below the values, by its name in `typeset.LINES`.
    marks: word beside the name -> what it means. remarks: what is to be known of a single number.
    remedy: the command that makes the records where there are none. facts: what else JSON states.
    """

    source: Literal["paper", "reproduced", "scored"]
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

    @property
    def name(self) -> str:
        """`ResNet-101 [budget=equal] (partial)`."""
        variant = f" [{self.variant}]" if self.variant else ""
        return f"{self.title}{variant}" + "".join(f" ({mark})" for mark in self.marks)


@dataclass(frozen=True)
class Table:
    """The rows, what stands above (its first line is the title) and below. records: which are shown.

    lines: what any row may have below its values, so that CSV and JSON are alike whatever there is.
    """

    dataset: str
    about: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...]
    records: str
    lines: tuple[str, ...] = ("std", "difference", "tolerance", "verdict")

    @property
    def letters(self) -> dict[str, str]:
        """Remark -> the letter behind the numbers that it is about."""
        shown = [text for row in self.rows for place, text in row.remarks.items() if place in self.columns]
        return dict(zip(dict.fromkeys(shown), string.ascii_lowercase, strict=False))


def as_csv(table: Table) -> str:
    """One line a row: its numbers, then those of each line below them, such as "std mAP"."""
    names = {column: _flat(column) for column in table.columns}
    heads = ["method", "title", "variant", "source", "n", "marks", "remarks", "run"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    below = [f"{line} {name}" for line in table.lines for name in names.values()]
    writer.writerow([*heads, *names.values(), *below])
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
        parts = [row.values, *(row.lines.get(line, {}) for line in table.lines)]
        writer.writerow(facts + [part.get(column) for part in parts for column in table.columns])
    return buffer.getvalue()


def _flat(column: Column) -> str:
    group, metric = column
    return metric if group == "all" else f"{group} {metric}"


def as_json(table: Table) -> str:
    """`{dataset, ..., rows: [{method, source, n, all: {...}, top3: {...}, std: {...}, ...}]}`."""
    facts = {"dataset": table.dataset, "about": table.about, "records": table.records, "notes": table.notes}
    rows = [_object(table, row) for row in table.rows]
    return json.dumps(facts | {"rows": rows}, indent=1, ensure_ascii=False) + "\n"


def _object(table: Table, row: TableRow) -> dict[str, Any]:
    names = ("method", "title", "variant", "source", "n")
    head: dict[str, Any] = {name: getattr(row, name) for name in names}
    below = {line: _nested(table, row.lines.get(line, {})) for line in table.lines}
    extra: dict[str, Any] = {"marks": dict(row.marks), "remarks": _nested(table, row.remarks)}
    extra |= {"run": row.remedy} if row.remedy else {}
    return head | _nested(table, row.values) | below | extra | dict(row.facts)


def _nested(table: Table, values: Mapping[Column, float | str]) -> dict[str, Any]:
    """{"all": {"mAP": ..., ...}, "top3": {...}}; what there is not is absent."""
    found: dict[str, Any] = {group: {} for group in GROUPS}
    for group, metric in table.columns:
        if (group, metric) in values:
            found[group][metric] = values[group, metric]
    return found
