"""Decide whether fresh results differ from the accepted ones by more than seeds explain.

For each method and variant the mean over the fresh seeds is compared with the mean over all accepted seeds. A
fresh record that equals the accepted record of its seed to the last bit reproduces it and is left out; if all
do, the difference is 0. Any other fresh record counts as an independent draw, even with an accepted seed:
rounding on another processor makes the same seed end elsewhere. The tolerance is

    t sd sqrt(1 / m + 1 / n)  for m fresh and n accepted seeds,

where sd is the method's standard deviation between accepted seeds, shrunk towards the value pooled over all
methods (`bench/results/seed_spread.py`), and t is Student's quantile: one comparison in a thousand exceeds
its tolerance by chance. Comparing only the k common seeds pair by pair would need sqrt(2 / k), which is never
less, as k is at most m and at most n.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.base.protocol import Column
from bench.results.record import Group, Record, metric_values, record_name, values_by_column
from bench.results.record_check import DOUBTS
from bench.results.seed_spread import Spread, shrink_spreads

CONFIDENCE = 0.999  # of one comparison, two-sided
MIN_TOLERANCE = 0.1  # points: one unit of the last printed digit
DEFAULT_TOLERANCE = 1.0  # points; used where no group has two accepted seeds

Groups = Mapping[Group, list[Record]]


def tolerance(spread: Spread, m: int, n: int) -> float:
    """Points by which means over m and n seeds may differ: t sd sqrt(1/m + 1/n), at least `MIN_TOLERANCE`."""
    if not spread.freedom:
        return DEFAULT_TOLERANCE
    from scipy.special import stdtrit  # noqa: PLC0415 (importing it takes half a second)

    t = float(stdtrit(spread.freedom, (1 + CONFIDENCE) / 2))
    return max(MIN_TOLERANCE, t * spread.sd * math.sqrt(1 / m + 1 / n))


@dataclass(frozen=True)
class MetricDrift:
    """One metric of one method: means in percent over seeds = (m fresh, n accepted); tolerance in points."""

    name: str
    column: Column
    accepted: float
    fresh: float
    seeds: tuple[int, int]
    tolerance: float

    @property
    def difference(self) -> float:
        return self.fresh - self.accepted

    @property
    def share(self) -> float:
        """The absolute difference divided by the tolerance; more than 1 means that the metric moved."""
        return abs(self.difference) / self.tolerance


def group_spreads(accepted: Groups) -> dict[Column, dict[Group, Spread]]:
    """For each metric: group -> its shrunk spread between the accepted seeds."""
    own: dict[Column, dict[Group, Spread]] = defaultdict(dict)
    for group, members in accepted.items():
        for column, values in seed_values(members).items():
            sd = statistics.stdev(values) if len(values) > 1 else 0.0
            own[column][group] = Spread(sd, len(values) - 1)
    return {column: shrink_spreads(spreads) for column, spreads in own.items()}


def compare(accepted: Groups, fresh: Groups) -> Iterator[MetricDrift]:
    """Compare each metric of each method and variant that both sides have."""
    spread = group_spreads(accepted)
    for group in [group for group in accepted if group in fresh]:
        old, new = _records_to_compare(accepted[group], fresh[group])
        before, after = seed_values(old), seed_values(new)
        seeds = (len(new), len(accepted[group]))
        for column in [column for column in before if column in after]:
            means = statistics.fmean(before[column]), statistics.fmean(after[column])
            allowed = tolerance(spread[column][group], *seeds)
            yield MetricDrift(record_name(new[0], seed=False), column, *means, seeds, allowed)


def _records_to_compare(accepted: list[Record], fresh: list[Record]) -> tuple[list[Record], list[Record]]:
    """All accepted records, and the fresh ones that are not bit-identical to the accepted one of their seed.

    If all fresh ones are identical: they and their counterparts, which makes the difference 0.
    """
    accepted_by_seed = {record["seed"]: record for record in accepted}
    identical = [
        record
        for record in fresh
        if record["seed"] in accepted_by_seed
        and own_metrics(record) == own_metrics(accepted_by_seed[record["seed"]])
    ]
    if len(identical) == len(fresh):
        return [accepted_by_seed[record["seed"]] for record in identical], identical
    return accepted, [record for record in fresh if record not in identical]


def own_metrics(record: Record) -> Any:
    """The metrics of the record's own profile, including the AP of each class."""
    return record["metrics"][record["protocol"]["profile"]]


def seed_values(members: list[Record]) -> dict[Column, list[float]]:
    """For each metric that all members have: its values, one for each member."""
    by_member = [metric_values(member, member["protocol"]["profile"]) for member in members]
    return values_by_column(by_member)


def _numbers(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """A profile's metrics without the counts of what makes them doubtful."""
    return {name: value for name, value in metrics.items() if name not in DOUBTS}


def redefined_profiles(old: list[Record], new: list[Record]) -> list[str]:
    """Profiles whose metrics differ although the main numbers of a seed are identical."""
    old_by_seed = {record["seed"]: record for record in old}
    for record in new:
        accepted = old_by_seed.get(record["seed"])
        if accepted and seed_values([accepted]) == seed_values([record]):
            fresh_metrics, accepted_metrics = record["metrics"], accepted["metrics"]
            differing = [
                name
                for name, values in accepted_metrics.items()
                if _numbers(fresh_metrics.get(name, {})) != _numbers(values)
            ]
            if differing:
                return differing
    return []
