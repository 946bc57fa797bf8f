"""Seed SDs shrunk towards the pooled value (Smyth 2004), against hand calculations and scipy."""

import doctest
import math
import statistics

import numpy as np
import pytest
from scipy import special

from bench.results import seed_spread
from bench.results.seed_spread import Spread, digamma, shrink_spreads, trigamma, trigamma_inverse


def test_where_groups_scatter_by_chance_alone_one_variance_is_pooled_over_all():
    """Sums of squares 2 x 1^2 and 1 x 2^2 over 2 + 1 degrees of freedom."""
    found = shrink_spreads({"a": Spread(1.0, 2), "b": Spread(2.0, 1)})
    assert found["a"] == found["b"] == Spread(pytest.approx(math.sqrt(6 / 3)), 3)


def test_where_they_differ_each_keeps_more_of_its_own():
    own = {name: Spread(sd, 2) for name, sd in zip("abcdef", (0.1, 0.1, 0.1, 0.2, 1.5, 5.0), strict=True)}
    found = shrink_spreads(own)
    pooled = math.sqrt(statistics.fmean(one.sd**2 for one in own.values()))
    assert own["a"].sd < found["a"].sd < 0.3 * pooled
    assert found["f"].sd > 1.5 * pooled
    assert [one.sd for one in found.values()] == sorted(one.sd for one in found.values())
    assert len({one.freedom for one in found.values()}) == 1
    assert 2 < found["a"].freedom < 12


def test_a_group_of_one_seed_gets_what_is_common_and_without_any_nothing_is_known():
    found = shrink_spreads({"a": Spread(1.0, 2), "b": Spread(0.0, 0)})
    assert found["b"] == Spread(pytest.approx(1.0), 2)
    assert shrink_spreads({"a": Spread(0.0, 0)}) == {"a": Spread(0.0, 0)}
    assert shrink_spreads({}) == {}


def test_seeds_that_agree_to_the_last_bit_are_no_certainty():
    found = shrink_spreads({"a": Spread(0.0, 2), "b": Spread(0.0, 2)})
    assert found["a"].sd == pytest.approx(seed_spread.MIN_SD)


def test_one_in_a_thousand_is_kept_where_variances_scatter_as_supposed():
    """4,000 draws of eight methods' three accepted and three fresh seeds; pooling all would give 1.7 %."""
    rng, passed, total = np.random.default_rng(0), 0, 0
    for _ in range(500):
        sds = np.sqrt(0.2**2 * 4 / rng.chisquare(4, size=8))
        accepted, fresh = (rng.normal(0, sds, size=(3, 8)) for _ in range(2))
        own = {place: Spread(float(sd), 2) for place, sd in enumerate(accepted.std(axis=0, ddof=1))}
        for place, one in shrink_spreads(own).items():
            allowed = special.stdtrit(one.freedom, 0.9995) * one.sd * math.sqrt(2 / 3)
            passed += abs(accepted[:, place].mean() - fresh[:, place].mean()) > allowed
            total += 1
    assert passed / total < 0.004


@pytest.mark.parametrize("x", [0.01, 0.5, 1.0, 3.7, 9.99, 10.0, 250.0])
def test_the_functions_of_gamma_are_scipys(x: float):
    assert digamma(x) == pytest.approx(special.digamma(x), abs=1e-9)
    assert trigamma(x) == pytest.approx(special.polygamma(1, x), rel=1e-9)
    assert trigamma_inverse(trigamma(x)) == pytest.approx(x, rel=1e-6)


def test_examples_of_the_docstrings():
    assert doctest.testmod(seed_spread).failed == 0
