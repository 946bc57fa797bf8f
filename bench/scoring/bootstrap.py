"""Bootstrap intervals: metrics of test sets drawn with replacement from the images that were scored.

A replicate is one weight for each image: how often it was drawn. Its metrics equal those of a file that holds
each image that many times, copies next to each other; but no image is copied and no class is sorted again.
Legend: N images; C classes; P positives of a class; U ranks at which the precision of a class is computed;
R replicates in a block; L replicates in total; K = 3C sparse rows.
Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 6, 8 and 13.
"""

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from tqdm import tqdm

from bench.base.protocol import Column, Evaluation
from bench.scoring.average_precision import as_floats, descending
from bench.scoring.matrices import Array
from bench.scoring.metrics import f1_columns, mean_ap, outcome_masks, percent, prediction_rule
from bench.scoring.profiles import Area, Profile

BLOCK = 16  # replicates computed together: the weights of one image then fit into one cache line
LEVEL = 95  # percent of the replicates that lie within an interval
MIN_REPLICATES = 40  # with fewer, less than one replicate would lie beyond each end of the interval


@dataclass(frozen=True)
class Replicates:
    """Metrics of all replicates in percent: values of each column (L) and AP of each class (L x C)."""

    values: dict[Column, Array]
    AP_LC: Array


def draw_weights(images: int, replicates: int, *, seed: int = 0) -> Iterator[NDArray[np.uint8]]:
    """Blocks of weights, N x R: how often each image is drawn, a function of seed and replicate."""
    for start in range(0, replicates, BLOCK):
        numbers = range(start, min(start + BLOCK, replicates))
        yield np.stack([_draw(images, seed, number) for number in numbers], axis=1)


def with_progress(blocks: Iterable[Array], title: str, replicates: int) -> Iterator[Array]:
    """The blocks unchanged; a progress bar is shown on a terminal."""
    is_silent = not sys.stderr.isatty()
    with tqdm(total=replicates, desc=title, unit="replicate", disable=is_silent, leave=False) as bar:
        for weights_NR in blocks:
            yield weights_NR
            bar.update(weights_NR.shape[1])


def _draw(images: int, seed: int, number: int) -> NDArray[np.uint8]:
    drawn = np.random.default_rng([seed, number]).integers(images, size=images)
    return np.bincount(drawn, minlength=images).astype(np.uint8)  # in practice no image is drawn 256 times


def resample(
    logits_NC: Array, labels_NC: Array, weights: Iterable[Array], *, rules: Profile, protocol: Evaluation
) -> Replicates:
    """The metrics of all replicates; a column that the profile does not define is absent.

    `weights`: blocks of weights, N x R, as `draw_weights` makes them. With the same blocks for two
    predictions of the same images, the replicates of the two form pairs. Logits and labels: arrays as for
    `metrics.evaluate`.
    """
    scores_NC = as_floats(logits_NC)
    classes = zip(scores_NC.T, labels_NC.T, strict=True)
    ranked = [_rank(scores_N, labels_N, rules, protocol) for scores_N, labels_N in classes]
    masks = dict(sparse_masks(scores_NC, labels_NC, rules, protocol))
    values: dict[Column, list[Array]] = {}
    APs: list[Array] = []
    for weights_NR in weights:
        AP_CR = [_average_precision(ranked_class, weights_NR, rules) for ranked_class in ranked]
        APs.append(percent(np.stack(AP_CR, axis=-1)))
        values.setdefault(("all", "mAP"), []).append(mean_ap(APs[-1], rules))
        for group, mask_KN in masks.items():
            for name, value_R in f1_columns(weighted_counts(weights_NR, mask_KN), rules).items():
                values.setdefault((group, name), []).append(value_R)
    return Replicates({name: np.concatenate(parts) for name, parts in values.items()}, np.concatenate(APs))


def interval(values_L: Array) -> tuple[Array, Array]:
    """Lower and upper end of the percentile interval, along the first axis; NaN replicates are left out.

    The interval describes test sets of the same size. Where classes have few positives, AP is biased upwards,
    and AP of the replicates is biased once more; the estimate then lies in the lower part of the interval.
    """
    tail = (100 - LEVEL) / 2
    with warnings.catch_warnings():  # a class without positives has NaN only, and no interval
        warnings.simplefilter("ignore", RuntimeWarning)
        low, high = np.nanpercentile(values_L, [tail, 100 - tail], axis=0)
    return low, high


@dataclass(frozen=True)
class _Ranked:
    """The images of one class by falling score, and the positions, counted from 0, that its AP needs.

    order_N: index of each image, down to the last end. positive_P: position of each positive. ends_U:
    positions after which precision is computed: those of the positives or, if ties are grouped, of the last
    image with the same score. last_U: number of the last positive up to each end. end_of_P: number of the
    end of each positive.
    """

    order_N: Array
    positive_P: Array
    ends_U: Array
    last_U: Array
    end_of_P: Array


