"""The spread between the seeds of each method, moderated by that of all: three seeds alone say little.

Empirical Bayes (G. K. Smyth, Stat. Appl. Genet. Mol. Biol. 3(1), article 3, 2004): the variances of groups
scatter about a common one as if that had d0 degrees of freedom, which their logarithms tell. Each group's is

    s~^2 = (d0 s0^2 + d s^2) / (d0 + d),  with d0 + d degrees of freedom, never more than all groups have.

Where groups scatter no more than chance has them d0 is infinite: one variance, pooled over all. Free of
numpy, as the table is.
"""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
MIN_SD = 0.01  # points: a spread of 0 has no logarithm


@dataclass(frozen=True)
class Spread:
    """A standard deviation and its degrees of freedom (0: not known)."""

    sd: float
    freedom: float


def shrink_spreads(own: Mapping[Key, Spread]) -> dict[Key, Spread]:
    """Each group's spread beside the others'; a group of one seed (freedom 0) gets what is common to all."""
    known = [Spread(max(one.sd, MIN_SD), one.freedom) for one in own.values() if one.freedom]
    if not known:
        return dict(own)
    common, total = _common(known), sum(one.freedom for one in known)
    return {key: _between(one, common, total) for key, one in own.items()}


def _common(known: list[Spread]) -> Spread:
    """s0 and d0."""
    centred = [2 * math.log(one.sd) - digamma(one.freedom / 2) + math.log(one.freedom / 2) for one in known]
    mean = sum(centred) / len(centred)
    scatter = sum((value - mean) ** 2 for value in centred) / max(1, len(centred) - 1)
    excess = scatter - sum(trigamma(one.freedom / 2) for one in known) / len(known)
    if excess <= 0:
        total = sum(one.freedom for one in known)
        return Spread(math.sqrt(sum(one.freedom * one.sd**2 for one in known) / total), math.inf)
    half = trigamma_inverse(excess)
    return Spread(math.exp((mean + digamma(half) - math.log(half)) / 2), 2 * half)


def _between(one: Spread, common: Spread, total: float) -> Spread:
    freedom = max(1.0, min(common.freedom + one.freedom, total))
    if math.isinf(common.freedom):
        return Spread(common.sd, freedom)
    squares = common.freedom * common.sd**2 + one.freedom * one.sd**2
    return Spread(math.sqrt(squares / (common.freedom + one.freedom)), freedom)


def digamma(x: float) -> float:
    """The derivative of ln Gamma, for x > 0, within 1e-10.

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
    """The derivative of digamma, for x > 0, within 1e-10.

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
    """The x > 0 whose trigamma is y > 0, by halving: trigamma falls all the way.

    >>> round(trigamma_inverse(trigamma(2.5)), 9)
    2.5
    """
    low, high = 1e-8, 1e8
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if trigamma(middle) > y else (low, middle)
    return high
