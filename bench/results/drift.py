"""Whether fresh numbers have moved: the difference of two means over seeds, beside the spread between seeds.

Of every method and variant the mean over the fresh seeds is compared with the mean over all accepted seeds. A
fresh record whose numbers equal those accepted for its seed to the last bit reproduces them: it is left out,
and if nothing else is fresh the difference is 0. Any other record counts as a new draw, on an accepted seed
too, for rounding on another processor leads the same seed elsewhere. Pairing the k common seeds would then
have to allow for sqrt(2 / k) standard deviations; the two means allow for sqrt(1 / m + 1 / n), never more, as
k is at most m and n. A method's standard deviation is its own, moderated by that of all: as far as few seeds
tell it (`bench/results/seed_spread.py`), one comparison in a thousand passes its tolerance by chance.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.base.protocol import Column
from bench.results.record import Group, Record, metric_values, record_name
from bench.results.seed_spread import Spread, shrink_spreads

CONFIDENCE = 0.999  # two-sided, of one comparison
MIN_TOLERANCE = 0.1  # points: what a table can show
DEFAULT_TOLERANCE = 1.0  # points, where no group has two accepted seeds

Groups = Mapping[Group, list[Record]]


def tolerance(spread: Spread, m: int, n: int) -> float:
    """How far means over m and n seeds may lie apart: t sd sqrt(1/m + 1/n) points, at least `LEAST`."""
    if not spread.freedom:
        return DEFAULT_TOLERANCE
    from scipy.special import stdtrit  # noqa: PLC0415 (half a second, for this alone)

    t = float(stdtrit(spread.freedom, (1 + CONFIDENCE) / 2))
    return max(MIN_TOLERANCE, t * spread.sd * math.sqrt(1 / m + 1 / n))


@dataclass(frozen=True)
class MetricDrift:
    """One metric of one method: means over m fresh and n accepted seeds, percent; tolerance in points."""

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
        """The difference as a share of the tolerance; more than 1 has moved."""
        return abs(self.difference) / self.tolerance


def group_spreads(accepted: Groups) -> dict[Column, dict[Group, Spread]]:
    """Each metric's spread between the accepted seeds of each group, moderated by that of all groups."""
    own: dict[Column, dict[Group, Spread]] = defaultdict(dict)
    for group, members in accepted.items():
        for column, sample in seed_values(members).items():
            sd = statistics.stdev(sample) if len(sample) > 1 else 0.0
            own[column][group] = Spread(sd, len(sample) - 1)
    return {column: shrink_spreads(known) for column, known in own.items()}


def compare(accepted: Groups, fresh: Groups) -> Iterator[MetricDrift]:
    """Every metric of every method and variant that both have."""
    spread = group_spreads(accepted)
    for group in [group for group in accepted if group in fresh]:
        old, new = _draws(accepted[group], fresh[group])
        before, after = seed_values(old), seed_values(new)
        seeds = (len(new), len(accepted[group]))
        for column in [column for column in before if column in after]:
            means = statistics.fmean(before[column]), statistics.fmean(after[column])
            allowed = tolerance(spread[column][group], *seeds)
            yield MetricDrift(record_name(new[0], seed=False), column, *means, seeds, allowed)


def _draws(accepted: list[Record], fresh: list[Record]) -> tuple[list[Record], list[Record]]:
    """All accepted records and the fresh that do not reproduce theirs; if all do, they and theirs."""
    known = {record["seed"]: record for record in accepted}
    again = [
        one for one in fresh if one["seed"] in known and own_metrics(one) == own_metrics(known[one["seed"]])
    ]
    if len(again) == len(fresh):
        return [known[record["seed"]] for record in again], again
    return accepted, [record for record in fresh if record not in again]


def own_metrics(record: Record) -> Any:
    """The metrics of the record's own profile, every class's AP included."""
    return record["metrics"][record["protocol"]["profile"]]


def seed_values(members: list[Record]) -> dict[Column, list[float]]:
    """The values over seeds of each metric that all members have."""
    found = [metric_values(member, member["protocol"]["profile"]) for member in members]
    shared = [column for column in found[0] if all(column in values for values in found)]
    return {column: [values[column] for values in found] for column in shared}
