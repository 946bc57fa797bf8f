"""Multi-label metrics from logits and ground truth, as the published tables computed them.

Legend: N images, C classes (labels), B images in a block of rows.
Counts: tp, pp, gp = true positives, predicted positives, ground-truth positives.
Each metric is computed from the whole data set, never averaged over batches. Inputs are always taken as
logits, even if all lie from 0 to 1. What differs between papers is described in `bench.scoring.profiles`.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike

from bench.base.errors import InputError, unknown
from bench.base.protocol import Top3, Unspecified
from bench.scoring import profiles
from bench.scoring.average_precision import as_floats, average_precision
from bench.scoring.matrices import Array, EntryTest, blocks, checked
from bench.scoring.profiles import Profile

COLUMNS = ("F1-C", "P-C", "R-C", "F1-O", "P-O", "R-O")
COMPARE: dict[str, Callable[[Array, Array], Array]] = {">": np.greater, ">=": np.greater_equal}


def evaluate(
    logits_NC: ArrayLike,
    labels_NC: ArrayLike,
    *,
    profile: str | Profile = "srn2017",
    top3: Top3 | None = None,
    k: int = 3,
    unspecified: Unspecified | None = None,
) -> dict[str, Any]:
    """Score the predictions of a whole data set by one profile, given by name or as a `Profile`.

    Labels: 1 is positive, 0 and -1 are negative. With `unspecified`, 0 means unspecified and -1 negative: AP
    leaves unspecified entries out; F1, P and R count them as "negative", or leave them out if "excluded".
    `top3`: only the k highest logits of each image count as predicted (ties: the lower class index first);
    "forced": all k; "thresholded": those of them that are positive by the profile's threshold.

    Returns "mAP", "F1-C", "P-C", "R-C", "F1-O", "P-O", "R-O" in percent; "AP", percentages of shape C, NaN
    for a class without positives; and, unless `top3` is None, "top3", a mapping with the last six again. The
    keys are the same for every profile; a metric that the profile does not define (voc2007: all but AP and
    mAP; asl: top-3) is NaN.

    InputError for an unknown name, for shapes that differ, for k outside 1..C, and for an entry that is not a
    finite logit or not a label (the first one, by row and column counted from 0). Source: the papers in
    the profile's `used_by`.
    """
    rules = profile if isinstance(profile, Profile) else profiles.get_profile(profile)
    _check_choice("top-3 rule", top3, get_args(Top3))
    _check_choice("treatment of unspecified labels", unspecified, get_args(Unspecified))
    logits, labels = checked(logits_NC, labels_NC)

    def six_columns(rule: Top3 | None) -> dict[str, float]:
        is_predicted = prediction_rule(rules, rule, k=k)
        if is_predicted is None:
            return dict.fromkeys(COLUMNS, math.nan)
        counts_3C = count_outcomes(logits, labels, is_predicted, excluded=unspecified == "excluded")
        return {name: float(value) for name, value in f1_columns(counts_3C, rules).items()}

    AP_C = _average_precisions(logits, labels, rules, drop_zeros=unspecified is not None)
    result = {"mAP": float(mean_ap(AP_C, rules)), **six_columns(None), "AP": AP_C}
    return result if top3 is None else {**result, "top3": six_columns(top3)}


def precision_recall_f1(
    tp: ArrayLike, pp: ArrayLike, gp: ArrayLike, *, eps: float = 0.0
) -> tuple[Array, Array, Array]:
    """Precision, recall and F1 as fractions; the counts are three arrays of the same shape.

    P = (tp + eps) / (pp + eps), R = (tp + eps) / (gp + eps) + eps, F1 = 2 P R / (P + R), where 0 / 0 is 0.
    With MATLAB's eps, 2^-52, a class that is never predicted has P = 1; its R, and thus its F1, is almost 0.

    >>> [float(value) for value in precision_recall_f1(tp=3, pp=4, gp=6)]
    [0.75, 0.5, 0.6]
    >>> [round(float(value), 6) for value in precision_recall_f1(tp=0, pp=0, gp=6, eps=2.0**-52)]
    [1.0, 0.0, 0.0]
    """
    correct, predicted, positive = (np.asarray(count, dtype=np.float64) + eps for count in (tp, pp, gp))
    precision, recall = _divide(correct, predicted), _divide(correct, positive) + eps
    return precision, recall, harmonic_mean(precision, recall)


def harmonic_mean(a: ArrayLike, b: ArrayLike) -> Array:
    """2 a b / (a + b), and 0 where both are 0.

    >>> float(harmonic_mean(0.75, 0.5)), float(harmonic_mean(0, 0))
    (0.6, 0.0)
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return _divide(2 * first * second, first + second)


