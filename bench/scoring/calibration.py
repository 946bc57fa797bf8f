"""Calibration: whether a label is as frequent as its confidences say.

Legend: N images, C labels. Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, for one
label at a time.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from bench.scoring.matrices import Array, checked

BINS = 15


def calibration_errors(
    logits_NC: ArrayLike, labels_NC: ArrayLike, *, bins: int = BINS, drop_zeros: bool = False
) -> NDArray[np.float64]:
    """Expected calibration error (ECE) of each label, fractions of shape C.

    ECE = sum_b n_b / N |mean of y - mean of p|, over the images whose p = 1 / (1 + exp(-logit)) lies in bin
    b; y is 1 for a positive and 0 for a negative. The bins are `bins` of equal width, ((b - 1) / bins, b /
    bins], the first one with 0. `drop_zeros`: entries labelled 0 are as if absent; NaN for a label without
    any other.

    >>> calibration_errors([[0.0], [0.0], [0.0], [0.0]], [[1], [0], [0], [0]]).tolist()
    [0.25]
    """
    logits, labels = checked(logits_NC, labels_NC)
    inner = inner_ends(bins)
    return np.array([_error(logits[:, c], labels[:, c], inner, drop_zeros) for c in range(labels.shape[1])])


def _error(logits_N: Array, labels_N: Array, inner: Array, drop_zeros: bool) -> float:
    used_N = labels_N != 0 if drop_zeros else np.ones(labels_N.shape, dtype=bool)
    if not used_N.any():
        return math.nan
    bins_N, surplus_N = bins_and_surplus(logits_N[used_N], labels_N[used_N], inner)
    by_bin = np.bincount(bins_N, weights=surplus_N)
    return float(np.abs(by_bin).sum() / surplus_N.size)


def bins_and_surplus(logits: Array, labels: Array, inner: Array) -> tuple[Array, Array]:
    """The bin of each entry and y - p, for arrays of any shape. inner: the ends of the bins but 0 and 1."""
    p = expit(logits.astype(np.float64))
    return np.searchsorted(inner, p), (labels == 1) - p


def inner_ends(bins: int = BINS) -> Array:
    """The ends of the bins but 0 and 1."""
    return np.linspace(0, 1, bins + 1)[1:-1]
