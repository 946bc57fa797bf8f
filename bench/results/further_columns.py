"""The metrics of `bench.scoring.further` in a table of scores: columns for programs, notes for readers."""

import math
from collections.abc import Sequence
from dataclasses import replace

from bench.base.protocol import FURTHER, Column, Evaluation
from bench.results.table_model import Table, TableRow
from bench.scoring import further
from bench.scoring.alignment import AlignedPredictions
from bench.scoring.profiles import Profile

MEANINGS = further.GENERAL | further.DECISIONS
ECE_BIAS = "an image drawn twice counts twice in its bin, so that replicates have more of it than the images"


def with_further_metrics(
    table: Table, rules: Sequence[Profile], subject: AlignedPredictions, evaluation: Evaluation
) -> Table:
    """The table with a column for each further metric that is defined, and with AUROC and ECE of each label.

    rules: the profile of each row.
    """
    data = subject.logits_NC, subject.labels_NC
    general = further.general(*data, evaluation)
    by_label = {
        name: {
            label: None if math.isnan(value) else value
            for label, value in zip(subject.names, values_C.tolist(), strict=True)
        }
        for name, values_C in further.by_label(*data, evaluation).items()
    }
    rows = []
    for row, own in zip(table.rows, rules, strict=True):
        values = general | further.of_decisions(*data, own, evaluation)
        columns: dict[Column, float] = {(FURTHER, name): value for name, value in values.items()}
        rows.append(replace(row, values={**row.values, **columns}, facts={**row.facts, **by_label}))
    added = [(FURTHER, name) for name in MEANINGS if any((FURTHER, name) in row.values for row in rows)]
    return replace(table, rows=tuple(rows), columns=(*table.columns, *added))


def as_notes(table: Table) -> Table:
    """The table with its further metrics as notes, one each, as their columns would not fit on a page."""
    names = [name for group, name in table.columns if group == FURTHER]
    columns = tuple(column for column in table.columns if column[0] != FURTHER)
    return replace(table, columns=columns, notes=(*(_note(table.rows, name) for name in names), *table.notes))


def _note(rows: Sequence[TableRow], name: str) -> str:
    """`Hamming loss: 3.21 (srn2017), 3.25 (mlgcn); share of ...`; one number where no profile enters.

    With the interval, where there is one: `3.21 [3.10, 3.33]`. That of ECE needs a word.
    """
    values = {row.name: _with_interval(row, (FURTHER, name)) for row in rows if (FURTHER, name) in row.values}
    if name in further.GENERAL or len(rows) == 1:
        shown = next(iter(values.values()))
    else:
        shown = ", ".join(f"{value} ({title})" for title, value in values.items())
    bias = f"; {ECE_BIAS}" if name == "ECE" and "[" in shown else ""
    return f"{name}: {shown}; {MEANINGS[name]}{bias}."


def _with_interval(row: TableRow, column: Column) -> str:
    low, high = (row.lines.get(end, {}).get(column) for end in ("low", "high"))
    interval = f" [{low:.2f}, {high:.2f}]" if low is not None and high is not None else ""
    return f"{row.values[column]:.2f}{interval}"