def _rank(scores_N: Array, labels_N: Array, rules: Profile, protocol: Evaluation) -> _Ranked:
    used = np.flatnonzero(labels_N) if protocol.unspecified else np.arange(len(labels_N))
    order_N = used[descending(scores_N[used])]
    positive_P = ends_P = np.flatnonzero(labels_N[order_N] == 1)
    if rules.ties == "grouped":
        ordered_N = scores_N[order_N]
        ties = np.append(np.flatnonzero(ordered_N[1:] != ordered_N[:-1]), ordered_N.size - 1)
        ends_P = ties[np.searchsorted(ties, positive_P)]
    ends_U, end_of_P = np.unique(ends_P, return_inverse=True)
    last_U = np.searchsorted(ends_P, ends_U, side="right") - 1
    return _Ranked(order_N[: ends_P.max(initial=-1) + 1], positive_P, ends_U, last_U, end_of_P)


def _average_precision(ranked: _Ranked, weights_NR: Array, rules: Profile) -> Array:
    """AP of one class in each replicate, as fractions; NaN where no positive was drawn."""
    if not ranked.positive_P.size:
        return np.full(weights_NR.shape[1], np.nan)
    ordered_NR = weights_NR.take(ranked.order_N, axis=0)
    starts_U = np.append(0, ranked.ends_U[:-1] + 1)
    seen_UR = np.add.reduceat(ordered_NR, starts_U, axis=0, dtype=np.int32).cumsum(axis=0)
    weight_PR = ordered_NR[ranked.positive_P]
    found_PR = weight_PR.cumsum(axis=0, dtype=np.int32)
    drawn_R = found_PR[-1]
    if rules.area == "at positives" and rules.ties == "file order":
        total_R = _at_copies(weight_PR, found_PR, seen_UR)
    else:
        found_UR = found_PR[ranked.last_U]
        precision_UR = found_UR / np.maximum(seen_UR, 1)  # where no image was drawn yet: 0 / 1
        total_R = AREAS[rules.area](precision_UR, found_UR, weight_PR, ranked.end_of_P)
    return np.asarray(np.divide(total_R, drawn_R, out=np.full(drawn_R.shape, np.nan), where=drawn_R > 0))


def _at_copies(weight_PR: Array, found_PR: Array, seen_PR: Array) -> Array:
    """Sum of the precision at each copy of each positive, for every replicate.

    All copies of an image stand next to each other. At the copy that is j before the last one, the precision
    is (found - j) / (seen - j), where found and seen count positives and images up to the last copy.
    """
    total_R = np.zeros(weight_PR.shape[1])
    for j in range(weight_PR.max()):
        has_copy_PR = weight_PR > j
        precision_PR = np.zeros(has_copy_PR.shape)
        total_R += np.divide(found_PR - j, seen_PR - j, out=precision_PR, where=has_copy_PR).sum(axis=0)
    return total_R


def _at_ends(precision_UR: Array, _: Array, weight_PR: Array, end_of_P: Array) -> Array:
    return np.asarray(np.einsum("pr,pr->r", weight_PR, precision_UR[end_of_P]))


def _envelope(precision_UR: Array, found_UR: Array, weight_PR: Array, end_of_P: Array) -> Array:
    # Precision rises from copy to copy of a positive. So the highest precision from any copy on is the same
    # as the highest from its last copy on.
    return _at_ends(_highest_from_here_on(precision_UR), found_UR, weight_PR, end_of_P)


def _eleven_points(precision_UR: Array, found_UR: Array, *_: Array) -> Array:
    drawn_R = found_UR[-1]
    recall_UR = found_UR / np.maximum(drawn_R, 1)
    best_UR = np.append(_highest_from_here_on(precision_UR), np.zeros((1, drawn_R.size)), axis=0)
    first_reaching = [(recall_UR < level).sum(axis=0) for level in np.arange(11) * 0.1]
    best = [best_UR[end_R, np.arange(drawn_R.size)] for end_R in first_reaching]
    return np.asarray(drawn_R * np.mean(best, axis=0))


AREAS: dict[Area, Callable[[Array, Array, Array, Array], Array]] = {
    "at positives": _at_ends,
    "envelope": _envelope,
    "11 points": _eleven_points,
}


def _highest_from_here_on(precision_UR: Array) -> Array:
    return np.maximum.accumulate(precision_UR[::-1], axis=0)[::-1]


def sparse_masks(
    logits_NC: Array, labels_NC: Array, rules: Profile, protocol: Evaluation
) -> Iterator[tuple[str, Any]]:
    """("all" or "top3", sparse mask of tp, pp and gp entries, 3C x N), where the profile defines it."""
    for group, rule in {"all": None, "top3": protocol.top3}.items():
        is_predicted = prediction_rule(rules, rule)
        if is_predicted is not None and (rule or group == "all"):
            parts = outcome_masks(
                logits_NC, labels_NC, is_predicted, excluded=protocol.unspecified == "excluded"
            )
            blocks = [csr_array(np.concatenate(three, axis=1), dtype=np.int32) for _, three in parts]
            yield group, vstack(blocks).T.tocsr()


def weighted_counts(weights_NR: Array, mask_KN: Any) -> Array:
    """tp, pp, gp in each replicate, shape 3 x R x C."""
    counts_KR: Array = mask_KN @ weights_NR.astype(np.int32)
    return counts_KR.reshape(3, -1, counts_KR.shape[1]).swapaxes(1, 2)
