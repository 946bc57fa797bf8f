"""Average precision (AP) of one class: three definitions of the area, two treatments of equal scores.

Shapes: N images; P positives, the highest score first.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.scoring.profiles import Area, Ties

Array = NDArray[Any]


def average_precision(
    scores_N: ArrayLike, positive_N: ArrayLike, *, area: Area = "envelope", ties: Ties = "file order"
) -> float:
    """Area under the precision-recall curve of one class, as a fraction; NaN for a class without positives.

    Let r_j be the rank of the j-th of P positives. Then precision_j = j / r_j at recall_j = j / P. Areas:
    "at positives": mean_j precision_j;
    "envelope": mean_j max_{i >= j} precision_i (VOC 2010-12: each precision is replaced by the highest
    precision at the same or a higher recall);
    "11 points": the mean over t = 0, 0.1, ..., 1 of the highest precision at a recall >= t (VOC 2007).
    Ties: equal scores rank in "file order"; if "grouped", they all have the rank of the last of them.
    Shapes: N finite scores, N truth values. ValueError if they are not two vectors of equal length.

    >>> average_precision([0.9, 0.8, 0.7, 0.6], [0, 1, 1, 0], area="at positives")  # (1/2 + 2/3) / 2
    0.5833333333333333
    >>> average_precision([0.9, 0.8, 0.7, 0.6], [0, 1, 1, 0])  # 2/3 is the highest
    0.6666666666666666
    >>> average_precision([0.5, 0.5], [1, 0]), average_precision([0.5, 0.5], [1, 0], ties="grouped")
    (1.0, 0.5)
    """
    scores, positive = as_floats(np.asarray(scores_N)), np.asarray(positive_N, dtype=bool)
    if scores.ndim != 1 or scores.shape != positive.shape:
        raise ValueError(f"scores have shape {scores.shape}, truth {positive.shape}; give two equal vectors")
    order_N = descending(scores)
    rank_P = np.flatnonzero(positive[order_N]) + 1
    if not rank_P.size:
        return math.nan
    if ties == "grouped":
        rank_P = _last_rank_of_ties(rank_P, scores[order_N])
    true_positives_P = np.searchsorted(rank_P, rank_P, side="right")
    return float(AREAS[area](true_positives_P / rank_P, true_positives_P / rank_P.size))


def _at_positives(precision_P: Array, _: Array) -> Any:
    return precision_P.mean()


def _envelope(precision_P: Array, _: Array) -> Any:
    return _highest_from_here_on(precision_P).mean()


def _eleven_points(precision_P: Array, recall_P: Array) -> Any:
    # VOC's own code computes the levels as multiples of 0.1 in floating point, where 3 * 0.1 > 0.3. So a
    # recall of exactly 3/10, 6/10 or 7/10 does not reach its level.
    levels = np.arange(11) * 0.1
    return _highest_from_here_on(precision_P)[np.searchsorted(recall_P, levels)].mean()


AREAS: dict[Area, Callable[[Array, Array], Any]] = {
    "at positives": _at_positives,
    "envelope": _envelope,
    "11 points": _eleven_points,
}


def _highest_from_here_on(precision_P: Array) -> Array:
    """For each positive the highest precision at its rank or a later one."""
    return np.maximum.accumulate(precision_P[::-1])[::-1]


def _last_rank_of_ties(rank_P: Array, ordered_N: Array) -> Array:
    """For each rank (counted from 1) the last rank with the same score."""
    last = np.append(np.flatnonzero(ordered_N[1:] != ordered_N[:-1]) + 1, ordered_N.size)
    return np.asarray(last[np.searchsorted(last, rank_P)])


def descending(scores_N: Array) -> Array:
    """Indices from the highest score to the lowest, equal ones in file order: `argsort(-scores_N, "stable")`.

    numpy's stable sort of 16-bit integers is a radix sort, which takes linear time. The bits of a float are
    mapped to an unsigned integer that is smaller for a higher float, and this integer is sorted 16 bits at a
    time, lowest first. 107,859 scores in float32 take 1.2 ms instead of 10 ms with numpy's stable float sort.

    >>> descending(np.array([0.5, -1.0, 0.5, 2.0])).tolist()
    [3, 0, 2, 1]
    """
    width = 8 * scores_N.itemsize
    unsigned = f"u{scores_N.itemsize}"
    bits_N = (scores_N + 0).view(unsigned)  # + 0 turns -0.0 into 0.0: they are equal, but their bits differ
    largest = (1 << (width - 1)) - 1
    key_N = np.where(bits_N <= largest, largest - bits_N, bits_N)  # bits <= largest: the sign bit is not set
    order_N = np.argsort(key_N.astype(np.uint16), kind="stable")
    for shift in range(16, width, 16):
        digit_N = (key_N >> shift).astype(np.uint16)
        order_N = order_N[np.argsort(digit_N[order_N], kind="stable")]
    return order_N


def as_floats(array: Array) -> Array:
    """The array itself if its type is float16, float32 or float64, otherwise a copy in float64."""
    return array if array.dtype in (np.float16, np.float32, np.float64) else array.astype(np.float64)