def top_k_mask(logits_NC: ArrayLike, *, k: int) -> Array:
    """Mask of the k highest finite logits of each image, shape N x C; of equal ones, the lower class index.

    InputError if k is not from 1 to C.

    >>> top_k_mask([[0.3, 2.0, 0.3, -1.0]], k=2).tolist()
    [[True, True, False, False]]
    """
    remaining_NC = as_floats(np.array(logits_NC))
    labels = remaining_NC.shape[1]
    if not 1 <= k <= labels:
        raise InputError(f"k = {k}, but an image has {labels} labels; choose k from 1 to {labels}")
    mask_NC = np.zeros(remaining_NC.shape, dtype=bool)
    for _ in range(k):
        best_N1 = remaining_NC.argmax(axis=1)[:, None]
        np.put_along_axis(mask_NC, best_N1, True, axis=1)
        np.put_along_axis(remaining_NC, best_N1, -np.inf, axis=1)
    return mask_NC


def logit(p: ArrayLike) -> Array:
    """The inverse of the sigmoid: ln(p / (1 - p)), for probabilities strictly between 0 and 1.

    Thresholds are turned into logits by this function and compared as logits. So a logit of exactly 0 has
    p = 0.5, and one of 1e-17 is above 0.5, although 1 / (1 + exp(-logit)) rounds to 0.5. Probabilities turned
    into logits by this function compare as they were written: 0.6 is not below a threshold of 0.6.

    >>> float(logit(0.5)), round(float(logit(0.8)), 6)
    (0.0, 1.386294)
    """
    probability = np.asarray(p, dtype=np.float64)
    return np.asarray(np.log(probability / (1 - probability)))


def _check_choice(kind: str, given: str | None, choices: tuple[str, ...]) -> None:
    if given is not None and given not in choices:
        raise unknown(kind, given, choices)


def _by_class(matrix_NC: Array, width: int = 16) -> Iterator[Array]:
    """Contiguous columns; `width` of them are copied at once, as each copy reads the whole matrix."""
    for start in range(0, matrix_NC.shape[1], width):
        yield from np.ascontiguousarray(matrix_NC[:, start : start + width].T)


def _average_precisions(logits_NC: Array, labels_NC: Array, rules: Profile, *, drop_zeros: bool) -> Array:
    """AP of each class in percent; `drop_zeros`: without the entries labelled 0."""
    AP_C = np.empty(labels_NC.shape[1])
    for c, (scores_N, labels_N) in enumerate(zip(_by_class(logits_NC), _by_class(labels_NC), strict=True)):
        used = labels_N != 0 if drop_zeros else slice(None)
        AP_C[c] = average_precision(scores_N[used], labels_N[used] == 1, area=rules.area, ties=rules.ties)
    return percent(AP_C)


def mean_ap(AP_C: Array, rules: Profile) -> Array:
    """Mean over the classes (last axis) that the profile does not leave out; NaN if none remains."""
    counted_C = ~np.isnan(AP_C) if rules.no_positives == "left out" else np.ones(AP_C.shape, dtype=bool)
    return _divide(np.nan_to_num(AP_C).sum(axis=-1), counted_C.sum(axis=-1), zero=math.nan)


