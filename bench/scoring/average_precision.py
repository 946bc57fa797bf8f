"""Average precision of one class: three areas under its precision-recall curve, two ways with ties.

Shapes: N images, P positives, highest score first.
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
    """Area under the precision-recall curve of one class, a fraction; NaN without a positive.

    With r_j the rank of the j-th of P positives, precision_j = j / r_j at recall_j = j / P. The area is
    "at positives": mean_j precision_j;
    "envelope": mean_j max_{i >= j} precision_i (VOC 2010-12, whose precision is its running maximum from the
    right); or "11 points": the mean over t = 0, 0.1, ..., 1 of the best precision at a recall of t or more
    (VOC 2007). Equal scores rank in "file order" or, "grouped", all of them as the last.
    Shapes: N finite scores, N truth values; ValueError for others.

    >>> average_precision([0.9, 0.8, 0.7, 0.6], [0, 1, 1, 0], area="at positives")  # (1/2 + 2/3) / 2
    0.5833333333333333
    >>> average_precision([0.9, 0.8, 0.7, 0.6], [0, 1, 1, 0])  # from the first positive on, 2/3 is the best
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
        rank_P = _last_of_its_ties(rank_P, scores[order_N])
    found_P = np.searchsorted(rank_P, rank_P, side="right")
    return float(AREAS[area](found_P / rank_P, found_P / rank_P.size))


def _at_positives(precision_P: Array, _: Array) -> Any:
    return precision_P.mean()


def _envelope(precision_P: Array, _: Array) -> Any:
    return _best_from_here(precision_P).mean()


def _eleven_points(precision_P: Array, recall_P: Array) -> Any:
    # The levels are the floats of VOC's own loop and of its ports, 3 * 0.1 > 0.3 among them: a recall of
    # exactly 3/10, 6/10 or 7/10 does not reach its level.
    levels = np.arange(11) * 0.1
    return _best_from_here(precision_P)[np.searchsorted(recall_P, levels)].mean()


AREAS: dict[Area, Callable[[Array, Array], Any]] = {
    "at positives": _at_positives,
    "envelope": _envelope,
    "11 points": _eleven_points,
}


def _best_from_here(precision_P: Array) -> Array:
    return np.maximum.accumulate(precision_P[::-1])[::-1]


def _last_of_its_ties(rank_P: Array, ordered_N: Array) -> Array:
    """For each rank (from 1) the last rank that has the same score."""
    last = np.append(np.flatnonzero(ordered_N[1:] != ordered_N[:-1]) + 1, ordered_N.size)
    return np.asarray(last[np.searchsorted(last, rank_P)])


def descending(scores_N: Array) -> Array:
    """Indices from the highest float to the lowest, equal ones in file order: `argsort(-scores_N, "stable")`.

    numpy sorts 16-bit integers by radix, stably and in linear time. A float's bits are one to four of them,
    once mapped so that a higher float is a smaller integer: several times faster than numpy's stable sort of
    floats, 1.2 ms instead of 10 for 107,859 of them in float32.

    >>> descending(np.array([0.5, -1.0, 0.5, 2.0])).tolist()
    [3, 0, 2, 1]
    """
    width = 8 * scores_N.itemsize
    bits_N = (scores_N + 0).view(
        f"u{scores_N.itemsize}"
    )  # + 0: the bits of -0.0 become those of the equal 0.0
    largest = (1 << (width - 1)) - 1
    key_N = np.where(bits_N <= largest, largest - bits_N, bits_N)  # without the sign bit, it is not negative
    order_N = np.argsort(key_N.astype(np.uint16), kind="stable")
    for shift in range(16, width, 16):
        digit_N = (key_N >> shift).astype(np.uint16)
        order_N = order_N[np.argsort(digit_N[order_N], kind="stable")]
    return order_N


def as_floats(array: Array) -> Array:
    """The array itself if it has floats of 2, 4 or 8 bytes, else a copy in float64."""
    return array if array.dtype in (np.float16, np.float32, np.float64) else array.astype(np.float64)
