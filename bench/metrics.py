"""Multi-label metrics from logits and ground truth, as the published tables computed them: numpy alone, pure.

Shapes: N images, C classes (labels), B images of a block of rows.
Counts: tp, pp, gp = true positives, predicted positives, ground-truth positives.
Every number is one of the whole file; nothing is averaged over batches, nothing guesses whether it was handed
probabilities. What differs from paper to paper is data: `bench.profiles`.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench import profiles
from bench.average_precision import as_floats, average_precision
from bench.cards import Top3, Unspecified
from bench.errors import InputError, unknown
from bench.profiles import Profile

Array = NDArray[Any]
Mark = Callable[[Array], Array]  # a block of rows -> one truth value for each of its entries

COLUMNS = ("F1-C", "P-C", "R-C", "F1-O", "P-O", "R-O")
COMPARE = {">": np.greater, ">=": np.greater_equal}


def evaluate(
    logits_NC: ArrayLike,
    labels_NC: ArrayLike,
    *,
    profile: str | Profile = "srn2017",
    top3: Top3 | None = None,
    k: int = 3,
    unspecified: Unspecified | None = None,
) -> dict[str, Any]:
    """Score the predictions of a whole data set by one profile: a name, or a description of one's own.

    Labels: 1 positive, 0 and -1 negative. With `unspecified`, 0 is unspecified and -1 negative: AP drops what
    is unspecified; F1 counts it as "negative", or it is "excluded" from the counts behind F1, P and R too.
    `top3`: an image's k highest logits (ties: lower class index), all of them if "forced", those that are
    positive by the profile's own threshold if "thresholded".

    Returns "mAP", "F1-C", "P-C", "R-C", "F1-O", "P-O", "R-O" in percent; "AP", percentages of shape C, NaN
    for a class without positives; and, unless `top3` is None, "top3", a mapping with the last six again. The
    keys are the same for every profile: what it does not define (voc2007: all but AP; asl: top-3) is NaN.

    InputError: an unknown name, shapes that differ, k outside 1..C, and, by row and column counted from 0,
    the first entry that is not a finite logit or not a label. Source: `used_by` of the profile.
    """
    rules = profile if isinstance(profile, Profile) else profiles.find(profile)
    _known("top-3 rule", top3, get_args(Top3))
    _known("treatment of unspecified labels", unspecified, get_args(Unspecified))
    logits, labels = _checked(logits_NC, labels_NC)

    def six(rule: Top3 | None) -> dict[str, float]:
        decide = _decision(rules, rule, k)
        if decide is None:
            return dict.fromkeys(COLUMNS, math.nan)
        return _columns(_count(logits, labels, decide, excluded=unspecified == "excluded"), rules)

    AP_C = _average_precisions(logits, labels, rules, drop=unspecified is not None)
    result = {"mAP": _mean_ap(AP_C, rules), **six(None), "AP": AP_C}
    return result if top3 is None else {**result, "top3": six(top3)}


def precision_recall_f1(
    tp: ArrayLike, pp: ArrayLike, gp: ArrayLike, *, eps: float = 0.0
) -> tuple[Array, Array, Array]:
    """Precision, recall and F1 as fractions, from counts of any one shape.

    P = (tp + eps) / (pp + eps), R = (tp + eps) / (gp + eps) + eps, F1 = 2 P R / (P + R), where 0 / 0 is 0.
    With MATLAB's eps, 2^-52, a class that is never predicted has P = 1; its R, and so its F1, is almost 0.

    >>> [float(value) for value in precision_recall_f1(tp=3, pp=4, gp=6)]
    [0.75, 0.5, 0.6]
    >>> [round(float(value), 6) for value in precision_recall_f1(tp=0, pp=0, gp=6, eps=2.0**-52)]
    [1.0, 0.0, 0.0]
    """
    found, predicted, true = (np.asarray(count, dtype=np.float64) + eps for count in (tp, pp, gp))
    precision, recall = _divide(found, predicted), _divide(found, true) + eps
    return precision, recall, harmonic_mean(precision, recall)


def harmonic_mean(a: ArrayLike, b: ArrayLike) -> Array:
    """2 a b / (a + b), and 0 where both are 0.

    >>> float(harmonic_mean(0.75, 0.5)), float(harmonic_mean(0, 0))
    (0.6, 0.0)
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return _divide(2 * first * second, first + second)


