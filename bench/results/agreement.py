"""Decide whether a reproduced number agrees with the published one, given the spread between seeds.

A paper prints the result of one run. If the method is reproduced, the mean over n seeds differs from it, with
95 % probability, by no more than

    t sd sqrt(1 + 1 / n),

where sd is the method's standard deviation between seeds, shrunk towards the value pooled over all methods of
the table (`bench/results/seed_spread.py`), and t is Student's quantile for its degrees of freedom. This
module does without torch and numpy, so that the table prints in a fraction of a second.
"""

import bisect
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.base.protocol import Column
from bench.results.seed_spread import Spread, shrink_spreads
from bench.results.table_model import TableRow

MIN_TOLERANCE = 0.1  # points: one unit of the last printed digit
DEFAULT_TOLERANCE = 1.0  # points; used where no method has two seeds
# marks of rows that get no verdict
INCOMPARABLE = {
    *("edited by hand", "partial", "fewer images", "other protocol", "other features", "other variant"),
}
UNKNOWN_SPREAD = Spread(0.0, 0)
# Student's t distribution, two-sided, 95 %: degrees of freedom and their quantiles
FREEDOM = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 60, 120)
QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.306, 2.228, 2.179, 2.131, 2.086, 2.042, 2.0, 1.98)


def tolerance(spread: Spread, n: int, stated: float | None) -> float:
    """Points by which a mean over n seeds may differ from one printed run; at least what the user stated."""
    if not spread.freedom:
        return DEFAULT_TOLERANCE if stated is None else stated
    return max(MIN_TOLERANCE, quantile(spread.freedom) * spread.sd * math.sqrt(1 + 1 / n), stated or 0)


def quantile(freedom: float) -> float:
    """Student's t for freedom >= 1; between the listed degrees of freedom, that of the next lower one.

    >>> quantile(2), quantile(11), quantile(1000)
    (4.303, 2.228, 1.98)
    """
    return QUANTILES[bisect.bisect_right(FREEDOM, freedom) - 1]


def row_spreads(rows: Sequence[TableRow]) -> dict[Column, dict[int, Spread]]:
    """For each column: index of the row -> its shrunk spread between seeds; only rows with a value there."""
    own: dict[Column, dict[int, Spread]] = defaultdict(dict)
    for index, row in enumerate(rows):
        sds = row.lines.get("std", {})
        for column in row.values:
            own[column][index] = Spread(float(sds.get(column, 0)), (row.n or 1) - 1 if column in sds else 0)
    return {column: shrink_spreads(spreads) for column, spreads in own.items()}


def with_verdicts(rows: Sequence[TableRow], *, stated: float | None = None) -> tuple[TableRow, ...]:
    """The rows with a tolerance and a verdict ("within", "above" or "below") for each difference.

    stated: the tolerance in points that the user gave.
    """
    spreads = row_spreads(rows)
    return tuple(
        _with_verdict(
            row,
            {column: by_row.get(index, UNKNOWN_SPREAD) for column, by_row in spreads.items()},
            stated,
        )
        for index, row in enumerate(rows)
    )


def _with_verdict(row: TableRow, spread: Mapping[Column, Spread], stated: float | None) -> TableRow:
    if INCOMPARABLE & set(row.marks):
        return row
    differences = {column: float(value) for column, value in row.lines.get("difference", {}).items()}
    tolerances = {
        column: tolerance(spread.get(column, UNKNOWN_SPREAD), row.n or 1, stated) for column in differences
    }
    verdicts = {column: _verdict(value, tolerances[column]) for column, value in differences.items()}
    return replace(row, lines={**row.lines, "tolerance": tolerances, "verdict": verdicts})


def _verdict(difference: float, tolerance: float) -> str:
    if abs(difference) <= tolerance:
        return "within"
    return "above" if difference > 0 else "below"


def verdict_notes(rows: Sequence[TableRow], *, stated: float | None = None) -> list[str]:
    """Notes that explain "tol" and "verdict" in these rows; empty where there is no verdict."""
    if not any(row.lines.get("verdict") for row in rows):
        return []
    meaning = f"{DEFAULT_TOLERANCE if stated is None else stated} points, as no method has two seeds"
    if any(spread.freedom for by_row in row_spreads(rows).values() for spread in by_row.values()):
        meaning = (
            "t sd sqrt(1 + 1 / n) for 95 %, sd of the method's seeds, shrunk towards the pooled value (Smyth "
            f"2004), at least {max(MIN_TOLERANCE, stated or 0)} points"
        )
    return [
        f"tol: {meaning}.",
        "verdict: within, if the mean differs from the published value by at most tol; else above or below.",
    ]
