"""Bootstrap over images: the metrics of data sets drawn with replacement from the images that were scored.

Shapes: N images, C classes, P positives of a class, U ends at which its precision is taken, R replicates of a
block, L replicates in all.
A replicate is a weight for each image, how often it was drawn. Its metrics are exactly those of the file in
which every image stands that often, its copies side by side, but nothing is sorted again and nothing copied.
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

BLOCK = 16  # replicates at once: the weights of an image then lie in one cache line
LEVEL = 95  # percent of the replicates lie within an interval
MIN_REPLICATES = 40  # of fewer, not even one lies outside on either side


@dataclass(frozen=True)
class Replicates:
    """Metrics of every replicate in percent: each column's values, shape L, and every class's AP, L x C."""

    values: dict[Column, Array]
    AP_LC: Array


def draw_weights(images: int, replicates: int, *, seed: int = 0) -> Iterator[NDArray[np.uint8]]:
    """Blocks of replicates, N x R: how often each image is drawn, by seed and the replicate's number."""
    for start in range(0, replicates, BLOCK):
        numbers = range(start, min(start + BLOCK, replicates))
        yield np.stack([_draw(images, seed, number) for number in numbers], axis=1)


def with_progress(blocks: Iterable[Array], title: str, replicates: int) -> Iterator[Array]:
    """The blocks as they come, with a progress bar on a terminal."""
    is_silent = not sys.stderr.isatty()
    with tqdm(total=replicates, desc=title, unit="replicate", disable=is_silent, leave=False) as bar:
        for weights_NR in blocks:
            yield weights_NR
            bar.update(weights_NR.shape[1])


def _draw(images: int, seed: int, number: int) -> NDArray[np.uint8]:
    drawn = np.random.default_rng([seed, number]).integers(images, size=images)
    return np.bincount(drawn, minlength=images).astype(np.uint8)  # no image is drawn 256 times in N draws


def resample(
    logits_NC: Array, labels_NC: Array, weights: Iterable[Array], *, rules: Profile, protocol: Evaluation
) -> Replicates:
    """The metrics of every replicate; a column that the profile does not define is absent.

    `weights`: blocks of replicates, N x R, as `draws` makes them. The same blocks for two predictions of the
    same images make their replicates pairs. The matrices are those of `metrics.evaluate`, as arrays.
    """
    scores_NC = as_floats(logits_NC)
    classes = zip(scores_NC.T, labels_NC.T, strict=True)
    ranked = [_rank(scores_N, labels_N, rules, protocol) for scores_N, labels_N in classes]
    counters = dict(_counters(scores_NC, labels_NC, rules, protocol))
    values: dict[Column, list[Array]] = {}
    APs: list[Array] = []
    for weights_NR in weights:
        AP_CR = [_average_precision(one, weights_NR, rules) for one in ranked]
        APs.append(percent(np.stack(AP_CR, axis=-1)))
        values.setdefault(("all", "mAP"), []).append(mean_ap(APs[-1], rules))
        for group, marks_KN in counters.items():
            for name, value_R in f1_columns(_count(weights_NR, marks_KN), rules).items():
                values.setdefault((group, name), []).append(value_R)
    return Replicates({name: np.concatenate(parts) for name, parts in values.items()}, np.concatenate(APs))


def interval(values_L: Array) -> tuple[Array, Array]:
    """The percentile interval's ends, along the first axis; replicates without a value are left out.

    It is meant for test sets of the same size: where classes have few positives, AP over few images is biased
    upwards, AP over their replicates as much again, and the estimate lies in the interval's lower part.
    """
    tail = (100 - LEVEL) / 2
    with warnings.catch_warnings():  # a class without positives has no value at all, and so no interval
        warnings.simplefilter("ignore", RuntimeWarning)
        low, high = np.nanpercentile(values_L, [tail, 100 - tail], axis=0)
    return low, high