def highest(logits_NC: ArrayLike, *, k: int) -> Array:
    """Mark the k highest finite logits of every image, shape N x C; of equal ones the lower class index.

    InputError: k outside 1..C.

    >>> highest([[0.3, 2.0, 0.3, -1.0]], k=2).tolist()
    [[True, True, False, False]]
    """
    left_NC = as_floats(np.array(logits_NC))
    if not 1 <= k <= left_NC.shape[1]:
        raise InputError(f"k = {k}, but an image has {left_NC.shape[1]} labels; give a k from 1 to that")
    marked_NC = np.zeros(left_NC.shape, dtype=bool)
    for _ in range(k):
        best_N1 = left_NC.argmax(axis=1)[:, None]
        np.put_along_axis(marked_NC, best_N1, True, axis=1)
        np.put_along_axis(left_NC, best_N1, -np.inf, axis=1)
    return marked_NC


def logit(p: ArrayLike) -> Array:
    """The inverse of the sigmoid: ln(p / (1 - p)), for probabilities strictly between 0 and 1.

    Thresholds are compared as logits, made by this function. So a logit of exactly 0 has p = 0.5, one of
    1e-17 is above it (where 1 / (1 + exp(-logit)) rounds to 0.5), and probabilities that this function turned
    into logits are decided as they were written: 0.6 is no less than a threshold of 0.6.

    >>> float(logit(0.5)), round(float(logit(0.8)), 6)
    (0.0, 1.386294)
    """
    probability = np.asarray(p, dtype=np.float64)
    return np.asarray(np.log(probability / (1 - probability)))


def _known(kind: str, given: str | None, choices: tuple[str, ...]) -> None:
    if given is not None and given not in choices:
        raise unknown(kind, given, choices)


def _checked(logits_NC: ArrayLike, labels_NC: ArrayLike) -> tuple[Array, Array]:
    """Both as matrices that can be scored, uncopied where they are arrays of the usual types."""
    logits, labels = _matrix(logits_NC, "logits"), _matrix(labels_NC, "labels")
    if logits.shape != labels.shape:
        raise InputError(f"logits have shape {logits.shape}, labels {labels.shape}; they must be the same")
    _refuse(logits, lambda block: ~np.isfinite(block), "logits: {} in {}; every logit must be finite")
    _refuse(labels, _is_no_label, "labels: {} in {}; a label is 1, 0 or -1")
    return as_floats(logits), labels


def _matrix(values: ArrayLike, kind: str) -> Array:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as mistake:
        raise InputError(f"{kind} are no matrix of numbers: {mistake}") from mistake
    if array.ndim != 2 or not array.size or array.dtype.kind not in "biuf":
        raise InputError(
            f"{kind} have shape {array.shape} and type {array.dtype}; give numbers, images x classes"
        )
    return array


def _refuse(matrix_NC: Array, wrong: Mark, message: str) -> None:
    """InputError with the value and the place of the first entry that is wrong."""
    for rows, block_BC in _blocks(matrix_NC):
        wrong_BC = wrong(block_BC)
        if wrong_BC.any():
            row, column = np.argwhere(wrong_BC)[0]
            place = f"row {rows.start + row}, column {column} (counted from 0)"
            raise InputError(message.format(block_BC[row, column], place))


def _is_no_label(block_BC: Array) -> Array:
    return np.asarray((block_BC != 0) & (block_BC != 1) & (block_BC != -1))


