"""Attention A and weighted attention U over test images (Fig. 3), and how well attention finds a label.

Legend: M images, C labels, H = W = positions along a side of the maps.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from bench.data.formats import Box
from bench.report.figure import QUESTIONS, ReportFigure
from bench.report.figure_style import INK, MAP, TILE, TRUE, Canvas, Mosaic, short
from bench.report.model_outputs import ModelOutputs
from bench.scoring.matrices import Array

ROW, HEAD = 2.3, 0.25  # squares that an image takes, and above it those of its labels
Boxes = Sequence[Sequence[Box]]


@dataclass(frozen=True)
class Finding:
    """Where the highest place of a label's attention lies, in percent of all labels in all images.

    own: on the label (the pointing game of Zhang et al. 2016); companion: on another label, not on its own.
    own_by_chance, companion_by_chance: the same of a place drawn at random.
    """

    own: float
    companion: float
    own_by_chance: float
    companion_by_chance: float


def finding(attention_MCHW: Array, boxes: Boxes) -> Finding:
    """How well attention finds the labels that annotations place."""
    size = attention_MCHW.shape[2:]
    found = []
    for image, there in enumerate(boxes):
        for label in {box.label for box in there}:
            own_HW = _covered([box for box in there if box.label == label], size)
            companion_HW = _covered(there, size) & ~own_HW
            peak = np.unravel_index(attention_MCHW[image, label].argmax(), size)
            found.append((own_HW[peak], companion_HW[peak], own_HW.mean(), companion_HW.mean()))
    return Finding(*(100 * float(share) for share in np.mean(found, axis=0)))


def _covered(boxes: Sequence[Box], size: tuple[int, ...]) -> NDArray[np.bool_]:
    """The positions of a map whose middle lies in a box, and those that hold the middle of one."""
    is_on_HW = np.zeros(size, dtype=bool)
    y_H, x_W = ((np.arange(n) + 0.5) / n for n in size)
    for box in boxes:
        in_H = (y_H >= box.top) & (y_H <= box.top + box.height)
        in_W = (x_W >= box.left) & (x_W <= box.left + box.width)
        is_on_HW |= in_H[:, None] & in_W
        middle = box.top + box.height / 2, box.left + box.width / 2
        row, column = (min(int(m * n), n - 1) for m, n in zip(middle, size, strict=True))
        is_on_HW[row, column] = True
    return is_on_HW


def found_only_by(statement: ModelOutputs, other_MC: Array | None, labels: Sequence[int]) -> list[int]:
    """For each label the first image that has it, that the statement predicts and the other logits do not.

    Without other logits, and where there is no such image, the first that has the label.
    """
    is_there_MC = statement.labels_MC == 1
    is_won_MC = is_there_MC & (statement.prediction_MC > 0)
    if other_MC is not None:
        is_won_MC &= other_MC <= 0
    images: list[int] = []
    for label in labels:
        ranked = [*np.flatnonzero(is_won_MC[:, label]), *np.flatnonzero(is_there_MC[:, label])]
        images += [int(image) for image in ranked if image not in images][:1]
    return images


def maps_figure(
    statement: ModelOutputs, names: Sequence[str], images: Sequence[int], boxes: Boxes | None, run: str
) -> ReportFigure:
    """Fig. 3 of the paper."""
    facts: dict[str, Any] = {"run": run}
    caption = (
        f"Images with the maps of {run} for its most confident labels, A above U; labels in the image are "
        "red. For each label of those that gain most, the first image that is found, and missed by "
        "the baseline where its predictions are here."
    )
    if boxes is not None and any(boxes):
        found = finding(statement.attention_MCHW, boxes)
        facts |= asdict(found)
        caption += (
            f" The highest place of A lies on the label (rectangles) in {found.own:.0f} % of all cases "
            f"({found.own_by_chance:.0f} % by chance), on a companion in {found.companion:.0f} % "
            f"({found.companion_by_chance:.0f} % by chance)."
        )
    return ReportFigure(
        "fig3-attention",
        QUESTIONS[1],
        "Attention A and weighted attention U (Fig. 3)",
        caption,
        "Test images, each with the attention maps of its labels, brightest where the model looks.",
        partial(_draw, statement, names, images, boxes),
        facts,
        _rows(statement, names, images),
    )


def _rows(statement: ModelOutputs, names: Sequence[str], images: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {
            "image": statement.ids[image],
            "label": names[label],
            "is_there": bool(statement.labels_MC[image, label] == 1),
            "confidence": confidence(statement, image, label),
        }
        for image in images
        for label in ranked(statement, image, 5)
    ]


def confidence(statement: ModelOutputs, image: int, label: int) -> float:
    """The predicted probability in percent."""
    return 100 / (1 + float(np.exp(-statement.prediction_MC[image, label])))


def ranked(statement: ModelOutputs, image: int, number: int) -> list[int]:
    """The image's most confident labels."""
    return [int(label) for label in np.argsort(-statement.prediction_MC[image], kind="stable")[:number]]


def _draw(
    statement: ModelOutputs, names: Sequence[str], images: Sequence[int], boxes: Boxes | None, paper: Canvas
) -> Figure:
    """Two rows for an image: it and A, then U."""
    sheet = Mosaic(paper, ROW * len(images))
    for place, image in enumerate(images):
        top = ROW * place + HEAD
        sheet.put(statement.pixels_MSS3[image], top, 0)
        sheet.say(short(statement.ids[image], 14), top - 0.06, TILE / 2)
        for column, label in enumerate(ranked(statement, image, paper.columns - 1), start=1):
            is_there = statement.labels_MC[image, label] == 1
            text = f"{short(names[label], 12)} {confidence(statement, image, label):.0f} %"
            sheet.say(text, top - 0.06, column + TILE / 2, color=TRUE if is_there else INK)
            mine = [box for box in boxes[image] if box.label == label] if boxes else []
            for down, letter, maps_MCHW in (
                (top, "A", statement.attention_MCHW),
                (top + 1, "U", statement.weighted_MCHW),
            ):
                _overlay(sheet, statement.pixels_MSS3[image], maps_MCHW[image, label], mine, (down, column))
                sheet.say(letter, down + 0.14, column + 0.07, color="#f0f0f0")
    return sheet.framed()


def _overlay(
    sheet: Mosaic, pixels_SS3: Array, map_HW: Array, boxes: Sequence[Box], place: tuple[float, float]
) -> None:
    """The map over the image, each position a square, and the label's boxes."""
    sheet.put(pixels_SS3, *place)
    sheet.put(map_HW, *place, cmap=MAP, alpha=0.65, vmin=0)
    for box in boxes:
        corner = place[1] + TILE * box.left, place[0] + TILE * box.top
        frame = Rectangle(corner, TILE * box.width, TILE * box.height, fill=False, edgecolor=TRUE)
        sheet.axis.add_patch(frame)
