"""Whether a reproduced number agrees with the published one: within what seeds explain, above or below it.

A paper prints one run. A mean over n seeds of the same thing lies from it, with 95 % probability, within
t sd sqrt(1 + 1 / n), where sd is the standard deviation between seeds, pooled over the table's methods, and t
is Student's quantile for its degrees of freedom. Torch-free and numpy-free, like the table.
"""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.layout import Column, Row, Values

LEAST = 0.1  # points: one in the last printed digit
WITHOUT_SPREAD = 1.0  # points, where no method has two seeds
INCOMPARABLE = {"partial", "other protocol", "other features"}  # marks of rows that get no verdict
# Student's t, two-sided, 95 %: degrees of freedom and the quantile
FREEDOM = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 60, 120)
QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.306, 2.228, 2.179, 2.131, 2.086, 2.042, 2.0, 1.98)


@dataclass(frozen=True)
class Spread:
    """The standard deviation between seeds of one column, and its degrees of freedom (0: not known)."""

    sd: float
    freedom: int

    def tolerance(self, n: int, stated: float | None) -> float:
        """How far a mean over n seeds may lie from one printed run; never less than what the user stated."""
        if not self.freedom:
            return WITHOUT_SPREAD if stated is None else stated
        return max(LEAST, quantile(self.freedom) * self.sd * math.sqrt(1 + 1 / n), stated or 0)


def quantile(freedom: int) -> float:
    """Student's t for one or more degrees of freedom; between those that are listed, of the next lower one.

    >>> quantile(2), quantile(11), quantile(1000)
    (4.303, 2.228, 1.98)
    """
    return QUANTILES[bisect.bisect_right(FREEDOM, freedom) - 1]


def pooled(rows: Sequence[Row]) -> dict[Column, Spread]:
    """Each column's spread over all rows of several seeds: sums of squares and of degrees of freedom."""
    squares: dict[Column, float] = {}
    freedom: dict[Column, int] = {}
    for row in rows:
        for column, sd in _sds(row).items():
            squares[column] = squares.get(column, 0) + ((row.n or 0) - 1) * sd**2
            freedom[column] = freedom.get(column, 0) + (row.n or 0) - 1
    return {column: Spread(math.sqrt(squares[column] / n), n) for column, n in freedom.items()}


def _sds(row: Row) -> Values:
    return {column: float(sd) for column, sd in row.lines.get("std", {}).items()}


def judged(rows: Sequence[Row], *, stated: float | None = None) -> tuple[Row, ...]:
    """The rows, and below every difference its tolerance and the verdict: "within", "above" or "below"."""
    spreads = pooled(rows)
    return tuple(_judged(row, spreads, stated) for row in rows)


def _judged(row: Row, spreads: dict[Column, Spread], stated: float | None) -> Row:
    if INCOMPARABLE & set(row.marks):
        return row
    differences = {column: float(value) for column, value in row.lines.get("difference", {}).items()}
    unknown = Spread(0.0, 0)
    tolerances = {
        column: spreads.get(column, unknown).tolerance(row.n or 1, stated) for column in differences
    }
    words = {column: _verdict(value, tolerances[column]) for column, value in differences.items()}
    return replace(row, lines={**row.lines, "tolerance": tolerances, "verdict": words})


def _verdict(difference: float, tolerance: float) -> str:
    if abs(difference) <= tolerance:
        return "within"
    return "above" if difference > 0 else "below"


def explanation(rows: Sequence[Row], *, stated: float | None = None) -> list[str]:
    """What "tol" and "verdict" mean in these rows; nothing where there is no verdict."""
    if not any(row.lines.get("verdict") for row in rows):
        return []
    freedom = max((spread.freedom for spread in pooled(rows).values()), default=0)
    tolerance = f"{WITHOUT_SPREAD if stated is None else stated} points, as no method has two seeds"
    if freedom:
        degrees = f"{freedom} degrees of freedom"
        tolerance = f"{quantile(freedom)} sd sqrt(1 + 1 / n), sd pooled over all methods' seeds ({degrees})"
        tolerance += f", at least {max(LEAST, stated or 0)} points"
    return [
        f"tol: {tolerance}.",
        "verdict: within, the mean is no further than tol from the published value; else above or below it.",
    ]
