"""A figure of the images with the highest response of a neuron (Fig. 6), for neurons of groups of labels.

Neurons are chosen on one half of the images, and their top images are taken from the other half.

Legend: M images, T top images of a neuron, C labels, K neurons.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.report.figure import QUESTIONS, ReportFigure
from bench.report.figure_style import TILE, Canvas, Mosaic, shorten
from bench.report.model_outputs import ModelOutputs
from bench.scoring.matrices import Array

LINES, LINE = 7, 0.14  # most labels below an image, and the height of each in inches
HEAD, MARGIN = 0.2, 0.3  # space above an image in squares, and to the left of all images in inches
CHOOSING, SHOWN, NEURONS = 16, 6, 2  # top images that choose a neuron, top images shown, neurons shown


@dataclass(frozen=True)
class TopImages:
    """A neuron and its top images.

    images: those of the unseen half with the highest responses. likeness: of their labels. chosen: the
    likeness in the half that chose the neuron.
    """

    neuron: int
    images: tuple[int, ...]
    likeness: float
    chosen: float


def likeness(labels_TC: Array) -> float:
    """How similar the labels of images are, 0 to 1: the mean Jaccard index over pairs of images, which is the
    number of labels in both divided by the number in either.

    >>> likeness(np.array([[1, 1, 0], [1, 0, 0]]))
    0.5
    """
    present_TC = (labels_TC == 1).astype(np.float64)
    both_TT = present_TC @ present_TC.T
    count_T = present_TC.sum(axis=1)
    either_TT = count_T[:, None] + count_T - both_TT
    share_TT = np.divide(both_TT, either_TT, out=np.ones_like(both_TT), where=either_TT > 0)
    return float(share_TT[np.triu_indices(len(labels_TC), 1)].mean())


def top_images(neurons_MK: Array, labels_MC: Array, *, number: int = NEURONS) -> list[TopImages]:
    """The neurons whose top images in one half have the most similar labels, with those in the other half."""
    first, second = np.arange(0, len(neurons_MK), 2), np.arange(1, len(neurons_MK), 2)
    likeness_K = [
        likeness(labels_MC[_highest(neurons_MK[:, k], first, CHOOSING)]) if neurons_MK[:, k].any() else 0.0
        for k in range(neurons_MK.shape[1])
    ]
    chosen = []
    for k in np.argsort(-np.array(likeness_K), kind="stable")[:number]:
        images = _highest(neurons_MK[:, k], second, SHOWN)
        chosen.append(TopImages(int(k), tuple(map(int, images)), likeness(labels_MC[images]), likeness_K[k]))
    return chosen


def likeness_by_chance(labels_MC: Array) -> float:
    """The mean likeness of SHOWN random images."""
    rng = np.random.default_rng(0)
    draws = (rng.choice(len(labels_MC), min(SHOWN, len(labels_MC)), replace=False) for _ in range(200))
    return float(np.mean([likeness(labels_MC[draw]) for draw in draws]))


def _highest(neuron_M: Array, half: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    return half[np.argsort(-neuron_M[half], kind="stable")[:number]]


def top_images_figure(outputs: ModelOutputs, names: Sequence[str], run: str) -> ReportFigure:
    """Fig. 6 of the paper."""
    neurons = top_images(outputs.neurons_MK, outputs.labels_MC)
    chance = likeness_by_chance(outputs.labels_MC)
    mean = float(np.mean([neuron.likeness for neuron in neurons]))
    caption = (
        f"The neurons of {run} whose images of highest response have the most similar labels. The neurons "
        "were chosen on one half of the images; shown are images of the other half. On average two images of "
        f"a neuron share {100 * mean:.0f} % of their labels, two random images {100 * chance:.0f} %. The "
        "response is above each image; labels that all images of a neuron have are bold."
    )
    return ReportFigure(
        "fig6-company",
        QUESTIONS[1],
        "Images with the highest response of a neuron (Fig. 6)",
        caption,
        "Rows of test images with their labels; each row shows the images of highest response of one neuron.",
        partial(_draw, outputs, names, neurons),
        {"run": run, "likeness": mean, "by_chance": chance},
        [_row(outputs, names, neuron, image) for neuron in neurons for image in neuron.images],
    )


def _row(outputs: ModelOutputs, names: Sequence[str], neuron: TopImages, image: int) -> dict[str, Any]:
    return {
        "neuron": neuron.neuron,
        "image": outputs.ids[image],
        "response": float(outputs.neurons_MK[image, neuron.neuron]),
        "labels": " ".join(names[c] for c in _labels(outputs, image)),
    }


def _labels(outputs: ModelOutputs, image: int) -> list[int]:
    return [int(c) for c in np.flatnonzero(outputs.labels_MC[image] == 1)]


def _draw(
    outputs: ModelOutputs, names: Sequence[str], neurons: Sequence[TopImages], canvas: Canvas
) -> Figure:
    """One row per neuron: its top images with the response above and the labels below."""
    lines = max(min(LINES, len(_labels(outputs, image))) for neuron in neurons for image in neuron.images)
    # A row's height in squares depends on the size of a square, which a mosaic of any height has.
    row = HEAD + 1 + LINE * (lines + 0.5) / Mosaic(canvas, 1.0, margin=MARGIN).step
    mosaic = Mosaic(canvas, row * len(neurons), margin=MARGIN)
    for index, neuron in enumerate(neurons):
        top = row * index + HEAD
        mosaic.draw_text(
            f"neuron {neuron.neuron}", top + TILE / 2, -0.08, rotation=90, va="center", clip_on=False
        )
        present_TC = outputs.labels_MC[list(neuron.images)] == 1
        shared = set(map(int, np.flatnonzero(present_TC.all(axis=0))))
        for column, image in enumerate(neuron.images[: canvas.columns]):
            mosaic.draw_image(outputs.pixels_MSS3[image], top, column)
            response = outputs.neurons_MK[image, neuron.neuron]
            mosaic.draw_text(f"{response:.1f}", top - 0.05, column + TILE / 2)
            ordered = sorted(_labels(outputs, image), key=lambda c: c not in shared)
            for line, c in enumerate(ordered[:LINES], start=1):
                weight = "bold" if c in shared else "normal"
                down = top + 1 + LINE * line / mosaic.step
                mosaic.draw_text(shorten(names[c], 14), down, column + TILE / 2, weight=weight)
    return mosaic.finish()
