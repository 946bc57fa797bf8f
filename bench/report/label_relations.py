"""What the maps of labels do to other labels' logits, beside how often the labels occur together.

Measured is the whole way from map to logit. What SRN's first layer alone relates, the cosine of conv2's
kernels of two labels, follows co-occurrence less: on the demo its correlation is 0.02 to 0.29 (three seeds),
that of influence 0.45 to 0.73.
Legend: C labels, P pairs of labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bench.report.figure import QUESTIONS, ReportFigure
from bench.report.figure_style import COLOURS, INK, Canvas, share, short
from bench.report.neurons import correlations
from bench.scoring.matrices import Array

DEALS = 2000
NAMED = 30  # labels that have room for their names beside a matrix


@dataclass(frozen=True)
class Relation:
    """The correlation over pairs of labels of influence and lift, and of influence and log co-occurrence.

    p: share of orders of the labels, dealt out anew, with as high a correlation (Mantel's test).
    """

    lift: float
    log_count: float
    p: float


def lift(together_CC: Array, images: int) -> Array:
    """log2(n_ij N / (n_i n_j)): 0 by chance, 1 for twice as often; half an image is added to n_ij.

    together_CC: images with both labels, on the diagonal with the one; NaN for a label without any.
    """
    count_C = np.diag(together_CC).astype(np.float64)
    expected_CC = np.outer(count_C, count_C) / images
    known_CC = expected_CC > 0
    ratio_CC = np.divide(together_CC + 0.5, expected_CC, out=np.ones_like(expected_CC), where=known_CC)
    return np.where(known_CC, np.log2(ratio_CC), np.nan)


def relation(influence_CC: Array, together_CC: Array, images: int) -> Relation:
    """How closely influence, in the mean of both directions, follows co-occurrence."""
    mutual_CC = (influence_CC + influence_CC.T) / 2
    lift_CC, rng = lift(together_CC, images), np.random.default_rng(0)
    r = _over_pairs(mutual_CC, lift_CC)
    dealt = [rng.permutation(len(lift_CC)) for _ in range(DEALS)]
    as_high = sum(_over_pairs(mutual_CC, lift_CC[np.ix_(order, order)]) >= r for order in dealt)
    return Relation(r, _over_pairs(mutual_CC, np.log2(together_CC + 0.5)), (as_high + 1) / (DEALS + 1))


def _over_pairs(one_CC: Array, other_CC: Array) -> float:
    pairs = np.triu_indices(len(one_CC), 1)
    one_P, other_P = one_CC[pairs], other_CC[pairs]
    known_P = ~(np.isnan(one_P) | np.isnan(other_P))
    return float(correlations(one_P[known_P, None], other_P[known_P])[0])


def relations_figure(
    influence_CC: Array, together_CC: Array, images: int, names: Sequence[str], run: str
) -> ReportFigure:
    """Label co-occurrence against what f_sr learned."""
    found, lift_CC = relation(influence_CC, together_CC, images), lift(together_CC, images)
    caption = (
        f"How much, in {run}, the map of one label adds to the logit of another in y_sr alone, the branch "
        "that sees the maps of all labels (without the one map that logit is so much lower), "
        f"against how often both occur together: correlation {found.lift:+.2f} over pairs of labels "
        f"({share(found.p)}), {found.log_count:+.2f} with the logarithm of the number of images itself."
    )
    rows = [
        {
            "from": names[i],
            "to": names[j],
            "images": int(together_CC[i, j]),
            "lift": float(lift_CC[i, j]),
            "influence": float(influence_CC[i, j]),
        }
        for i in range(len(names))
        for j in range(len(names))
        if i != j
    ]
    return ReportFigure(
        "relations",
        QUESTIONS[1],
        "What labels do to each other, and how often they meet",
        caption,
        "Scatter of influence against co-occurrence for pairs of labels, and both as matrices of labels.",
        partial(_draw, (influence_CC + influence_CC.T) / 2, lift_CC, influence_CC, names),
        {"run": run, "correlation": found.lift, "p": found.p, "correlation_log_count": found.log_count},
        rows,
    )


def _draw(
    mutual_CC: Array, lift_CC: Array, influence_CC: Array, names: Sequence[str], paper: Canvas
) -> Figure:
    figure, axes = paper.panels(3, 3.2)
    _scatter(axes[0], mutual_CC, lift_CC, names)
    _matrix(figure, axes[1], lift_CC, names, "co-occurrence\n[log2 of times chance]")
    _matrix(figure, axes[2], influence_CC, names, "influence of row on column\n[logit]")
    return figure


def _scatter(axis: Any, mutual_CC: Array, lift_CC: Array, names: Sequence[str]) -> None:
    """A point for every pair of labels; of few labels, the strongest pairs by name."""
    pairs = np.triu_indices(len(names), 1)
    axis.scatter(lift_CC[pairs], mutual_CC[pairs], s=14, color=COLOURS[0], alpha=0.7, linewidths=0)
    strongest = np.argsort(-np.nan_to_num(mutual_CC[pairs], nan=-np.inf))[:3]
    for i, j in zip(pairs[0][strongest], pairs[1][strongest], strict=True):
        if len(names) <= NAMED:
            text, place = f"{short(names[i], 10)} & {short(names[j], 10)}", (lift_CC[i, j], mutual_CC[i, j])
            axis.annotate(text, place, (0, 4), textcoords="offset points", ha="center", fontsize=7)
    axis.axhline(0, color=INK, linewidth=0.6)
    axis.axvline(0, color=INK, linewidth=0.6)
    axis.set(xlabel="co-occurrence [log2 of times chance]", ylabel="influence, both ways [logit]")
    axis.margins(0.12)


def _matrix(figure: Figure, axis: Any, matrix_CC: Array, names: Sequence[str], text: str) -> None:
    """A matrix of labels; the diagonal, another scale, is left out."""
    shown_CC = np.where(np.eye(len(names), dtype=bool), np.nan, matrix_CC)
    top = float(np.nanmax(np.abs(shown_CC)))
    image = axis.imshow(shown_CC, cmap="PuOr_r", vmin=-top, vmax=top)
    figure.colorbar(image, ax=axis, shrink=0.6)
    axis.set_title(text)
    if len(names) <= NAMED:
        axis.set_xticks(range(len(names)), [short(name, 8) for name in names], rotation=90, fontsize=7)
        axis.set_yticks(range(len(names)), [short(name, 8) for name in names], fontsize=7)
    else:
        axis.set(xlabel="label [number on the card, from 0]", ylabel="label [number]")
