"""Whether a reproduced number agrees with the published one: within what seeds explain, above or below it.

A paper prints one run. A mean over n seeds of the same thing lies from it, with 95 % probability, within
t sd sqrt(1 + 1 / n), where sd is the standard deviation between its seeds, moderated by that of the table's
other methods, and t is Student's quantile for its degrees of freedom. Torch-free and numpy-free, like the
table.
"""

import bisect
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.base.protocol import Column
from bench.results.seed_spread import Spread, shrink_spreads
from bench.results.table_model import TableRow

MIN_TOLERANCE = 0.1  # points: one in the last printed digit
DEFAULT_TOLERANCE = 1.0  # points, where no method has two seeds
INCOMPARABLE = {
    "partial",
    "fewer images",
    "other protocol",
    "other features",
}  # marks of rows that get no verdict
UNKNOWN_SPREAD = Spread(0.0, 0)
# Student's t, two-sided, 95 %: degrees of freedom and the quantile
FREEDOM = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 60, 120)
QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.306, 2.228, 2.179, 2.131, 2.086, 2.042, 2.0, 1.98)


def tolerance(spread: Spread, n: int, stated: float | None) -> float:
    """How far a mean over n seeds may lie from one printed run; never less than what the user stated."""
    if not spread.freedom:
        return DEFAULT_TOLERANCE if stated is None else stated
    return max(MIN_TOLERANCE, quantile(spread.freedom) * spread.sd * math.sqrt(1 + 1 / n), stated or 0)


def quantile(freedom: float) -> float:
    """Student's t for one or more degrees of freedom; between those that are listed, of the next lower one.

    >>> quantile(2), quantile(11), quantile(1000)
    (4.303, 2.228, 1.98)
    """
    return QUANTILES[bisect.bisect_right(FREEDOM, freedom) - 1]


def row_spreads(rows: Sequence[TableRow]) -> dict[Column, dict[int, Spread]]:
    """Each column's spread between the seeds of each row that has a number there, by the row's place."""
    own: dict[Column, dict[int, Spread]] = defaultdict(dict)
    for place, row in enumerate(rows):
        sds = row.lines.get("std", {})
        for column in row.values:
            own[column][place] = Spread(float(sds.get(column, 0)), (row.n or 1) - 1 if column in sds else 0)
    return {column: shrink_spreads(known) for column, known in own.items()}


def with_verdicts(rows: Sequence[TableRow], *, stated: float | None = None) -> tuple[TableRow, ...]:
    """The rows, and below every difference its tolerance and the verdict: "within", "above" or "below"."""
    found = row_spreads(rows)
    return tuple(
        _judged(row, {column: known.get(place, UNKNOWN_SPREAD) for column, known in found.items()}, stated)
        for place, row in enumerate(rows)
    )


def _judged(row: TableRow, spread: Mapping[Column, Spread], stated: float | None) -> TableRow:
    if INCOMPARABLE & set(row.marks):
        return row
    differences = {column: float(value) for column, value in row.lines.get("difference", {}).items()}
    tolerances = {
        column: tolerance(spread.get(column, UNKNOWN_SPREAD), row.n or 1, stated) for column in differences
    }
    words = {column: _verdict(value, tolerances[column]) for column, value in differences.items()}
    return replace(row, lines={**row.lines, "tolerance": tolerances, "verdict": words})


def _verdict(difference: float, tolerance: float) -> str:
    if abs(difference) <= tolerance:
        return "within"
    return "above" if difference > 0 else "below"


def verdict_notes(rows: Sequence[TableRow], *, stated: float | None = None) -> list[str]:
    """What "tol" and "verdict" mean in these rows; nothing where there is no verdict."""
    if not any(row.lines.get("verdict") for row in rows):
        return []
    words = f"{DEFAULT_TOLERANCE if stated is None else stated} points, as no method has two seeds"
    if any(spread.freedom for known in row_spreads(rows).values() for spread in known.values()):
        words = (
            "t sd sqrt(1 + 1 / n) for 95 %, sd of the method's seeds, moderated by that of all (Smyth 2004)"
        )
        words += f", at least {max(MIN_TOLERANCE, stated or 0)} points"
    return [
        f"tol: {words}.",
        "verdict: within, the mean is no further than tol from the published value; else above or below it.",
    ]
