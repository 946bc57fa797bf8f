"""Metrics of decisions, in which a profile's threshold enters: Hamming loss, exact match, F-beta.

Legend: N images, C labels, B images in a block of rows. `is_predicted`: the test for entries that count as
predicted (`metrics.prediction_rule`). `excluded`: entries labelled 0 are not counted, as for F1.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from bench.scoring.matrices import Array, EntryTest, blocks, checked
from bench.scoring.metrics import precision_recall_f1
from bench.scoring.profiles import Profile


def hamming_loss(
    logits_NC: ArrayLike, labels_NC: ArrayLike, is_predicted: EntryTest, *, excluded: bool = False
) -> float:
    """Share of the entries that are decided wrongly, (false positives + false negatives) / entries.

    >>> hamming_loss([[2.0, -1.0]], [[1, 1]], lambda block_BC: block_BC > 0)
    0.5
    """
    wrong_N, counted_N = wrong_entries(logits_NC, labels_NC, is_predicted, excluded=excluded)
    return float(wrong_N.sum() / counted_N.sum()) if counted_N.any() else math.nan


def exact_match(
    logits_NC: ArrayLike, labels_NC: ArrayLike, is_predicted: EntryTest, *, excluded: bool = False
) -> float:
    """Share of the images of which every entry is decided rightly (subset accuracy).

    An image without an entry that counts is left out; NaN if none remains.

    >>> exact_match([[2.0, -1.0], [2.0, -1.0]], [[1, 1], [1, 0]], lambda block_BC: block_BC > 0)
    0.5
    """
    wrong_N, counted_N = wrong_entries(logits_NC, labels_NC, is_predicted, excluded=excluded)
    return float((wrong_N[counted_N > 0] == 0).mean()) if counted_N.any() else math.nan


def f_beta(counts_3C: Array, rules: Profile, *, beta: float) -> tuple[float, float]:
    """(macro, micro) F-beta as fractions, by the rules of a profile; beta > 1 weighs recall more.

    F = (1 + beta^2) P R / (beta^2 P + R), 0 where P = R = 0, with the P and R of `metrics.f1_columns`: macro
    is the mean over the labels, or F of P-C and R-C where the profile's F1-C is harmonic. beta = 1: F1.
    counts_3C: tp, pp, gp of each label, as `metrics.count_outcomes` gives them.
    """
    macro, micro = f_betas(counts_3C, rules, beta=beta)
    return float(macro), float(micro)


def f_betas(counts_3RC: Array, rules: Profile, *, beta: float) -> tuple[Array, Array]:
    """As `f_beta`, for R sets of counts at once; both of shape R."""
    tp_RC, pp_RC, gp_RC = counts_3RC
    pp_RC = np.maximum(pp_RC, rules.least_predicted)
    P_RC, R_RC, _ = precision_recall_f1(tp_RC, pp_RC, gp_RC, eps=rules.eps)
    totals = (counts_RC.sum(axis=-1) for counts_RC in (tp_RC, pp_RC, gp_RC))
    P, R, _ = precision_recall_f1(*totals, eps=rules.eps)
    if rules.f1_c == "mean":
        return _weighted(P_RC, R_RC, beta).mean(axis=-1), _weighted(P, R, beta)
    return _weighted(P_RC.mean(axis=-1), R_RC.mean(axis=-1), beta), _weighted(P, R, beta)


def _weighted(P: Array, R: Array, beta: float) -> Array:
    below = np.asarray(beta**2 * P + R)
    return np.asarray(np.divide((1 + beta**2) * P * R, below, out=np.zeros(below.shape), where=below != 0))


def wrong_entries(
    logits_NC: ArrayLike, labels_NC: ArrayLike, is_predicted: EntryTest, *, excluded: bool
) -> tuple[Array, Array]:
    """For each image: how many entries are decided wrongly, and how many count."""
    logits, labels = checked(logits_NC, labels_NC)
    wrong_N, counted_N = (np.zeros(len(labels), dtype=np.int64) for _ in range(2))
    for rows, labels_BC in blocks(labels):
        counts_BC = labels_BC != 0 if excluded else np.ones(labels_BC.shape, dtype=bool)
        wrong_BC = (is_predicted(logits[rows]) != (labels_BC == 1)) & counts_BC
        wrong_N[rows], counted_N[rows] = wrong_BC.sum(axis=1), counts_BC.sum(axis=1)
    return wrong_N, counted_N
