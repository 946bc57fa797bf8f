"""The gain of one method over another: mAP and every label's AP, with intervals where predictions are there.

Legend: N images, C labels, L bootstrap replicates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.base.errors import InputError
from bench.data.cards import Card
from bench.report.evidence import Evidence
from bench.results.record import Group
from bench.scoring import bootstrap, profiles
from bench.scoring.matrices import Array
from bench.scoring.predictions import Predictions

REPLICATES = 1000


@dataclass(frozen=True)
class Gain:
    """In points: of mAP, and of each label's AP; the ends of their 95 % intervals (None: no predictions).

    seeds: those that both methods have predictions of, of which all these numbers then are; else of all.
    """

    mAP: float
    AP_C: Array
    seeds: tuple[int, ...] = ()
    ends: tuple[float, float] | None = None
    ends_2C: Array | None = None

    @property
    def origin(self) -> str:
        """The seeds in words."""
        if not self.seeds:
            return "all seeds"
        return f"the seeds that both have predictions of: {', '.join(map(str, self.seeds))}"

    @property
    def is_clear(self) -> bool:
        """Whether the interval of mAP leaves out 0."""
        return self.ends is not None and (self.ends[0] > 0 or self.ends[1] < 0)


def gain(evidence: Evidence, group: Group, over: Group, *, replicates: int = REPLICATES) -> Gain:
    """What a method gains over another one: differences of means over the seeds that both have predictions
    of or, where there are none, over all.

    The intervals are of the images, the trained networks given: of each replicate the difference is taken
    seed by seed and averaged (Efron and Tibshirani 1993, chapter 13).
    """
    mine, others = evidence.predictions(group), evidence.predictions(over)
    seeds = tuple(sorted(mine.keys() & others.keys()))
    mAP = evidence.mAP(group, seeds) - evidence.mAP(over, seeds)
    AP_C = evidence.labels_AP(group, seeds) - evidence.labels_AP(over, seeds)
    if not seeds:
        return Gain(mAP, AP_C)
    drawn = [_difference(evidence.card, mine[seed], others[seed], replicates) for seed in seeds]
    low, high = bootstrap.interval(np.mean([mAP_L for mAP_L, _ in drawn], axis=0))
    ends_2C = np.array(bootstrap.interval(np.mean([AP_LC for _, AP_LC in drawn], axis=0)))
    return Gain(mAP, AP_C, seeds, (float(low), float(high)), ends_2C)


def _difference(card: Card, one: Predictions, other: Predictions, replicates: int) -> tuple[Array, Array]:
    """mAP (L) and AP (L, C) of the one minus those of the other, on the same draws of the images."""
    if not np.array_equal(one.labels_NC, other.labels_NC):
        raise InputError(f"two runs on {card.name} predict different test sets; run one of them again")
    rules, found = profiles.get_profile(card.evaluation.profile), []
    for it in (one, other):
        weights = bootstrap.draw_weights(len(it.labels_NC), replicates)
        found.append(
            bootstrap.resample(it.logits_NC, it.labels_NC, weights, rules=rules, protocol=card.evaluation)
        )
    column = ("all", "mAP")
    return found[0].values[column] - found[1].values[column], found[0].AP_LC - found[1].AP_LC


def companions(labels_NC: Array) -> Array:
    """For each label the mean number of other labels in the images that have it; NaN where none has it.

    >>> companions(np.array([[1, 1, 0], [1, -1, 0]])).tolist()
    [0.5, 1.0, nan]
    """
    positive_NC = labels_NC == 1
    number_C = positive_NC.sum(axis=0)
    others_C = positive_NC.T.astype(np.int64) @ (positive_NC.sum(axis=1) - 1)
    unknown_C = np.full(len(number_C), np.nan)
    return np.asarray(np.divide(others_C, number_C, out=unknown_C, where=number_C > 0))


def chosen(gains_C: Sequence[float], number: int = 3) -> list[int]:
    """Labels to look at: that of the largest gain, of the least, and those evenly between, by their rank.

    >>> chosen([0.0, 3.0, 1.0, 2.0, -1.0])
    [1, 2, 4]
    """
    order = [int(c) for c in np.argsort(-np.asarray(gains_C), kind="stable") if not np.isnan(gains_C[c])]
    places = np.linspace(0, len(order) - 1, min(number, len(order))).round().astype(int)
    return [order[place] for place in places]
