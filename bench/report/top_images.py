"""Images that excite a neuron most (Fig. 6): alike in labels where the neuron stands for a group of them.

Legend: M images, T the images that excite a neuron most, C labels, K neurons.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.report.figure import QUESTIONS, ReportFigure
from bench.report.figure_style import TILE, Canvas, Mosaic, short
from bench.report.model_outputs import ModelOutputs
from bench.scoring.matrices import Array

LINES, LINE = 7, 0.14  # labels below an image, and the inches that each takes
HEAD, MARGIN = 0.2, 0.3  # squares above an image, inches left of it
CHOOSING, SHOWN, NEURONS = 16, 6, 2  # images that choose a neuron, images of one, neurons


@dataclass(frozen=True)
class Excited:
    """A neuron, the images of the unseen half that excite it most, and how alike their labels are there."""

    neuron: int
    images: tuple[int, ...]
    likeness: float
    chosen: float


def likeness(labels_TC: Array) -> float:
    """Mean over pairs of images of the labels in both, as a share of those in either (Jaccard); 0 to 1.

    >>> likeness(np.array([[1, 1, 0], [1, 0, 0]]))
    0.5
    """
    there_TC = (labels_TC == 1).astype(np.float64)
    both_TT = there_TC @ there_TC.T
    count_T = there_TC.sum(axis=1)
    either_TT = count_T[:, None] + count_T - both_TT
    share_TT = np.divide(both_TT, either_TT, out=np.ones_like(both_TT), where=either_TT > 0)
    return float(share_TT[np.triu_indices(len(labels_TC), 1)].mean())


def excited(neurons_MK: Array, labels_MC: Array, *, number: int = NEURONS) -> list[Excited]:
    """The neurons whose strongest images are most alike in one half of the images, seen in the other half."""
    first, second = np.arange(0, len(neurons_MK), 2), np.arange(1, len(neurons_MK), 2)
    chosen_K = [
        likeness(labels_MC[_strongest(neurons_MK[:, k], first, CHOOSING)]) if neurons_MK[:, k].any() else 0.0
        for k in range(neurons_MK.shape[1])
    ]
    found = []
    for k in np.argsort(-np.array(chosen_K), kind="stable")[:number]:
        images = _strongest(neurons_MK[:, k], second, SHOWN)
        found.append(Excited(int(k), tuple(map(int, images)), likeness(labels_MC[images]), chosen_K[k]))
    return found


def by_chance(labels_MC: Array) -> float:
    """The likeness of any images, as many as are looked at."""
    rng = np.random.default_rng(0)
    draws = (rng.choice(len(labels_MC), min(SHOWN, len(labels_MC)), replace=False) for _ in range(200))
    return float(np.mean([likeness(labels_MC[draw]) for draw in draws]))


def _strongest(neuron_M: Array, half: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    return half[np.argsort(-neuron_M[half], kind="stable")[:number]]


def top_images_figure(statement: ModelOutputs, names: Sequence[str], run: str) -> ReportFigure:
    """Fig. 6 of the paper."""
    found = excited(statement.neurons_MK, statement.labels_MC)
    chance = by_chance(statement.labels_MC)
    mean = float(np.mean([one.likeness for one in found]))
    caption = (
        f"The neurons of {run} whose strongest images are most alike, found on one half of the images, shown "
        f"on the other: two of these images share {100 * mean:.0f} % of their labels, any two "
        f"{100 * chance:.0f} %. Above: the response; bold: labels in all of them."
    )
    return ReportFigure(
        "fig6-company",
        QUESTIONS[1],
        "Images that excite a neuron most (Fig. 6)",
        caption,
        "Rows of test images, each row the ones to which one neuron responds most, with their labels.",
        partial(_draw, statement, names, found),
        {"run": run, "likeness": mean, "by_chance": chance},
        [_row(statement, names, one, image) for one in found for image in one.images],
    )


def _row(statement: ModelOutputs, names: Sequence[str], one: Excited, image: int) -> dict[str, Any]:
    return {
        "neuron": one.neuron,
        "image": statement.ids[image],
        "response": float(statement.neurons_MK[image, one.neuron]),
        "labels": " ".join(names[c] for c in _there(statement, image)),
    }


def _there(statement: ModelOutputs, image: int) -> list[int]:
    return [int(c) for c in np.flatnonzero(statement.labels_MC[image] == 1)]


def _draw(statement: ModelOutputs, names: Sequence[str], found: Sequence[Excited], paper: Canvas) -> Figure:
    """A row for a neuron: its images, each response above, its labels below."""
    lines = max(min(LINES, len(_there(statement, image))) for one in found for image in one.images)
    sheet = Mosaic(paper, 1.0, margin=MARGIN)  # of one row, to know how large a square is
    row = HEAD + 1 + LINE * (lines + 0.5) / sheet.step
    sheet = Mosaic(paper, row * len(found), margin=MARGIN)
    for place, one in enumerate(found):
        top = row * place + HEAD
        sheet.say(f"neuron {one.neuron}", top + TILE / 2, -0.08, rotation=90, va="center", clip_on=False)
        is_there_TC = statement.labels_MC[list(one.images)] == 1
        shared = set(map(int, np.flatnonzero(is_there_TC.all(axis=0))))
        for column, image in enumerate(one.images[: paper.columns]):
            sheet.put(statement.pixels_MSS3[image], top, column)
            response = statement.neurons_MK[image, one.neuron]
            sheet.say(f"{response:.1f}", top - 0.05, column + TILE / 2)
            ordered = sorted(_there(statement, image), key=lambda c: c not in shared)
            for line, c in enumerate(ordered[:LINES], start=1):
                weight = "bold" if c in shared else "normal"
                down = top + 1 + LINE * line / sheet.step
                sheet.say(short(names[c], 14), down, column + TILE / 2, weight=weight)
    return sheet.framed()
