"""A figure of the mAP that each branch of a model would have if it alone made the prediction."""

from collections.abc import Mapping
from functools import partial

from matplotlib.figure import Figure

from bench.data.cards import Card
from bench.report.figure import QUESTIONS, ReportFigure
from bench.report.figure_style import COLOURS, Canvas
from bench.report.model_outputs import ModelOutputs
from bench.scoring import metrics


def branch_mAP(outputs: ModelOutputs, card: Card) -> dict[str, float]:
    """mAP of each branch in percent, over the images of the outputs; the last entry is the prediction."""
    rules = card.evaluation
    scores = {
        name: metrics.evaluate(
            logits_MC, outputs.labels_MC, profile=rules.profile, unspecified=rules.unspecified
        )
        for name, logits_MC in outputs.logits.items()
    }
    return {name: float(values["mAP"]) for name, values in scores.items()}


def branches_figure(outputs: ModelOutputs, card: Card, run: str) -> ReportFigure:
    """The mAP of each branch, and of the prediction."""
    mAPs = branch_mAP(outputs, card)
    *branches, prediction = mAPs
    caption = f"The prediction of {run}, {prediction}, has mAP {mAPs[prediction]:.1f} %"
    if branches:
        best = max(branches, key=lambda name: mAPs[name])
        caption += f"; the best single branch is {best} with {mAPs[best]:.1f} %"
    return ReportFigure(
        "branches",
        QUESTIONS[1],
        "mAP of each branch used alone",
        f"{caption}.",
        "Scatter plot: the mAP of each branch of the network, and of the prediction.",
        partial(_draw, mAPs),
        {"run": run, "images": len(outputs.ids), "mAP": mAPs},
        [{"branch": name, "mAP": value} for name, value in mAPs.items()],
    )


def _draw(mAPs: Mapping[str, float], canvas: Canvas) -> Figure:
    figure = canvas.figure(1.8)
    axis = figure.subplots()
    positions = range(len(mAPs))
    axis.scatter([*mAPs.values()], positions, s=60, color=COLOURS[0])
    for position, value in zip(positions, mAPs.values(), strict=True):
        axis.annotate(f"{value:.1f}", (value, position), (0, 7), textcoords="offset points", ha="center")
    axis.set_yticks(positions, list(mAPs))
    axis.set_ylim(len(mAPs) - 0.5, -0.9)
    axis.set_xlabel("mAP on the test images [%]")
    axis.grid(axis="x")
    return figure
