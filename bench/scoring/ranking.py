"""Metrics of rankings, in which no threshold enters: AUROC, ranking loss, coverage, precision at k.

Legend: N images, C labels, B images in a block of rows; P, M positives and negatives of a label or an image.
Logits and labels as in `metrics.evaluate`. `drop_zeros`: entries labelled 0 (unspecified) are as if absent,
as for AP; otherwise they are negative. Means over images leave out an image of which every entry is absent,
and are NaN if none remains; the functions `..._of_images` have NaN for such an image.
Sources: Schapire and Singer, Machine Learning 39, 2000; Tsoumakas et al., Mining Multi-label Data, 2010.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from bench.scoring.matrices import Array, blocks, checked
from bench.scoring.metrics import top_k_mask

ENTRIES = 1 << 20  # of a block: rows times labels


def auroc(logits_NC: ArrayLike, labels_NC: ArrayLike, *, drop_zeros: bool = False) -> NDArray[np.float64]:
    """Area under the ROC curve of each label, fractions of shape C; NaN without a positive or a negative.

    The share of the P M pairs of a positive i and a negative j with s_i > s_j, where s_i = s_j counts half.

    >>> auroc([[2.0], [1.0], [1.0], [0.0]], [[1], [1], [0], [0]]).tolist()
    [0.875]
    """
    logits, labels = checked(logits_NC, labels_NC)
    return np.array(
        [_area(logits[:, c], labels[:, c], drop_zeros=drop_zeros) for c in range(labels.shape[1])]
    )


def micro_auroc(logits_NC: ArrayLike, labels_NC: ArrayLike, *, drop_zeros: bool = False) -> float:
    """Area under the ROC curve of all entries at once, as if they were of one label; a fraction, or NaN."""
    logits, labels = checked(logits_NC, labels_NC)
    return _area(logits.ravel(), labels.ravel(), drop_zeros=drop_zeros)


def ranking_loss(logits_NC: ArrayLike, labels_NC: ArrayLike, *, drop_zeros: bool = False) -> float:
    """Mean over images of the share of their P M pairs of labels that are in the wrong order.

    A pair is wrong if its positive label's logit is not above that of its negative one: equal ones count as
    wrong, so their order does not matter. An image without positives or without negatives has 0.

    >>> ranking_loss([[2.0, 1.0, 0.0], [1.0, 1.0, 0.0]], [[0, 1, 0], [0, 1, 0]])
    0.5
    """
    return _mean(ranking_loss_of_images(logits_NC, labels_NC, drop_zeros=drop_zeros))


def ranking_loss_of_images(logits_NC: ArrayLike, labels_NC: ArrayLike, *, drop_zeros: bool = False) -> Array:
    """The share of wrong pairs of each image, as in `ranking_loss`, shape N."""
    losses = []
    for scores_BC, positive_BC, known_BC in _blocks(logits_NC, labels_NC, drop_zeros=drop_zeros):
        negative_BC = known_BC & ~positive_BC
        P_B, M_B = positive_BC.sum(axis=1), negative_BC.sum(axis=1)
        wrong_BC = M_B[:, None] - _lower_entries(scores_BC, negative_BC)
        wrong_B = (wrong_BC * positive_BC).sum(axis=1)
        losses.append(np.where(known_BC.any(axis=1), wrong_B / np.maximum(P_B * M_B, 1), np.nan))
    return np.concatenate(losses)


def coverage(logits_NC: ArrayLike, labels_NC: ArrayLike, *, drop_zeros: bool = False) -> float:
    """Mean over images of how many of the highest labels one must take to have all positives; in labels.

    Of an image: the number of labels whose logit is at least that of its lowest positive; 0 without a
    positive. Papers that count ranks from 0 print 1 less.

    >>> coverage([[2.0, 1.0, 0.0], [1.0, 1.0, 0.0]], [[0, 1, 0], [0, 1, 0]])
    2.0
    """
    return _mean(coverage_of_images(logits_NC, labels_NC, drop_zeros=drop_zeros))


def coverage_of_images(logits_NC: ArrayLike, labels_NC: ArrayLike, *, drop_zeros: bool = False) -> Array:
    """How many labels of each image one must take, as in `coverage`, shape N."""
    depths = []
    for scores_BC, positive_BC, known_BC in _blocks(logits_NC, labels_NC, drop_zeros=drop_zeros):
        lowest_B = np.where(positive_BC, scores_BC, np.inf).min(axis=1)
        taken_BC = known_BC & (scores_BC >= lowest_B[:, None])
        depths.append(np.where(known_BC.any(axis=1), taken_BC.sum(axis=1), np.nan))
    return np.concatenate(depths)


def precision_at_k(logits_NC: ArrayLike, labels_NC: ArrayLike, *, k: int, drop_zeros: bool = False) -> float:
    """Mean over images of the share of positives among the k highest labels; k = 1: 1 - one-error.

    Of equal logits the lower label index comes first; `range_at_k` says what that decides. The share is of k
    also in an image with fewer positives. InputError if k is not from 1 to C.

    >>> precision_at_k([[2.0, 1.0, 0.0]], [[1, 0, 1]], k=2)
    0.5
    """
    return _mean(precision_of_images(logits_NC, labels_NC, k=k, drop_zeros=drop_zeros))


def precision_of_images(
    logits_NC: ArrayLike, labels_NC: ArrayLike, *, k: int, drop_zeros: bool = False
) -> Array:
    """The share of positives among the k highest labels of each image, as in `precision_at_k`, shape N."""
    shares = []
    for scores_BC, positive_BC, known_BC in _blocks(logits_NC, labels_NC, drop_zeros=drop_zeros):
        hits_BC = top_k_mask(np.where(known_BC, scores_BC, -np.inf), k=k) & positive_BC
        shares.append(np.where(known_BC.any(axis=1), hits_BC.sum(axis=1) / k, np.nan))
    return np.concatenate(shares)


def range_at_k(
    logits_NC: ArrayLike, labels_NC: ArrayLike, *, k: int, drop_zeros: bool = False
) -> tuple[float, float]:
    """Precision at k with the positives last, and with the positives first, among equal logits.

    >>> range_at_k([[1.0, 1.0, 0.0]], [[0, 1, 0]], k=1)
    (0.0, 1.0)
    """
    lowest, highest = [], []
    for scores_BC, positive_BC, known_BC in _blocks(logits_NC, labels_NC, drop_zeros=drop_zeros):
        known_scores_BC = np.where(known_BC, scores_BC, -np.inf)
        kth_B1 = -np.partition(-known_scores_BC, k - 1, axis=1)[:, k - 1 : k]
        above_BC, tied_BC = known_scores_BC > kth_B1, known_scores_BC == kth_B1
        sure_B = (above_BC & positive_BC).sum(axis=1)
        free_B = k - above_BC.sum(axis=1)
        positive_B, negative_B = ((tied_BC & mask).sum(axis=1) for mask in (positive_BC, ~positive_BC))
        used = known_BC.any(axis=1)
        lowest.append(((sure_B + np.maximum(free_B - negative_B, 0)) / k)[used])
        highest.append(((sure_B + np.minimum(free_B, positive_B)) / k)[used])
    return _mean(np.concatenate(lowest)), _mean(np.concatenate(highest))


def _area(scores: Array, labels: Array, *, drop_zeros: bool) -> float:
    used = labels != 0 if drop_zeros else slice(None)
    positive = labels[used] == 1
    positives, negatives = np.sort(scores[used][positive]), np.sort(scores[used][~positive])
    if not positives.size or not negatives.size:
        return math.nan
    lower, not_higher = (negatives.searchsorted(positives, side) for side in ("left", "right"))
    return (int(lower.sum()) + int(not_higher.sum())) / (2 * positives.size * negatives.size)


def _blocks(
    logits_NC: ArrayLike, labels_NC: ArrayLike, *, drop_zeros: bool
) -> Iterator[tuple[Array, Array, Array]]:
    """For each block of rows: (logits, mask of the positives, mask of the entries that count), B x C."""
    logits, labels = checked(logits_NC, labels_NC)
    for rows, labels_BC in blocks(labels, max(1, ENTRIES // labels.shape[1])):
        known_BC = labels_BC != 0 if drop_zeros else np.ones(labels_BC.shape, dtype=bool)
        yield logits[rows], labels_BC == 1, known_BC


def _lower_entries(scores_BC: Array, counted_BC: Array) -> Array:
    """For each entry how many of the counted ones of its image have a lower score, B x C."""
    counted_in_order_BC = np.take_along_axis(counted_BC, scores_BC.argsort(axis=1), axis=1)
    before_BC = counted_in_order_BC.cumsum(axis=1) - counted_in_order_BC
    first_of_ties_BC = rankdata(scores_BC, method="min", axis=1).astype(np.int64) - 1
    return np.take_along_axis(before_BC, first_of_ties_BC, axis=1)


def _mean(values_N: Array) -> float:
    """Mean over the images whose value is not NaN."""
    values = values_N[~np.isnan(values_N)]
    return float(values.mean()) if values.size else math.nan