@dataclass(frozen=True)
class _Ranked:
    """One class, best first: its images; where among them its positives stand; and the ends, the places after
    which precision is taken: a positive, or the last of its ties. Of each end the last positive before it, of
    each positive its end.
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


def _average_precision(one: _Ranked, weights_NR: Array, rules: Profile) -> Array:
    """AP of one class in every replicate, fractions; NaN where no positive was drawn."""
    if not one.positive_P.size:
        return np.full(weights_NR.shape[1], np.nan)
    ordered_NR = weights_NR.take(one.order_N, axis=0)
    starts_U = np.append(0, one.ends_U[:-1] + 1)
    seen_UR = np.add.reduceat(ordered_NR, starts_U, axis=0, dtype=np.int32).cumsum(axis=0)
    weight_PR = ordered_NR[one.positive_P]
    found_PR = weight_PR.cumsum(axis=0, dtype=np.int32)
    drawn_R = found_PR[-1]
    if rules.area == "at positives" and rules.ties == "file order":
        total_R = _at_copies(weight_PR, found_PR, seen_UR)
    else:
        found_UR = found_PR[one.last_U]
        precision_UR = found_UR / np.maximum(seen_UR, 1)  # of nothing seen, nothing is found
        total_R = AREAS[rules.area](precision_UR, found_UR, weight_PR, one.end_of_P)
    return np.asarray(np.divide(total_R, drawn_R, out=np.full(drawn_R.shape, np.nan), where=drawn_R > 0))


def _at_copies(weight_PR: Array, found_PR: Array, seen_PR: Array) -> Array:
    """Sum of precision at every copy of a positive: (found - j) / (seen - j) at the j-th before the last."""
    total_R = np.zeros(weight_PR.shape[1])
    for j in range(weight_PR.max()):
        there_PR = weight_PR > j
        precision_PR = np.zeros(there_PR.shape)
        total_R += np.divide(found_PR - j, seen_PR - j, out=precision_PR, where=there_PR).sum(axis=0)
    return total_R


def _at_ends(precision_UR: Array, _: Array, weight_PR: Array, end_of_P: Array) -> Array:
    return np.asarray(np.einsum("pr,pr->r", weight_PR, precision_UR[end_of_P]))


def _envelope(precision_UR: Array, found_UR: Array, weight_PR: Array, end_of_P: Array) -> Array:
    # precision rises along an image's copies: the best from any copy on is the best from the last one on
    return _at_ends(_best_from_here(precision_UR), found_UR, weight_PR, end_of_P)


def _eleven_points(precision_UR: Array, found_UR: Array, *_: Array) -> Array:
    drawn_R = found_UR[-1]
    recall_UR = found_UR / np.maximum(drawn_R, 1)
    best_UR = np.append(_best_from_here(precision_UR), np.zeros((1, drawn_R.size)), axis=0)
    reached = [(recall_UR < level).sum(axis=0) for level in np.arange(11) * 0.1]
    best = [best_UR[end_R, np.arange(drawn_R.size)] for end_R in reached]
    return np.asarray(drawn_R * np.mean(best, axis=0))


AREAS: dict[Area, Callable[[Array, Array, Array, Array], Array]] = {
    "at positives": _at_ends,
    "envelope": _envelope,
    "11 points": _eleven_points,
}


def _best_from_here(precision_UR: Array) -> Array:
    return np.maximum.accumulate(precision_UR[::-1], axis=0)[::-1]


def _counters(
    logits_NC: Array, labels_NC: Array, rules: Profile, protocol: Evaluation
) -> Iterator[tuple[str, Any]]:
    """("all" or "top3", which entries are tp, pp, gp: sparse, 3C x N) of what the profile defines."""
    for group, rule in {"all": None, "top3": protocol.top3}.items():
        decide = prediction_rule(rules, rule)
        if decide is not None and (rule or group == "all"):
            parts = outcome_masks(logits_NC, labels_NC, decide, excluded=protocol.unspecified == "excluded")
            blocks = [csr_array(np.concatenate(three, axis=1), dtype=np.int32) for _, three in parts]
            yield group, vstack(blocks).T.tocsr()


def _count(weights_NR: Array, marks_KN: Any) -> Array:
    """tp, pp, gp in every replicate, shape 3 x R x C."""
    counts_KR: Array = marks_KN @ weights_NR.astype(np.int32)
    return counts_KR.reshape(3, -1, counts_KR.shape[1]).swapaxes(1, 2)
