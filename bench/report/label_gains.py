"""The gain of every label above its companions (Fig. 7), and the AP of every label by every method."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from bench.report.evidence import Evidence, Pair, run_name
from bench.report.figure import QUESTIONS, ReportFigure
from bench.report.figure_style import COLOURS, INK, Canvas, keys, short
from bench.report.gain import Gain
from bench.scoring.matrices import Array

Rows = Sequence[Mapping[str, Any]]


def gained(evidence: Evidence, found: Gain, companions_C: Array | None) -> Rows:
    """A row for every label that has positives, the largest gain first."""
    labels = evidence.card.labels
    order = [int(c) for c in np.argsort(-found.AP_C, kind="stable") if not np.isnan(found.AP_C[c])]
    rows = []
    for c in order:
        row: dict[str, Any] = {"label": labels[c], "gain": float(found.AP_C[c])}
        if found.ends_2C is not None:
            row |= {"low": float(found.ends_2C[0, c]), "high": float(found.ends_2C[1, c])}
        if companions_C is not None:
            row["companions"] = float(companions_C[c])
        rows.append(row)
    return rows


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's, and the share of chance outcomes that are as far from 0."""

    r: float
    p: float


def rank_correlation(rows: Rows) -> RankCorrelation | None:
    """Between gain and companions; None where it cannot be told: fewer than 4 labels, or all alike."""
    gains, companions = ([row.get(name, 0.0) for row in rows] for name in ("gain", "companions"))
    if len(rows) < 4 or len(set(gains)) == 1 or len(set(companions)) == 1:
        return None
    return RankCorrelation(*map(float, spearmanr(gains, companions)))


def gain_figure(evidence: Evidence, pair: Pair, found: Gain, companions_C: Array | None) -> ReportFigure:
    """Fig. 7 of the paper."""
    rows = gained(evidence, found, companions_C)
    names = " over ".join(map(run_name, pair))
    caption = "Bars above 0 are labels that gain; below, how many other labels such an image has."
    if found.seeds:
        caption += f" Lines: 95 % intervals over the test images. All over {found.origin}."
    facts: dict[str, Any] = {"mAP": found.mAP, "interval": found.ends, "seeds": list(found.seeds)}
    if correlation := rank_correlation(rows):
        facts["rank_correlation"] = asdict(correlation)
    return ReportFigure(
        "fig7-gain",
        QUESTIONS[0],
        f"Gain in AP of {names} (Fig. 7)",
        caption,
        f"Bars: gain in AP of {names} for each label, sorted, and the label's mean number of companions.",
        partial(_draw_gain, rows),
        facts,
        rows,
    )


def _draw_gain(rows: Rows, paper: Canvas) -> Figure:
    """Two rows of bars, one label above the other."""
    shown, panels = len(rows), 2 if "companions" in rows[0] else 1
    if paper.is_wide:
        figure = paper.figure(1.6 + 1.5 * panels)
        axes = np.atleast_1d(figure.subplots(panels, 1, sharex=True))
    else:
        figure = paper.figure(1 + 0.2 * shown)
        axes = np.atleast_1d(figure.subplots(1, panels, sharey=True))
    places, gains = np.arange(shown), np.array([row["gain"] for row in rows])
    errors = np.array([[row["gain"] - row["low"], row["high"] - row["gain"]] for row in rows if "low" in row])
    _bars(axes[0], paper, gains, "gain in AP [points]", COLOURS[0], errors.clip(0).T if len(errors) else None)
    if panels == 2:
        others = np.array([row["companions"] for row in rows])
        _bars(axes[1], paper, others, "other labels\nin its images [mean]", COLOURS[4], None)
    names = [short(row["label"], 14) for row in rows]
    if paper.is_wide:
        axes[-1].set_xticks(places, names, rotation=90 if shown > 20 else 0, fontsize=6 if shown > 40 else 9)
    else:
        axes[0].set_yticks(places, names)
        axes[0].invert_yaxis()
    return figure


def _bars(axis: Any, paper: Canvas, values: Array, unit: str, colour: str, errors: Array | None) -> None:
    places = np.arange(len(values))
    more = {"color": colour, "ecolor": INK, "error_kw": {"linewidth": 1}}
    if paper.is_wide:
        axis.bar(places, values, yerr=errors, **more)
        axis.set_xlim(-0.6, len(values) - 0.4)
        axis.set_ylabel(unit)
        axis.axhline(0, color=INK, linewidth=0.8)
        axis.grid(axis="y")
    else:
        axis.barh(places, values, xerr=errors, **more)
        axis.set_xlabel(unit)
        axis.axvline(0, color=INK, linewidth=0.8)
        axis.grid(axis="x")
    axis.set_axisbelow(True)


def ap_figure(evidence: Evidence) -> ReportFigure:
    """AP of every label by every method and variant."""
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
        "Average precision of every label, by method",
        f"{rows[0]['label']} is hardest; {best} is best for {winners.count(best)} of {len(rows)} labels.",
        "Points: AP of each label, hardest first, one mark for each method.",
        partial(_draw_ap, rows),
        {},
        rows,
    )


def _draw_ap(rows: Rows, paper: Canvas) -> Figure:
    figure = paper.figure(1.4 + 0.2 * len(rows) * (1 if paper.is_wide else 1.3))
    axis = figure.subplots()
    names = [name for name in rows[0] if name != "label"]
    marks = "os^DvPX<>*"
    for number, (name, key) in enumerate(zip(names, keys(names), strict=True)):
        axis.scatter(
            [row[name] for row in rows],
            range(len(rows)),
            marker=marks[number % len(marks)],
            s=28,
            color=COLOURS[number % len(COLOURS)],
            label=key,
            alpha=0.9,
        )
    axis.set_yticks(range(len(rows)), [short(row["label"]) for row in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlabel("AP on the test images [%]")
    axis.grid()
    axis.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=3 if paper.is_wide else 1)
    return figure