def prediction_rule(rules: Profile, top3: Top3 | None, *, k: int = 3) -> EntryTest | None:
    """The test for entries that count as predicted; None where the profile does not define one."""
    if rules.positive is None or (top3 and not rules.top3):
        return None
    is_above = _label_test(rules) if rules.thresholds else threshold_test(*rules.positive)
    tests: dict[Top3 | None, EntryTest] = {
        None: is_above,
        "forced": lambda block_BC: top_k_mask(block_BC, k=k),
        "thresholded": lambda block_BC: is_above(block_BC) & top_k_mask(block_BC, k=k),
    }
    return tests[top3]


def threshold_test(compare: str, p: float) -> EntryTest:
    """The test for logits above (compare: ">") or not below (">=") the probability p."""
    threshold = logit(p)
    return lambda block_BC: COMPARE[compare](block_BC, threshold)


def _label_test(rules: Profile) -> EntryTest:
    """The same test with the profile's threshold of each label, which are logits."""
    assert rules.positive is not None
    compare, thresholds_C = COMPARE[rules.positive[0]], np.array(rules.thresholds)
    return lambda block_BC: compare(block_BC, thresholds_C)


def count_outcomes(logits_NC: Array, labels_NC: Array, is_predicted: EntryTest, *, excluded: bool) -> Array:
    """tp, pp, gp of each class, shape 3 x C; `excluded`: entries labelled 0 are not counted at all."""
    counts_3C = np.zeros((3, labels_NC.shape[1]), dtype=np.int64)
    for _, masks_3BC in outcome_masks(logits_NC, labels_NC, is_predicted, excluded=excluded):
        counts_3C += [np.count_nonzero(mask_BC, axis=0) for mask_BC in masks_3BC]
    return counts_3C


def outcome_masks(
    logits_NC: Array, labels_NC: Array, is_predicted: EntryTest, *, excluded: bool
) -> Iterator[tuple[slice, tuple[Array, Array, Array]]]:
    """For each block of rows: (the rows, (mask of tp, mask of pp, mask of gp))."""
    for rows, labels_BC in blocks(labels_NC):
        predicted_BC, positive_BC = is_predicted(logits_NC[rows]), labels_BC == 1
        if excluded:
            predicted_BC &= labels_BC != 0
        yield rows, (predicted_BC & positive_BC, predicted_BC, positive_BC)


def f1_columns(counts_3C: Array, rules: Profile) -> dict[str, Array]:
    """The six columns in percent: "-C" is the mean over classes (macro), "-O" is over all entries (micro).

    Shapes: the first axis is tp, pp, gp, the last is the classes; each column has the axes in between.
    """
    tp_C, pp_C, gp_C = counts_3C
    pp_C = np.maximum(pp_C, rules.least_predicted)
    P_C, R_C, F_C = precision_recall_f1(tp_C, pp_C, gp_C, eps=rules.eps)
    P_O, R_O, F_O = precision_recall_f1(tp_C.sum(-1), pp_C.sum(-1), gp_C.sum(-1), eps=rules.eps)
    P, R = P_C.mean(-1), R_C.mean(-1)
    F = F_C.mean(-1) if rules.f1_c == "mean" else harmonic_mean(P, R)
    return {name: percent(x) for name, x in zip(COLUMNS, (F, P, R, F_O, P_O, R_O), strict=True)}


def percent(fraction: ArrayLike) -> Array:
    # With eps and rounding a perfect score may exceed 1 in its last bit; no table shows more than 100.
    return np.asarray(np.minimum(100 * np.asarray(fraction), 100))


def _divide(a: Array, b: Array, *, zero: float = 0.0) -> Array:
    return np.asarray(np.divide(a, b, out=np.full(np.shape(b), zero), where=b != 0))


def defined(values: dict[str, Any]) -> dict[str, Any]:
    """The metrics that the profile defines; the AP of a label without positives becomes None."""
    kept: dict[str, Any] = {}
    for name, value in values.items():
        if name == "AP":
            kept[name] = {label: None if math.isnan(ap) else ap for label, ap in value.items()}
        elif isinstance(value, dict):
            kept |= {name: group} if (group := defined(value)) else {}
        elif not math.isnan(value):
            kept[name] = value
    return kept
