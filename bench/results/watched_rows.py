"""Best on test in the table: lines below a row, never the row itself, and a note on what they are worth."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bench.base.protocol import Column
from bench.results.record import Record, group_records, record_name
from bench.results.table_model import Table, TableRow

BEST, DIFFERENCE = "best_on_test", "best_on_test_difference"  # further lines of a row
MEAN_AP: Column = ("all", "mAP")
NOTE = (
    "best on test: the highest mAP of any epoch on the test set itself, as some papers report it, and its "
    "difference from the row above; chosen on the test set: not comparable with any row."
)


def lines(members: Sequence[Record], profile: str) -> dict[str, Mapping[Column, float]]:
    """The means over the seeds of one row; none unless all seeds have it, by the profile of the row."""
    best = [member["best_on_test"] for member in members if "best_on_test" in member]
    if len(best) < len(members) or any(one["protocol"]["profile"] != profile for one in members):
        return {}
    return {
        BEST: {MEAN_AP: statistics.fmean(one["mAP"] for one in best)},
        DIFFERENCE: {MEAN_AP: statistics.fmean(one["difference"] for one in best)},
    }


def with_lines(table: Table) -> Table:
    """The table with the further lines, if any row has them."""
    return replace(table, lines=(*table.lines, BEST, DIFFERENCE)) if _has_any(table.rows) else table


def _has_any(rows: Iterable[TableRow]) -> bool:
    return any(row.lines.get(BEST) for row in rows)


def notes(records: Sequence[Record], rows: Iterable[TableRow]) -> list[str]:
    """What the lines are, and of which rows only some seeds have it."""
    texts = [NOTE] if _has_any(rows) else []
    for members in group_records(records).values():
        known = sum("best_on_test" in member for member in members)
        if 0 < known < len(members):
            of_seeds = f"{record_name(members[0], seed=False)}: known of {known} of {len(members)} seeds only"
            texts.append(f"best on test of {of_seeds}; train the others with --watch-test --fresh.")
    return texts
