"""The gain of one method over another in mAP and in each label's AP, with intervals if predictions exist.

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
    """A gain in points: of mAP, and of each label's AP.

    seeds: the seeds of which both methods have predictions; all numbers are means over them. Empty: there are
    none, and the numbers are means over all seeds. ends, ends_2C: the ends of the 95 % intervals of mAP and
    of each AP (None without predictions).
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
        return f"the seeds of which both have predictions: {', '.join(map(str, self.seeds))}"

    @property
    def is_clear(self) -> bool:
        """Whether the interval of mAP excludes 0."""
        return self.ends is not None and (self.ends[0] > 0 or self.ends[1] < 0)


def compute_gain(evidence: Evidence, group: Group, over: Group, *, replicates: int = REPLICATES) -> Gain:
    """The gain of `group` over `over`: differences of means over the seeds of which both have predictions, or
    over all seeds if there are none.

    The intervals describe the choice of test images, with the trained networks fixed: in each replicate the
    difference is computed seed by seed and averaged (Efron and Tibshirani 1993, chapter 13).
    """
    predictions, others = evidence.predictions(group), evidence.predictions(over)
    seeds = tuple(sorted(predictions.keys() & others.keys()))
    mAP = evidence.mAP(group, seeds) - evidence.mAP(over, seeds)
    AP_C = evidence.labels_AP(group, seeds) - evidence.labels_AP(over, seeds)
    if not seeds:
        return Gain(mAP, AP_C)
    differences = [_difference(evidence.card, predictions[seed], others[seed], replicates) for seed in seeds]
    low, high = bootstrap.interval(np.mean([mAP_L for mAP_L, _ in differences], axis=0))
    ends_2C = np.array(bootstrap.interval(np.mean([AP_LC for _, AP_LC in differences], axis=0)))
    return Gain(mAP, AP_C, seeds, (float(low), float(high)), ends_2C)


def _difference(
    card: Card, minuend: Predictions, subtrahend: Predictions, replicates: int
) -> tuple[Array, Array]:
    """The difference in mAP (L) and AP (L, C) of two predictions, on the same draws of the images."""
    if not np.array_equal(minuend.labels_NC, subtrahend.labels_NC):
        raise InputError(f"two runs on {card.name} predict different test sets; run one of them again")
    rules, resampled = profiles.get_profile(card.evaluation.profile), []
    for predictions in (minuend, subtrahend):
        weights = bootstrap.draw_weights(len(predictions.labels_NC), replicates)
        resampled.append(
            bootstrap.resample(
                predictions.logits_NC,
                predictions.labels_NC,
                weights,
                rules=rules,
                protocol=card.evaluation,
            )
        )
    column = ("all", "mAP")
    first, second = resampled
    return first.values[column] - second.values[column], first.AP_LC - second.AP_LC


def companions(labels_NC: Array) -> Array:
    """For each label the mean number of other labels in the images that have it; NaN if no image has it.

    >>> companions(np.array([[1, 1, 0], [1, -1, 0]])).tolist()
    [0.5, 1.0, nan]
    """
    positive_NC = labels_NC == 1
    number_C = positive_NC.sum(axis=0)
    others_N = positive_NC.sum(axis=1) - 1
    others_C = np.array([others_N[positive_N].sum() for positive_N in positive_NC.T])
    unknown_C = np.full(len(number_C), np.nan)
    return np.asarray(np.divide(others_C, number_C, out=unknown_C, where=number_C > 0))


def choose_labels(gains_C: Sequence[float], number: int = 3) -> list[int]:
    """Labels to show: those of the largest and of the smallest gain, and others at even ranks between them.

    >>> choose_labels([0.0, 3.0, 1.0, 2.0, -1.0])
    [1, 2, 4]
    """
    order = [int(c) for c in np.argsort(-np.asarray(gains_C), kind="stable") if not np.isnan(gains_C[c])]
    ranks = np.linspace(0, len(order) - 1, min(number, len(order))).round().astype(int)
    return [order[rank] for rank in ranks]
