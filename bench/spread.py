"""Whether fresh numbers have moved: the difference of two means over seeds, beside the spread between seeds.

Of every method and variant the mean over the fresh seeds is compared with the mean over all accepted seeds. A
fresh record whose numbers equal those accepted for its seed to the last bit reproduces them: it is left out,
and if nothing else is fresh the difference is 0. Any other record counts as a new draw, on an accepted seed
too, for rounding on another processor leads the same seed elsewhere. Pairing the k common seeds would then
have to allow for sqrt(2 / k) standard deviations; the two means allow for sqrt(1 / m + 1 / n), never more, as
k is at most m and n. One comparison in a thousand passes its tolerance by chance.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.layout import Column
from bench.record import Group, Record, scores, title

CONFIDENCE = 0.999  # two-sided, of one comparison
LEAST = 0.1  # points: what a table can show
WITHOUT_SPREAD = 1.0  # points, where no group has two accepted seeds

Groups = Mapping[Group, list[Record]]


@dataclass(frozen=True)
class Spread:
    """The standard deviation between seeds of one metric, and its degrees of freedom (0: not known)."""

    sd: float
    freedom: int

    def tolerance(self, m: int, n: int) -> float:
        """How far means over m and n seeds may lie apart: t sd sqrt(1/m + 1/n) points, at least `LEAST`."""
        if not self.freedom:
            return WITHOUT_SPREAD
        from scipy.special import stdtrit  # noqa: PLC0415 (half a second, for this alone)

        t = float(stdtrit(self.freedom, (1 + CONFIDENCE) / 2))
        return max(LEAST, t * self.sd * math.sqrt(1 / m + 1 / n))


@dataclass(frozen=True)
class Comparison:
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


def spreads(accepted: Groups) -> dict[Column, Spread]:
    """Each metric's spread, pooled over the accepted groups: sums of squares and of degrees of freedom."""
    squares: dict[Column, float] = defaultdict(float)
    freedom: dict[Column, int] = defaultdict(int)
    for members in accepted.values():
        for column, sample in samples(members).items():
            squares[column] += statistics.pvariance(sample) * len(sample)
            freedom[column] += len(sample) - 1
    return {column: Spread(math.sqrt(squares[column] / (n or 1)), n) for column, n in freedom.items()}


def compare(accepted: Groups, fresh: Groups) -> Iterator[Comparison]:
    """Every metric of every method and variant that both have."""
    spread = spreads(accepted)
    for group in [group for group in accepted if group in fresh]:
        old, new = _draws(accepted[group], fresh[group])
        before, after = samples(old), samples(new)
        seeds = (len(new), len(accepted[group]))
        for column in [column for column in before if column in after]:
            means = statistics.fmean(before[column]), statistics.fmean(after[column])
            yield Comparison(
                title(new[0], seed=False), column, *means, seeds, spread[column].tolerance(*seeds)
            )


def _draws(accepted: list[Record], fresh: list[Record]) -> tuple[list[Record], list[Record]]:
    """All accepted records and the fresh that do not reproduce theirs; if all do, they and theirs."""
    known = {record["seed"]: record for record in accepted}
    again = [record for record in fresh if _own(record) == _own(known.get(record["seed"]))]
    if len(again) == len(fresh):
        return [known[record["seed"]] for record in again], again
    return accepted, [record for record in fresh if record not in again]


def _own(record: Record | None) -> Any:
    """The metrics of the record's own profile, every class's AP included."""
    return record and record["metrics"][record["protocol"]["profile"]]


def samples(members: list[Record]) -> dict[Column, list[float]]:
    """The values over seeds of each metric that all members have."""
    found = [scores(member, member["protocol"]["profile"]) for member in members]
    shared = [column for column in found[0] if all(column in values for values in found)]
    return {column: [values[column] for values in found] for column in shared}
