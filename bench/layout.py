"""What a table holds, before it has a form, and its two forms for programs, CSV and JSON, with every digit.

The forms for readers are in `bench/typeset.py`.
"""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Column = tuple[str, str]  # ("all", "mAP"), ("top3", "F1-C"): group and metric
Values = Mapping[Column, float]

GROUPS = {"all": "All", "top3": "top-3"}


@dataclass(frozen=True)
class Row:
    """One method as a paper printed it or as its records have it; percent and points.

    n: seeds (None: the paper does not say). marks: word beside the name -> what it means.
    remedy: the command that makes the records where there are none. facts: what else JSON states.
    """

    source: Literal["paper", "reproduced"]
    method: str
    title: str
    variant: str = ""
    n: int | None = None
    values: Values = field(default_factory=dict)
    std: Values = field(default_factory=dict)
    difference: Values = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)
    remedy: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`ResNet-101 [budget=equal] (partial)`."""
        variant = f" [{self.variant}]" if self.variant else ""
        return f"{self.title}{variant}" + "".join(f" ({mark})" for mark in self.marks)


@dataclass(frozen=True)
class Table:
    """The rows, what stands above (its first line is the title) and below. records: which are shown."""

    dataset: str
    about: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    records: str


def as_csv(table: Table) -> str:
    """One line a row: its numbers, their "std", their "difference"."""
    names = [f"top3 {metric}" if group == "top3" else metric for group, metric in table.columns]
    heads = ["method", "title", "variant", "source", "n", "marks", "run"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(heads + [prefix + name for prefix in ("", "std ", "difference ") for name in names])
    for row in table.rows:
        facts = [row.method, row.title, row.variant, row.source, row.n, " ".join(row.marks), row.remedy]
        parts = (row.values, row.std, row.difference)
        writer.writerow(facts + [part.get(column) for part in parts for column in table.columns])
    return buffer.getvalue()


def as_json(table: Table) -> str:
    """`{dataset, ..., rows: [{method, source, n, all: {...}, top3: {...}, std, difference, ...}]}`."""
    facts = {"dataset": table.dataset, "about": table.about, "records": table.records, "notes": table.notes}
    rows = [_object(table, row) for row in table.rows]
    return json.dumps(facts | {"rows": rows}, indent=1, ensure_ascii=False) + "\n"


def _object(table: Table, row: Row) -> dict[str, Any]:
    head = {
        "method": row.method,
        "title": row.title,
        "variant": row.variant,
        "source": row.source,
        "n": row.n,
    }
    spread = {"std": _nested(table, row.std), "difference": _nested(table, row.difference)}
    extra = {"marks": dict(row.marks)} | ({"run": row.remedy} if row.remedy else {})
    return head | _nested(table, row.values) | spread | extra | dict(row.facts)


def _nested(table: Table, values: Values) -> dict[str, Any]:
    """{"all": {"mAP": ..., ...}, "top3": {...}}; what there is not is absent."""
    found: dict[str, Any] = {group: {} for group in GROUPS}
    for group, metric in table.columns:
        if (group, metric) in values:
            found[group][metric] = values[group, metric]
    return found
