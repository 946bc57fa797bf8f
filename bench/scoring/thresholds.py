"""Thresholds for decisions: one for each label, fitted on held-out images, and the oracle's on the test set.

Legend: N images, C labels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.base.protocol import Evaluation, Unspecified
from bench.scoring import metrics
from bench.scoring.average_precision import descending
from bench.scoring.matrices import Array, checked
from bench.scoring.profiles import PROFILES, Profile

TRIED = tuple(hundredth / 100 for hundredth in range(1, 100))  # probabilities that the oracle tries
LEAST = 10  # positives and negatives that a label needs; with fewer its best threshold is mostly chance
RULE = "that of the highest F1 of the label there, of equal ones the highest threshold"


def fit_thresholds(
    logits_NC: ArrayLike, labels_NC: ArrayLike, *, unspecified: Unspecified | None = None, least: int = LEAST
) -> NDArray[np.float64]:
    """For each label the threshold of its highest F1, as a logit, shape C; give held-out images only.

    F1 = 2 tp / (pp + P), where the pp images with the highest logits count as predicted and P are positive.
    The threshold lies in the middle between the last logit that is predicted and the next one, or 1 below
    all logits; of equal F1 the fewest predictions count. NaN: a label with less than `least` positives or
    negatives, which keeps the threshold of the profile. `unspecified` as in `metrics.evaluate`.
    Source: Lipton et al., Optimal Thresholding of Classifiers to Maximize F1 Measure, 2014.

    >>> fit_thresholds([[3.0], [2.0], [1.0], [-1.0]], [[1], [0], [1], [0]], least=1).tolist()
    [0.0]
    """
    logits, labels = checked(logits_NC, labels_NC)
    thresholds_C = np.full(labels.shape[1], math.nan)
    for c in range(labels.shape[1]):
        used_N = labels[:, c] != 0 if unspecified == "excluded" else slice(None)
        positive_N = labels[used_N, c] == 1
        positives = int(positive_N.sum())
        if min(positives, positive_N.size - positives) >= least:
            thresholds_C[c] = _best_threshold(np.ascontiguousarray(logits[used_N, c]), positive_N)
    return thresholds_C


def _best_threshold(scores_N: Array, positive_N: Array) -> float:
    order_N = descending(scores_N)
    ordered_N = scores_N[order_N].astype(np.float64)
    ends = np.append(np.flatnonzero(ordered_N[1:] != ordered_N[:-1]), ordered_N.size - 1)
    tp = positive_N[order_N].cumsum()[ends]
    end = ends[(2 * tp / (ends + 1 + positive_N.sum())).argmax()]
    following = ordered_N[end + 1] if end + 1 < ordered_N.size else ordered_N[end] - 2
    return float((ordered_N[end] + following) / 2)


def with_thresholds(rules: Profile, thresholds_C: ArrayLike) -> Profile:
    """The profile with a threshold for each label; labels of NaN, and a profile without one, keep its own."""
    if rules.positive is None:
        return rules
    fitted_C = np.asarray(thresholds_C, dtype=np.float64)
    own = metrics.logit(rules.positive[1])
    return replace(rules, thresholds=tuple(np.where(np.isnan(fitted_C), own, fitted_C).tolist()))


def summary(
    thresholds_C: Array, names: Sequence[str], *, images: int, rules: Profile = PROFILES["srn2017"]
) -> dict[str, Any]:
    """The thresholds as a record holds them: a logit for each label, None where that of `otherwise` counts.

    That one is the profile's or, where the profile has none, a logit of at least 0; its comparison counts for
    all labels.
    """
    compare, p = rules.positive or (">=", 0.5)
    by_name = zip(names, np.asarray(thresholds_C).tolist(), strict=True)
    logits = {name: None if math.isnan(value) else value for name, value in by_name}
    otherwise = {"compare": compare, "logit": float(metrics.logit(p))}
    facts = {"rule": RULE, "held_out_images": images, "least": LEAST}
    return facts | {"otherwise": otherwise, "logits": logits}


def unfitted(facts: Mapping[str, Any]) -> list[str]:
    """The labels of a `summary` that keep the profile's threshold."""
    return [name for name, logit in facts["logits"].items() if logit is None]


def at_best_threshold(logits_NC: Array, labels_NC: Array, rules: Profile, evaluation: Evaluation) -> Profile:
    """The oracle: the profile with the threshold, one for all labels, of the highest F1-C + F1-O on the
    scored images themselves; of equal ones the lowest.
    """
    if rules.positive is None:
        return rules
    compare, own = rules.positive

    def f1_sum(p: float) -> float:
        counts_3C = metrics.count_outcomes(
            logits_NC,
            labels_NC,
            metrics.threshold_test(compare, p),
            excluded=evaluation.unspecified == "excluded",
        )
        values = metrics.f1_columns(counts_3C, replace(rules, positive=(compare, p)))
        return float(values["F1-C"] + values["F1-O"])

    return replace(rules, positive=(compare, max(sorted({own, *TRIED}), key=f1_sum)))
