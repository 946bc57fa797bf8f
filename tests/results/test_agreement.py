"""The verdict on a difference: Student's quantile, the spread, the tolerance, and rows without a verdict."""

import doctest
import math

import pytest
from scipy.special import stdtrit

from bench.results import agreement
from bench.results.agreement import quantile, row_spreads, tolerance, with_verdicts
from bench.results.seed_spread import Spread, shrink_spreads
from bench.results.table_model import TableRow

MAP = ("all", "mAP")


def row(n: int, *, sd: float | None = None, difference: float | None = None) -> TableRow:
    lines = {"std": {MAP: sd}} if sd is not None else {}
    lines |= {"difference": {MAP: difference}} if difference is not None else {}
    return TableRow("reproduced", "srn", "SRN", n=n, values={MAP: 80.0} if n else {}, lines=lines)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 29, 30, 1000])
def test_quantiles_are_students_or_a_little_more(freedom):
    exact = float(stdtrit(freedom, 0.975))
    assert exact - 5e-4 <= quantile(freedom) <= 1.05 * exact


def test_every_rows_spread_is_its_own_beside_the_others():
    found = row_spreads([row(3, sd=1.0), row(2, sd=2.0), row(1), row(0)])
    own = {0: Spread(1.0, 2), 1: Spread(2.0, 1), 2: Spread(0.0, 0)}
    assert found == {MAP: shrink_spreads(own)}
    assert row_spreads([row(0)]) == {}


def test_the_tolerance_is_that_of_a_mean_over_n_seeds_and_of_one_printed_run():
    assert tolerance(Spread(0.5, 2), 3, None) == pytest.approx(4.303 * 0.5 * math.sqrt(4 / 3))
    assert tolerance(Spread(0.5, 2), 1, None) == pytest.approx(4.303 * 0.5 * math.sqrt(2))


@pytest.mark.parametrize(
    ("spread", "stated", "expected"),
    [
        (Spread(0.0, 2), None, 0.1),  # what a table can show
        (Spread(0.0, 2), 0.5, 0.5),
        (Spread(1.0, 2), 0.5, 4.303 * math.sqrt(2)),  # a stated tolerance adds, it takes nothing away
        (Spread(0.0, 0), None, 1.0),
        (Spread(0.0, 0), 0.2, 0.2),
    ],
)
def test_there_is_a_tolerance_whatever_is_known(spread, stated, expected):
    assert tolerance(spread, 1, stated) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("difference", "word"),
    [(0.0, "within"), (1.0, "within"), (-1.0, "within"), (1.01, "above"), (-1.01, "below")],
)
def test_a_difference_is_within_above_or_below(difference, word):
    (found,) = with_verdicts([row(1, difference=difference)])
    assert found.lines["verdict"] == {MAP: word}
    assert found.lines["tolerance"] == {MAP: 1.0}


def test_rows_without_a_published_number_or_that_do_not_compare_get_none():
    bare = row(3, sd=0.1)
    partial = TableRow(
        "reproduced", "srn", "SRN", n=1, lines={"difference": {MAP: 1.0}}, marks={"partial": "p"}
    )
    found = with_verdicts([bare, partial])
    assert [bool(it.lines.get("verdict")) for it in found] == [False, False]
    assert agreement.verdict_notes(found) == []


def test_examples_of_the_docstrings():
    assert doctest.testmod(agreement) == (0, 1)
