"""A figure of the influence of each label's map on other labels' logits, compared with co-occurrence.

Influence is measured along the whole way from map to logit. The first layer of SRN alone (the cosine of
conv2's kernels of two labels) follows co-occurrence less: on the demo its correlation is 0.02 to 0.29 (three
seeds), that of influence 0.45 to 0.73.

Legend: C labels, P pairs of labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bench.report.figure import QUESTIONS, ReportFigure
from bench.report.figure_style import COLOURS, FOREGROUND, Canvas, p_value, shorten
from bench.report.neurons import correlations
from bench.scoring.matrices import Array

SHUFFLES = 2000  # of the labels, for the p-value
MOST_NAMED = 30  # labels whose names fit beside a matrix


@dataclass(frozen=True)
class Relation:
    """Correlations over pairs of labels: of influence with lift, and with the logarithm of co-occurrence.

    p: the share of random orders of the labels with a lift correlation as high (Mantel's test).
    """

    lift: float
    log_count: float
    p: float


def lift(together_CC: Array, images: int) -> Array:
    """log2(n_ij N / (n_i n_j)): 0 if two labels occur together as often as by chance, 1 if twice as often.

    together_CC: n_ij, the number of images with both labels; its diagonal n_i, of images with the label.
    images: N. Half an image is added to n_ij to keep the logarithm finite. NaN for a label without images.
    """
    count_C = np.diag(together_CC).astype(np.float64)
    expected_CC = np.outer(count_C, count_C) / images
    known_CC = expected_CC > 0
    ratio_CC = np.divide(together_CC + 0.5, expected_CC, out=np.ones_like(expected_CC), where=known_CC)
    return np.where(known_CC, np.log2(ratio_CC), np.nan)


def relation(influence_CC: Array, together_CC: Array, images: int) -> Relation:
    """How closely influence follows co-occurrence; influence: the mean of both directions."""
    mutual_CC = (influence_CC + influence_CC.T) / 2
    lift_CC, rng = lift(together_CC, images), np.random.default_rng(0)
    r = _pair_correlation(mutual_CC, lift_CC)
    orders = [rng.permutation(len(lift_CC)) for _ in range(SHUFFLES)]
    as_high = sum(_pair_correlation(mutual_CC, lift_CC[np.ix_(order, order)]) >= r for order in orders)
    return Relation(
        r, _pair_correlation(mutual_CC, np.log2(together_CC + 0.5)), (as_high + 1) / (SHUFFLES + 1)
    )


def _pair_correlation(first_CC: Array, second_CC: Array) -> float:
    """Pearson's correlation of two symmetric matrices above the diagonal, without their NaN entries."""
    pairs = np.triu_indices(len(first_CC), 1)
    first_P, second_P = first_CC[pairs], second_CC[pairs]
    known_P = ~(np.isnan(first_P) | np.isnan(second_P))
    return float(correlations(first_P[known_P, None], second_P[known_P])[0])


def relations_figure(
    influence_CC: Array, together_CC: Array, images: int, names: Sequence[str], run: str
) -> ReportFigure:
    """The figure of the label relations that f_sr learned, against co-occurrence."""
    measured, lift_CC = relation(influence_CC, together_CC, images), lift(together_CC, images)
    caption = (
        f"Influence in {run}: how much the map of one label adds to the logit of another in y_sr alone, "
        "the branch that sees the maps of all labels. It is the logit with the map minus the logit without "
        "it. Co-occurrence: how many times more often than by chance an image has both labels. Over pairs "
        f"of labels the correlation of the two is {measured.lift:+.2f} ({p_value(measured.p)}); that of "
        f"influence and the logarithm of the number of images with both is {measured.log_count:+.2f}."
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
        "Influence of labels on each other, and how often they occur together",
        caption,
        "Scatter plot of influence against co-occurrence for pairs of labels, and both as matrices.",
        partial(_draw, (influence_CC + influence_CC.T) / 2, lift_CC, influence_CC, names),
        {
            "run": run,
            "correlation": measured.lift,
            "p": measured.p,
            "correlation_log_count": measured.log_count,
        },
        rows,
    )


def _draw(
    mutual_CC: Array, lift_CC: Array, influence_CC: Array, names: Sequence[str], canvas: Canvas
) -> Figure:
    figure, axes = canvas.panels(3, 3.2)
    _scatter(axes[0], mutual_CC, lift_CC, names)
    _matrix(figure, axes[1], lift_CC, names, "co-occurrence\n[log2 of ratio to chance]")
    _matrix(figure, axes[2], influence_CC, names, "influence of row on column\n[logit]")
    return figure


def _scatter(axis: Any, mutual_CC: Array, lift_CC: Array, names: Sequence[str]) -> None:
    """One point for each pair of labels; if there are few labels, the three strongest pairs are named."""
    pairs = np.triu_indices(len(names), 1)
    axis.scatter(lift_CC[pairs], mutual_CC[pairs], s=14, color=COLOURS[0], alpha=0.7, linewidths=0)
    strongest = np.argsort(-np.nan_to_num(mutual_CC[pairs], nan=-np.inf))[:3]
    for i, j in zip(pairs[0][strongest], pairs[1][strongest], strict=True):
        if len(names) <= MOST_NAMED:
            text, point = (
                f"{shorten(names[i], 10)} & {shorten(names[j], 10)}",
                (lift_CC[i, j], mutual_CC[i, j]),
            )
            axis.annotate(text, point, (0, 4), textcoords="offset points", ha="center", fontsize=7)
    axis.axhline(0, color=FOREGROUND, linewidth=0.6)
    axis.axvline(0, color=FOREGROUND, linewidth=0.6)
    axis.set(xlabel="co-occurrence [log2 of ratio to chance]", ylabel="influence, mean of both ways [logit]")
    axis.margins(0.12)


def _matrix(figure: Figure, axis: Any, matrix_CC: Array, names: Sequence[str], title: str) -> None:
    """Draw a matrix of labels without its diagonal, which would need another scale."""
    shown_CC = np.where(np.eye(len(names), dtype=bool), np.nan, matrix_CC)
    top = float(np.nanmax(np.abs(shown_CC)))
    image = axis.imshow(shown_CC, cmap="PuOr_r", vmin=-top, vmax=top)
    figure.colorbar(image, ax=axis, shrink=0.6)
    axis.set_title(title)
    if len(names) <= MOST_NAMED:
        axis.set_xticks(range(len(names)), [shorten(name, 8) for name in names], rotation=90, fontsize=7)
        axis.set_yticks(range(len(names)), [shorten(name, 8) for name in names], fontsize=7)
    else:
        axis.set(xlabel="label [number on the card, from 0]", ylabel="label [number on the card]")
