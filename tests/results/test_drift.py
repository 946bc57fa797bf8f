"""Drift: the tolerance follows from the spread between seeds; reproduced records are left out."""

import math

import pytest
import scipy.stats

from bench.results import drift
from bench.results.record import group_records
from bench.results.seed_spread import Spread, shrink_spreads
from tests.records import fake


@pytest.fixture
def accepted():
    """Two methods with three seeds each, mAP 80 + (-0.3, 0, 0.3) and 80 + (-0.1, 0, 0.1)."""
    shifts = {"srn": 0.3, "resnet101": 0.1}
    return [fake(name, seed, shift=size * (seed - 1)) for name, size in shifts.items() for seed in range(3)]


def test_every_groups_spread_is_its_own_beside_the_others(accepted):
    """A single seed has none of its own."""
    found = drift.group_spreads(group_records([*accepted, fake("resnet107", shift=9)]))
    own = {("srn", ""): 0.3, ("resnet101", ""): 0.1}
    expected = shrink_spreads(
        {**{key: Spread(sd, 2) for key, sd in own.items()}, ("resnet107", ""): Spread(0, 0)}
    )
    assert len(found) == 13
    for known in found.values():
        assert known.keys() == expected.keys()
        for key, one in known.items():
            assert one.sd == pytest.approx(expected[key].sd)
            assert one.freedom == pytest.approx(expected[key].freedom)


@pytest.mark.parametrize(("freedom", "m", "n"), [(4, 1, 3), (12, 1, 3), (12, 3, 3), (2, 2, 5)])
def test_the_tolerance_is_the_t_interval_of_a_difference_of_means(freedom, m, n):
    expected = scipy.stats.t(freedom).ppf(0.9995) * 0.4 * math.sqrt(1 / m + 1 / n)
    assert drift.tolerance(Spread(0.4, freedom), m, n) == pytest.approx(expected, rel=1e-9)


def test_the_tolerance_by_hand():
    """t = 4.318 for 12 degrees of freedom (printed tables); sqrt(1 + 1/3) = 1.1547."""
    assert drift.tolerance(Spread(0.1, 12), 1, 3) == pytest.approx(0.1 * 4.318 * 1.1547, abs=1e-4)


def test_the_tolerance_is_never_less_than_a_table_shows():
    assert drift.tolerance(Spread(0.001, 12), 1, 3) == 0.1


def test_the_two_means_tolerate_no_more_than_common_seeds_would():
    """The reason to compare means: for k common of m and n seeds, 1 / m + 1 / n <= 2 / k."""
    one = Spread(1.0, 12)
    for m, n in [(1, 3), (2, 3), (3, 3), (5, 2)]:
        assert drift.tolerance(one, m, n) <= drift.tolerance(one, min(m, n), min(m, n))


def test_only_what_is_not_reproduced_is_compared(accepted):
    """Seed 0 again as it was, seed 1 moved: its distance is not halved by seed 0's."""
    fresh = [accepted[0], fake("srn", 1, shift=2)]
    one = next(drift.compare(group_records(accepted), group_records(fresh)))
    assert (one.name, one.column, one.seeds) == ("srn", ("all", "mAP"), (1, 3))
    assert one.accepted == pytest.approx(80.0)
    assert one.fresh == 82.0
    assert one.difference == pytest.approx(2)
    assert one.share == pytest.approx(2 / one.tolerance)


def test_a_method_without_a_counterpart_is_not_compared(accepted):
    assert list(drift.compare(group_records(accepted), group_records([fake("resnet107")]))) == []


def test_a_metric_that_one_side_lacks_is_not_compared(accepted):
    lacking = fake("srn", 5)
    del lacking["metrics"]["srn2017"]["P-C"]
    columns = {one.column for one in drift.compare(group_records(accepted), group_records([lacking]))}
    assert len(columns) == 12
    assert ("all", "P-C") not in columns
