"""The mAP of every branch of a model, each taken for the prediction: which of them brings the gain."""

from collections.abc import Mapping
from functools import partial

from matplotlib.figure import Figure

from bench.data.cards import Card
from bench.report.figure import QUESTIONS, ReportFigure
from bench.report.figure_style import COLOURS, Canvas
from bench.report.model_outputs import ModelOutputs
from bench.scoring import metrics


def branch_mAP(statement: ModelOutputs, card: Card) -> dict[str, float]:
    """Percent, over the images that were looked at."""
    rules = card.evaluation
    found = {
        name: metrics.evaluate(
            logits_MC, statement.labels_MC, profile=rules.profile, unspecified=rules.unspecified
        )["mAP"]
        for name, logits_MC in statement.logits.items()
    }
    return {name: float(value) for name, value in found.items()}


def branches_figure(statement: ModelOutputs, card: Card, run: str) -> ReportFigure:
    """What each branch alone would score."""
    found = branch_mAP(statement, card)
    *alone, last = found
    caption = f"The prediction of {run}, {last}, has {found[last]:.1f} %"
    if alone:
        best = max(alone, key=lambda name: found[name])
        caption += f"; of the branches by themselves {best} is best, {found[best]:.1f} %"
    return ReportFigure(
        "branches",
        QUESTIONS[1],
        "What each branch alone would score",
        f"{caption}.",
        "Points: mAP of each branch of the network, and of the prediction.",
        partial(_draw, found),
        {"run": run, "images": len(statement.ids), "mAP": found},
        [{"branch": name, "mAP": value} for name, value in found.items()],
    )


def _draw(found: Mapping[str, float], paper: Canvas) -> Figure:
    figure = paper.figure(1.8)
    axis = figure.subplots()
    places = range(len(found))
    axis.scatter([*found.values()], places, s=60, color=COLOURS[0])
    for place, value in zip(places, found.values(), strict=True):
        axis.annotate(f"{value:.1f}", (value, place), (0, 7), textcoords="offset points", ha="center")
    axis.set_yticks(places, list(found))
    axis.set_ylim(len(found) - 0.5, -0.9)
    axis.set_xlabel("mAP on the test images [%]")
    axis.grid(axis="x")
    return figure
