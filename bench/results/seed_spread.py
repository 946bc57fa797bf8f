"""Seed SDs, shrunk towards the pooled value (Smyth 2004).

The standard deviation (SD) of three seeds alone is a poor estimate. Empirical Bayes (G. K. Smyth, Stat.
Appl. Genet. Mol. Biol. 3(1), article 3, 2004) combines the variance s^2 of each group (the seeds of one
method), which has d degrees of freedom, with a variance s0^2 common to all groups, which has d0:

    s~^2 = (d0 s0^2 + d s^2) / (d0 + d),  with d0 + d degrees of freedom (at most those of all groups).

s0 and d0 are estimated from the mean and the variance of log s^2 over the groups. Where these differ no more
than by chance, d0 is infinite, and every group gets the variance pooled over all groups. This module does
without numpy, so that the table of results prints in a fraction of a second.
"""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
MIN_SD = 0.01  # points: the logarithm of an SD of 0 is not defined


@dataclass(frozen=True)
class Spread:
    """A standard deviation over seeds and its degrees of freedom (0: the deviation is not known)."""

    sd: float
    freedom: float


def shrink_spreads(own: Mapping[Key, Spread]) -> dict[Key, Spread]:
    """The shrunk spread of each group; a group of one seed (freedom 0) gets the common one."""
    measured = [Spread(max(spread.sd, MIN_SD), spread.freedom) for spread in own.values() if spread.freedom]
    if not measured:
        return dict(own)
    prior, total_freedom = _prior(measured), sum(spread.freedom for spread in measured)
    return {key: _shrink(spread, prior, total_freedom) for key, spread in own.items()}


def _prior(measured: list[Spread]) -> Spread:
    """s0 and d0, by the method of moments for log s^2."""
    log_variances = [
        2 * math.log(spread.sd) - digamma(spread.freedom / 2) + math.log(spread.freedom / 2)
        for spread in measured
    ]
    mean = sum(log_variances) / len(log_variances)
    observed = sum((value - mean) ** 2 for value in log_variances) / max(1, len(log_variances) - 1)
    by_chance = sum(trigamma(spread.freedom / 2) for spread in measured) / len(measured)
    if observed - by_chance <= 0:
        total = sum(spread.freedom for spread in measured)
        return Spread(math.sqrt(sum(spread.freedom * spread.sd**2 for spread in measured) / total), math.inf)
    half_d0 = trigamma_inverse(observed - by_chance)
    return Spread(math.exp((mean + digamma(half_d0) - math.log(half_d0)) / 2), 2 * half_d0)


def _shrink(own: Spread, prior: Spread, total_freedom: float) -> Spread:
    freedom = max(1.0, min(prior.freedom + own.freedom, total_freedom))
    if math.isinf(prior.freedom):
        return Spread(prior.sd, freedom)
    squares = prior.freedom * prior.sd**2 + own.freedom * own.sd**2
    return Spread(math.sqrt(squares / (prior.freedom + own.freedom)), freedom)


def digamma(x: float) -> float:
    """The derivative of ln Gamma for x > 0, with an error below 1e-10.

    >>> round(digamma(1.0), 10)
    -0.5772156649
    """
    shift = 0.0
    while x < 10:
        shift -= 1 / x
        x += 1
    y = 1 / x**2
    return shift + math.log(x) - 0.5 / x - y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y / 240)))


def trigamma(x: float) -> float:
    """The derivative of digamma for x > 0, with an error below 1e-10.

    >>> abs(trigamma(1.0) - math.pi**2 / 6) < 1e-10
    True
    """
    shift = 0.0
    while x < 10:
        shift += 1 / x**2
        x += 1
    y = 1 / x**2
    return shift + (1 + 0.5 / x + y * (1 / 6 - y * (1 / 30 - y * (1 / 42 - y / 30)))) / x


def trigamma_inverse(y: float) -> float:
    """The x > 0 for which trigamma(x) = y > 0, by bisection (trigamma decreases monotonically).

    >>> round(trigamma_inverse(trigamma(2.5)), 9)
    2.5
    """
    low, high = 1e-8, 1e8
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if trigamma(middle) > y else (low, middle)
    return high
