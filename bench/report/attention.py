"""Attention A and weighted attention U over test images (Fig. 3), and how well attention finds a label.

Legend: M images, C labels, H = W = positions along a side of the maps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.formats import Box
from bench.matrices import Array
from bench.report.exhibit import QUESTIONS, Exhibit
from bench.report.paper import INK, MAP, TRUE, Paper, short
from bench.report.witness import Testimony, centres, centres_of_mass

Boxes = Sequence[Sequence[Box]]
IMAGES = 4


@dataclass(frozen=True)
class Finding:
    """How well attention finds labels that stand where annotations say.

    hits: share of a label's images in which the attention's highest place lies in a box of the label, and
    by_chance: the boxes' share of the image, both in percent (Zhang et al. 2016, the pointing game).
    correlation: between the attention's centre of mass and the place of a label that is there once.
    """

    hits: float
    by_chance: float
    correlation: float


def finding(attention_MCHW: Array, boxes: Boxes) -> Finding:
    """How well attention finds labels, over all labels in all images."""
    height, width = attention_MCHW.shape[2:]
    hits, areas = [], []
    for image, there in enumerate(boxes):
        for label in {box.label for box in there}:
            peak = int(attention_MCHW[image, label].argmax())
            y, x = (peak // width + 0.5) / height, (peak % width + 0.5) / width
            mine = [box for box in there if box.label == label]
            hits.append(any(_inside(box, y, x) for box in mine))
            areas.append(sum(box.width * box.height for box in mine))
    true_MC2 = centres(boxes, attention_MCHW.shape[1])
    there_MC = ~np.isnan(true_MC2[:, :, 0])
    seen_MC2 = centres_of_mass(attention_MCHW, there_MC)
    pairs = [(true_MC2[there_MC][:, axis], seen_MC2[there_MC][:, axis]) for axis in (0, 1)]
    r = float(np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs]))
    return Finding(100 * float(np.mean(hits)), 100 * float(np.mean(areas)), r)


def _inside(box: Box, y: float, x: float) -> bool:
    return box.top <= y <= box.top + box.height and box.left <= x <= box.left + box.width


def found_only_by(testimony: Testimony, other_MC: Array | None, labels: Sequence[int]) -> list[int]:
    """For each label the first image that has it, that the testimony predicts and the other logits do not.

    Without other logits, and where there is no such image, the first that has the label.
    """
    is_there_MC = testimony.labels_MC == 1
    is_won_MC = is_there_MC & (testimony.prediction_MC > 0)
    if other_MC is not None:
        is_won_MC &= other_MC <= 0
    images: list[int] = []
    for label in labels:
        ranked = [*np.flatnonzero(is_won_MC[:, label]), *np.flatnonzero(is_there_MC[:, label])]
        images += [int(image) for image in ranked if image not in images][:1]
    return images


def maps_exhibit(
    testimony: Testimony, names: Sequence[str], images: Sequence[int], boxes: Boxes | None, run: str
) -> Exhibit:
    """Fig. 3 of the paper."""
    facts: dict[str, Any] = {"run": run, "boxes": boxes is not None}
    caption = (
        "Each image with the maps of its most confident labels, A above U = sigmoid(S) A; vermilion: labels that "
        "are in the image. Shown are images whose label only the method finds, for the labels that gain most."
    )
    if boxes is not None:
        found = finding(testimony.attention_MCHW, boxes)
        facts |= vars(found)
        caption += (
            f" The highest place of A lies on the label in {found.hits:.0f} % of all cases (by chance "
            f"{found.by_chance:.0f} %); rectangles: where the label stands."
        )
    return Exhibit(
        "fig3-attention",
        QUESTIONS[1],
        "Attention A and weighted attention U (Fig. 3)",
        caption,
        "Test images, each with the attention maps of its labels, brightest where the model looks.",
        partial(_draw, testimony, names, images, boxes),
        facts,
        _rows(testimony, names, images),
    )


def _rows(testimony: Testimony, names: Sequence[str], images: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {
            "image": testimony.ids[image],
            "label": names[label],
            "is_there": bool(testimony.labels_MC[image, label] == 1),
            "confidence": round(100 * float(confidence(testimony)[image, label]), 2),
        }
        for image in images
        for label in ranked(testimony, image, 5)
    ]


def confidence(testimony: Testimony) -> Array:
    """The predicted probabilities."""
    return np.asarray(1 / (1 + np.exp(-testimony.prediction_MC)))


def ranked(testimony: Testimony, image: int, number: int) -> list[int]:
    """The image's most confident labels."""
    return [int(label) for label in np.argsort(-testimony.prediction_MC[image], kind="stable")[:number]]


def _draw(
    testimony: Testimony, names: Sequence[str], images: Sequence[int], boxes: Boxes | None, paper: Paper
) -> Figure:
    figure = paper.figure(len(images) * 2 * (paper.width / paper.columns + 0.1))
    grid = figure.subplots(2 * len(images), paper.columns, squeeze=False)
    for axis in grid.flat:
        axis.set_axis_off()
    for place, image in enumerate(images):
        rows = grid[2 * place], grid[2 * place + 1]
        rows[0][0].imshow(testimony.pixels_MSS3[image])
        rows[0][0].set_title(short(testimony.ids[image], 14))
        for column, label in enumerate(ranked(testimony, image, paper.columns - 1), start=1):
            is_there = testimony.labels_MC[image, label] == 1
            p = 100 * confidence(testimony)[image, label]
            rows[0][column].set_title(f"{short(names[label], 12)} {p:.0f} %", color=TRUE if is_there else INK)
            for axis, maps_MCHW, letter in (
                (rows[0][column], testimony.attention_MCHW, "A"),
                (rows[1][column], testimony.weighted_MCHW, "U"),
            ):
                _overlay(axis, testimony.pixels_MSS3[image], maps_MCHW[image, label], letter)
                for box in boxes[image] if boxes else ():
                    if box.label == label:
                        _outline(axis, box, testimony.pixels_MSS3.shape[1])
    return figure


def _overlay(axis: Any, pixels_SS3: Array, map_HW: Array, letter: str) -> None:
    """The map over the image, each position a square; brightness from 0 to 1/4, or to its highest place."""
    side = len(pixels_SS3)
    axis.imshow(pixels_SS3)
    extent = (-0.5, side - 0.5, side - 0.5, -0.5)
    top = max(0.25, float(map_HW.max())) if letter == "U" else float(map_HW.max())
    axis.imshow(map_HW, cmap=MAP, alpha=0.65, extent=extent, interpolation="nearest", vmin=0, vmax=top)
    axis.text(0.04, 0.96, letter, transform=axis.transAxes, color="white", va="top", fontsize=8)


def _outline(axis: Any, box: Box, side: int) -> None:
    corner = box.left * side - 0.5, box.top * side - 0.5
    axis.add_patch(Rectangle(corner, box.width * side, box.height * side, fill=False, edgecolor=TRUE))