def _blocks(matrix_NC: Array, size: int = 8192) -> Iterator[tuple[slice, Array]]:
    """Blocks of rows: intermediate results stay in the cache, and memory is bounded."""
    for start in range(0, len(matrix_NC), size):
        rows = slice(start, start + size)
        yield rows, matrix_NC[rows]


def _by_class(matrix_NC: Array, width: int = 16) -> Iterator[Array]:
    """Contiguous columns. Several are copied at once: every one of them alone would read the whole matrix."""
    for start in range(0, matrix_NC.shape[1], width):
        yield from np.ascontiguousarray(matrix_NC[:, start : start + width].T)


def _average_precisions(logits_NC: Array, labels_NC: Array, rules: Profile, *, drop: bool) -> Array:
    """AP of every class in percent; `drop`: without its entries labelled 0."""
    AP_C = np.empty(labels_NC.shape[1])
    for c, (scores_N, labels_N) in enumerate(zip(_by_class(logits_NC), _by_class(labels_NC), strict=True)):
        used = labels_N != 0 if drop else slice(None)
        AP_C[c] = average_precision(scores_N[used], labels_N[used] == 1, area=rules.area, ties=rules.ties)
    return np.asarray(_percent(AP_C))


def _mean_ap(AP_C: Array, rules: Profile) -> float:
    """NaN, too, where every class would be left out."""
    counted_C = AP_C[~np.isnan(AP_C)] if rules.no_positives == "left out" else np.nan_to_num(AP_C)
    return float(counted_C.mean()) if counted_C.size else math.nan


def _decision(rules: Profile, top3: Top3 | None, k: int) -> Mark | None:
    """Which entries count as predicted; None where the profile does not say."""
    if rules.positive is None or (top3 and not rules.top3):
        return None
    compare, cut = COMPARE[rules.positive[0]], logit(rules.positive[1])
    choose: dict[Top3 | None, Mark] = {
        None: lambda block_BC: compare(block_BC, cut),
        "forced": lambda block_BC: highest(block_BC, k=k),
        "thresholded": lambda block_BC: compare(block_BC, cut) & highest(block_BC, k=k),
    }
    return choose[top3]


def _count(logits_NC: Array, labels_NC: Array, decide: Mark, *, excluded: bool) -> Array:
    """tp, pp, gp of every class, shape 3 x C; `excluded`: entries labelled 0 are not counted at all."""
    counts_3C = np.zeros((3, labels_NC.shape[1]), dtype=np.int64)
    for rows, labels_BC in _blocks(labels_NC):
        predicted_BC, true_BC = decide(logits_NC[rows]), labels_BC == 1
        if excluded:
            predicted_BC &= labels_BC != 0
        marks = predicted_BC & true_BC, predicted_BC, true_BC
        counts_3C += [np.count_nonzero(mark_BC, axis=0) for mark_BC in marks]
    return counts_3C


def _columns(counts_3C: Array, rules: Profile) -> dict[str, float]:
    """The six columns in percent: "-C" per class, then averaged; "-O" over all decisions at once."""
    tp_C, pp_C, gp_C = counts_3C
    pp_C = np.maximum(pp_C, rules.least_predicted)
    P_C, R_C, F_C = precision_recall_f1(tp_C, pp_C, gp_C, eps=rules.eps)
    P_O, R_O, F_O = precision_recall_f1(tp_C.sum(), pp_C.sum(), gp_C.sum(), eps=rules.eps)
    P, R = P_C.mean(), R_C.mean()
    F = F_C.mean() if rules.f1_c == "mean" else harmonic_mean(P, R)
    return {name: float(_percent(x)) for name, x in zip(COLUMNS, (F, P, R, F_O, P_O, R_O), strict=True)}


def _percent(fraction: Any) -> Any:
    # eps and rounding take a perfect score an ulp beyond 1: nothing in a table is above 100
    return np.minimum(100 * fraction, 100)


def _divide(a: Array, b: Array) -> Array:
    return np.divide(a, b, out=np.zeros(np.shape(b)), where=b != 0)
