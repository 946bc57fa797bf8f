"""Bootstrap replicates of the further metrics (`bench.scoring.further`), from the same weights of the images.

As in `bench.scoring.bootstrap`, a replicate's metrics equal those of a file that holds each image as often as
it was drawn. Legend: as there; B bins; E entries (N, or N C for the micro AUROC).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from bench.base.protocol import FURTHER, Column, Evaluation
from bench.scoring import calibration, decisions, ranking
from bench.scoring.bootstrap import sparse_masks, weighted_counts
from bench.scoring.further import BETAS, KS
from bench.scoring.matrices import Array
from bench.scoring.metrics import prediction_rule
from bench.scoring.profiles import Profile

ENTRIES = 1 << 26  # weights that are looked up together


def resample(
    logits_NC: Array, labels_NC: Array, weights: Iterable[Array], *, rules: Profile, protocol: Evaluation
) -> dict[Column, Array]:
    """The further metrics of all replicates, in percent (coverage: in labels); NaN where not defined.

    weights: blocks of weights, N x R, as `bootstrap.draw_weights` makes them. Metrics of decisions are absent
    if the profile has no threshold, P@k if an image has fewer than k labels.
    """
    drop = protocol.unspecified is not None
    of_images = _of_images(logits_NC, labels_NC, drop_zeros=drop)
    of_decisions = _Decisions.of(logits_NC, labels_NC, rules, protocol)
    labels = list(_ranked_labels(logits_NC, labels_NC, drop_zeros=drop))
    micro = _rank(logits_NC.ravel(), labels_NC.ravel(), logits_NC.shape[1], drop_zeros=drop)
    surplus = _Surplus.of(logits_NC, labels_NC, drop_zeros=drop)
    parts: dict[str, list[Array]] = {}
    for weights_NR in weights:
        values = {name: _weighted_mean(values_N, weights_NR) for name, values_N in of_images.items()}
        values["one-error"] = 100 - values["P@1"]
        values["AUROC-C"] = _mean_of_defined(np.stack([_auroc(ranked, weights_NR) for ranked in labels]))
        values["AUROC-O"] = _auroc(micro, weights_NR)
        values["ECE"] = _mean_of_defined(surplus.errors(weights_NR))
        if of_decisions:
            values |= of_decisions.values(weights_NR)
        for name, values_R in values.items():
            parts.setdefault(name, []).append(values_R)
    return {(FURTHER, name): np.concatenate(blocks) for name, blocks in parts.items()}


def _of_images(logits_NC: Array, labels_NC: Array, *, drop_zeros: bool) -> dict[str, Array]:
    """The metrics that are means over images: their value for each image, NaN for one that is left out."""
    data = logits_NC, labels_NC
    values = {
        "ranking loss": 100 * ranking.ranking_loss_of_images(*data, drop_zeros=drop_zeros),
        "coverage": ranking.coverage_of_images(*data, drop_zeros=drop_zeros),
    }
    for k in KS:
        if k <= labels_NC.shape[1]:
            values[f"P@{k}"] = 100 * ranking.precision_of_images(*data, k=k, drop_zeros=drop_zeros)
    return values


def _weighted_mean(values_N: Array, weights_NR: Array, counts_N: Array | None = None) -> Array:
    """Sum of weight times value over that of weight times count, R; count: 1 where a value is defined."""
    counts = ~np.isnan(values_N) if counts_N is None else counts_N
    totals_R = np.nan_to_num(values_N) @ weights_NR.astype(np.float64)
    return _ratio(totals_R, counts.astype(np.float64) @ weights_NR.astype(np.float64))


def _ratio(over: Array, below: Array) -> Array:
    return np.asarray(np.divide(over, below, out=np.full(over.shape, np.nan), where=below > 0))


def _mean_of_defined(values_CR: Array) -> Array:
    """Mean over the labels whose value is not NaN, shape R; NaN if there is none."""
    is_defined = ~np.isnan(values_CR)
    return _ratio(np.nan_to_num(values_CR).sum(axis=0), is_defined.sum(axis=0))


@dataclass(frozen=True)
class _Ranked:
    """Entries by rising logit, cut into G groups: equal logits with a positive, and what lies between such.

    image_E: image of each entry; start_G: first entry of each group. image_P: image of each positive;
    start_K: first positive of each group that has any; group_K: that group.
    """

    image_E: Array
    start_G: Array
    image_P: Array
    start_K: Array
    group_K: Array


def _ranked_labels(logits_NC: Array, labels_NC: Array, *, drop_zeros: bool) -> Iterator[_Ranked]:
    for logits_N, labels_N in zip(logits_NC.T, labels_NC.T, strict=True):
        yield _rank(logits_N, labels_N, 1, drop_zeros=drop_zeros)


def _rank(logits_E: Array, labels_E: Array, per_image: int, *, drop_zeros: bool) -> _Ranked:
    used = np.flatnonzero(labels_E) if drop_zeros else np.arange(labels_E.size)
    order = used[np.argsort(logits_E[used], kind="stable")]
    ordered = logits_E[order]
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, ordered.size)  # of equal logits
    at_P = np.flatnonzero(labels_E[order] == 1)
    end_P = ends[np.searchsorted(ends, at_P, side="right")]
    start_P = np.append(0, ends)[np.searchsorted(ends, at_P, side="right")]
    start_G = np.unique(np.concatenate([[0], start_P, end_P]))
    start_G = start_G[start_G < ordered.size]
    first_K, start_K = np.unique(start_P, return_index=True)
    image_E = order // per_image
    return _Ranked(image_E, start_G, image_E[at_P], start_K, np.searchsorted(start_G, first_K))


def _auroc(ranked: _Ranked, weights_NR: Array) -> Array:
    """Area under the ROC curve in percent, shape R; NaN where no positive or no negative was drawn."""
    if not ranked.image_P.size:
        return np.full(weights_NR.shape[1], np.nan)
    step = max(1, ENTRIES // ranked.image_E.size)
    columns = (weights_NR[:, start : start + step] for start in range(0, weights_NR.shape[1], step))
    return np.concatenate([_auroc_of_columns(ranked, weights) for weights in columns])


def _auroc_of_columns(ranked: _Ranked, weights_NR: Array) -> Array:
    negative_GR = np.add.reduceat(weights_NR.take(ranked.image_E, axis=0), ranked.start_G, dtype=np.int64)
    positive_KR = np.add.reduceat(weights_NR.take(ranked.image_P, axis=0), ranked.start_K, dtype=np.int64)
    negative_GR[ranked.group_K] -= positive_KR
    twice_lower_GR = 2 * negative_GR.cumsum(axis=0) - negative_GR  # equal logits count half
    pairs_R = positive_KR.sum(axis=0) * negative_GR.sum(axis=0)
    twice_R = (positive_KR * twice_lower_GR[ranked.group_K]).sum(axis=0)
    return 100 * _ratio(twice_R.astype(np.float64), 2 * pairs_R)


@dataclass(frozen=True)
class _Surplus:
    """y - p of each entry in the row of its label and bin, C B x N, and which entries count, C x N."""

    by_bin: Any
    known_CN: Array

    @classmethod
    def of(cls, logits_NC: Array, labels_NC: Array, *, drop_zeros: bool) -> "_Surplus":
        bins_NC, surplus_NC = calibration.bins_and_surplus(logits_NC, labels_NC, calibration.inner_ends())
        known_NC = labels_NC != 0 if drop_zeros else np.ones(labels_NC.shape, dtype=bool)
        image, label = np.nonzero(known_NC)
        rows = label * calibration.BINS + bins_NC[known_NC]
        shape = (labels_NC.shape[1] * calibration.BINS, len(labels_NC))
        return cls(csr_array((surplus_NC[known_NC], (rows, image)), shape=shape), known_NC.T)

    def errors(self, weights_NR: Array) -> Array:
        """ECE of each label in percent, C x R."""
        sums = np.abs(self.by_bin @ weights_NR.astype(np.float64))
        totals_CR = sums.reshape(len(self.known_CN), calibration.BINS, -1).sum(axis=1)
        return 100 * _ratio(totals_CR, self.known_CN.astype(np.float64) @ weights_NR.astype(np.float64))


@dataclass(frozen=True)
class _Decisions:
    """Of each image how many entries are decided wrongly and how many count; the outcomes, 3C x N."""

    wrong_N: Array
    counted_N: Array
    outcomes: Any
    rules: Profile

    @classmethod
    def of(
        cls, logits_NC: Array, labels_NC: Array, rules: Profile, protocol: Evaluation
    ) -> "_Decisions | None":
        if (is_predicted := prediction_rule(rules, None)) is None:
            return None
        excluded = protocol.unspecified == "excluded"
        counts = decisions.wrong_entries(logits_NC, labels_NC, is_predicted, excluded=excluded)
        outcomes = dict(sparse_masks(logits_NC, labels_NC, rules, protocol))["all"]
        return cls(*counts, outcomes, rules)

    def values(self, weights_NR: Array) -> Mapping[str, Array]:
        right_N = np.where(self.counted_N > 0, 100.0 * (self.wrong_N == 0), np.nan)
        values = {
            "Hamming loss": _weighted_mean(100.0 * self.wrong_N, weights_NR, self.counted_N),
            "exact match": _weighted_mean(right_N, weights_NR),
        }
        counts_3RC = weighted_counts(weights_NR, self.outcomes)
        for beta in BETAS:
            pair = decisions.f_betas(counts_3RC, self.rules, beta=beta)
            values |= {
                f"F{beta}-{group}": np.minimum(100 * value, 100)
                for group, value in zip("CO", pair, strict=True)
            }
        return values
