"""Two figures over the labels: the gain of each with its companions (Fig. 7), and the AP by method."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from bench.report.evidence import Evidence, Pair, run_name
from bench.report.figure import QUESTIONS, ReportFigure
from bench.report.figure_style import COLOURS, FOREGROUND, Canvas, legend_names, shorten
from bench.report.gain import Gain
from bench.scoring.matrices import Array

Rows = Sequence[Mapping[str, Any]]


def gain_rows(evidence: Evidence, gain: Gain, companions_C: Array | None) -> Rows:
    """One row for each label with positives, the largest gain first."""
    labels = evidence.card.labels
    order = [int(c) for c in np.argsort(-gain.AP_C, kind="stable") if not np.isnan(gain.AP_C[c])]
    rows = []
    for c in order:
        row: dict[str, Any] = {"label": labels[c], "gain": float(gain.AP_C[c])}
        if gain.ends_2C is not None:
            row |= {"low": float(gain.ends_2C[0, c]), "high": float(gain.ends_2C[1, c])}
        if companions_C is not None:
            row["companions"] = float(companions_C[c])
        rows.append(row)
    return rows


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation r, and its two-sided p-value: the chance of one as far from 0."""

    r: float
    p: float


def rank_correlation(rows: Rows) -> RankCorrelation | None:
    """Between gain and companions; None if there are fewer than 4 labels, or one of the two is constant."""
    gains, companions = ([row.get(name, 0.0) for row in rows] for name in ("gain", "companions"))
    if len(rows) < 4 or len(set(gains)) == 1 or len(set(companions)) == 1:
        return None
    return RankCorrelation(*map(float, spearmanr(gains, companions)))


def gain_figure(evidence: Evidence, pair: Pair, gain: Gain, companions_C: Array | None) -> ReportFigure:
    """Fig. 7 of the paper: the gain of each label, and its mean number of companions if known."""
    rows = gain_rows(evidence, gain, companions_C)
    names = " over ".join(map(run_name, pair))
    caption = "Labels with a bar above 0 gain."
    if companions_C is not None:
        caption += " The second chart shows how many other labels the images of a label have on average."
    if gain.seeds:
        caption += f" Lines: 95 % intervals over the test images. All numbers: means of {gain.origin}."
    facts: dict[str, Any] = {"mAP": gain.mAP, "interval": gain.ends, "seeds": list(gain.seeds)}
    if correlation := rank_correlation(rows):
        facts["rank_correlation"] = asdict(correlation)
    return ReportFigure(
        "fig7-gain",
        QUESTIONS[0],
        f"Gain in AP of {names} (Fig. 7)",
        caption,
        f"Bar charts: the gain in AP of {names} for each label, sorted, and the mean number of other labels.",
        partial(_draw_gain, rows),
        facts,
        rows,
    )


def _draw_gain(rows: Rows, canvas: Canvas) -> Figure:
    """Gain and, if known, companions as two bar charts with the same labels."""
    number, panels = len(rows), 2 if "companions" in rows[0] else 1
    if canvas.is_wide:
        figure = canvas.figure(1.6 + 1.5 * panels)
        axes = np.atleast_1d(figure.subplots(panels, 1, sharex=True))
    else:
        figure = canvas.figure(1 + 0.2 * number)
        axes = np.atleast_1d(figure.subplots(1, panels, sharey=True))
    positions, gains = np.arange(number), np.array([row["gain"] for row in rows])
    errors = np.array([[row["gain"] - row["low"], row["high"] - row["gain"]] for row in rows if "low" in row])
    _bars(
        axes[0], canvas, gains, "gain in AP [points]", COLOURS[0], errors.clip(0).T if len(errors) else None
    )
    if panels == 2:
        others = np.array([row["companions"] for row in rows])
        _bars(axes[1], canvas, others, "other labels\nin its images [mean]", COLOURS[4], None)
    names = [shorten(row["label"], 14) for row in rows]
    if canvas.is_wide:
        axes[-1].set_xticks(
            positions, names, rotation=90 if number > 20 else 0, fontsize=6 if number > 40 else 9
        )
    else:
        axes[0].set_yticks(positions, names)
        axes[0].invert_yaxis()
    return figure


def _bars(axis: Any, canvas: Canvas, values: Array, unit: str, colour: str, errors: Array | None) -> None:
    positions = np.arange(len(values))
    options = {"color": colour, "ecolor": FOREGROUND, "error_kw": {"linewidth": 1}}
    if canvas.is_wide:
        axis.bar(positions, values, yerr=errors, **options)
        axis.set_xlim(-0.6, len(values) - 0.4)
        axis.set_ylabel(unit)
        axis.axhline(0, color=FOREGROUND, linewidth=0.8)
        axis.grid(axis="y")
    else:
        axis.barh(positions, values, xerr=errors, **options)
        axis.set_xlabel(unit)
        axis.axvline(0, color=FOREGROUND, linewidth=0.8)
        axis.grid(axis="x")
    axis.set_axisbelow(True)


def ap_figure(evidence: Evidence) -> ReportFigure:
    """The AP of each label by method and variant."""
    APs = {run_name(group): evidence.labels_AP(group) for group in evidence.rivals}
    mean_C = np.mean([*APs.values()], axis=0)
    order = [int(c) for c in np.argsort(mean_C, kind="stable") if not np.isnan(mean_C[c])]
    rows = [
        {"label": evidence.card.labels[c]} | {name: float(AP_C[c]) for name, AP_C in APs.items()}
        for c in order
    ]
    winners = [max(APs, key=lambda name: APs[name][c]) for c in order]
    best = max(APs, key=winners.count)
    return ReportFigure(
        "per-class-ap",
        QUESTIONS[0],
        "Average precision of each label, by method",
        f"The hardest label is {rows[0]['label']}. "
        f"{best} is best for {winners.count(best)} of {len(rows)} labels.",
        "Scatter plot: the AP of each label, the hardest first, with one marker for each method.",
        partial(_draw_ap, rows),
        {},
        rows,
    )


def _draw_ap(rows: Rows, canvas: Canvas) -> Figure:
    figure = canvas.figure(1.4 + 0.2 * len(rows) * (1 if canvas.is_wide else 1.3))
    axis = figure.subplots()
    names = [name for name in rows[0] if name != "label"]
    markers = "os^DvPX<>*"
    for number, (name, legend_name) in enumerate(zip(names, legend_names(names), strict=True)):
        axis.scatter(
            [row[name] for row in rows],
            range(len(rows)),
            marker=markers[number % len(markers)],
            s=28,
            color=COLOURS[number % len(COLOURS)],
            label=legend_name,
            alpha=0.9,
        )
    axis.set_yticks(range(len(rows)), [shorten(row["label"]) for row in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlabel("AP on the test images [%]")
    axis.grid()
    axis.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=3 if canvas.is_wide else 1)
    return figure
