"""A figure of attention A and weighted attention U over test images (Fig. 3), and how well A finds labels.

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
from bench.report.figure_style import COLOUR_MAP, FOREGROUND, TILE, TRUE_LABEL, Canvas, Mosaic, shorten
from bench.report.model_outputs import ModelOutputs
from bench.scoring.matrices import Array

ROW, HEAD = 2.3, 0.25  # height of an image's two rows, and of the text above them, in squares
Boxes = Sequence[Sequence[Box]]


@dataclass(frozen=True)
class Pointing:
    """How often the highest position of a label's attention is on a box, in percent of all cases.

    A case is a label with a box in an image. own: on a box of the label (the pointing game of Zhang et al.
    2016). companion: on a box of another label, and not on one of its own. own_by_chance,
    companion_by_chance: the same for a random position.
    """

    own: float
    companion: float
    own_by_chance: float
    companion_by_chance: float


def pointing_game(attention_MCHW: Array, boxes: Boxes) -> Pointing:
    """How well attention finds the labels that have boxes; boxes: those of each image."""
    size = attention_MCHW.shape[2:]
    hits = []
    for image, image_boxes in enumerate(boxes):
        for label in {box.label for box in image_boxes}:
            own_HW = _covered([box for box in image_boxes if box.label == label], size)
            companion_HW = _covered(image_boxes, size) & ~own_HW
            peak = np.unravel_index(attention_MCHW[image, label].argmax(), size)
            hits.append((own_HW[peak], companion_HW[peak], own_HW.mean(), companion_HW.mean()))
    return Pointing(*(100 * float(share) for share in np.mean(hits, axis=0)))


def _covered(boxes: Sequence[Box], size: tuple[int, ...]) -> NDArray[np.bool_]:
    """The positions (H, W) of a map with their centre in a box, and those that contain a box's centre."""
    is_covered_HW = np.zeros(size, dtype=bool)
    y_H, x_W = ((np.arange(n) + 0.5) / n for n in size)
    for box in boxes:
        in_H = (y_H >= box.top) & (y_H <= box.top + box.height)
        in_W = (x_W >= box.left) & (x_W <= box.left + box.width)
        is_covered_HW |= in_H[:, None] & in_W
        # A box smaller than a position may contain no position's centre.
        centre = box.top + box.height / 2, box.left + box.width / 2
        row, column = (min(int(share * n), n - 1) for share, n in zip(centre, size, strict=True))
        is_covered_HW[row, column] = True
    return is_covered_HW


def images_to_show(outputs: ModelOutputs, baseline_MC: Array | None, labels: Sequence[int]) -> list[int]:
    """For each label the first image that has it, where the model predicts it and the baseline does not.

    If there is no such image, the first that has the label. Without baseline logits, a prediction by the
    model is enough. No image is chosen twice.
    """
    has_label_MC = outputs.labels_MC == 1
    is_won_MC = has_label_MC & (outputs.prediction_MC > 0)
    if baseline_MC is not None:
        is_won_MC &= baseline_MC <= 0
    images: list[int] = []
    for label in labels:
        ranked = [*np.flatnonzero(is_won_MC[:, label]), *np.flatnonzero(has_label_MC[:, label])]
        images += [int(image) for image in ranked if image not in images][:1]
    return images


def maps_figure(
    outputs: ModelOutputs, names: Sequence[str], images: Sequence[int], boxes: Boxes | None, run: str
) -> ReportFigure:
    """Fig. 3 of the paper; names: of all labels. images: those to show. boxes: of all images, if known."""
    facts: dict[str, Any] = {"run": run}
    caption = (
        f"Test images with the maps of {run} for its most confident labels, A above U. Names of labels that "
        "are in the image are red. The images were chosen for the labels that gain most: for each the first "
        "image where this run predicts the label and the baseline (if its predictions exist) misses it."
    )
    if boxes is not None and any(boxes):
        pointing = pointing_game(outputs.attention_MCHW, boxes)
        facts |= asdict(pointing)
        caption += (
            f" The highest position of A is on its own label (rectangles) in {pointing.own:.0f} % of all "
            f"cases ({pointing.own_by_chance:.0f} % by chance), and on another label in "
            f"{pointing.companion:.0f} % ({pointing.companion_by_chance:.0f} % by chance)."
        )
    return ReportFigure(
        "fig3-attention",
        QUESTIONS[1],
        "Attention A and weighted attention U (Fig. 3)",
        caption,
        "Test images, each with the attention maps of its labels, brightest where attention is highest.",
        partial(_draw, outputs, names, images, boxes),
        facts,
        _rows(outputs, names, images),
    )


def _rows(outputs: ModelOutputs, names: Sequence[str], images: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {
            "image": outputs.ids[image],
            "label": names[label],
            "is_there": bool(outputs.labels_MC[image, label] == 1),
            "confidence": confidence(outputs, image, label),
        }
        for image in images
        for label in most_confident(outputs, image, 5)
    ]


def confidence(outputs: ModelOutputs, image: int, label: int) -> float:
    """The predicted probability of a label in an image, in percent."""
    return 100 / (1 + float(np.exp(-outputs.prediction_MC[image, label])))


def most_confident(outputs: ModelOutputs, image: int, number: int) -> list[int]:
    """The image's labels with the highest logits, in falling order."""
    return [int(label) for label in np.argsort(-outputs.prediction_MC[image], kind="stable")[:number]]


def _draw(
    outputs: ModelOutputs, names: Sequence[str], images: Sequence[int], boxes: Boxes | None, canvas: Canvas
) -> Figure:
    """Two rows per image: the image and A of its labels, below U."""
    mosaic = Mosaic(canvas, ROW * len(images))
    for index, image in enumerate(images):
        top = ROW * index + HEAD
        mosaic.draw_image(outputs.pixels_MSS3[image], top, 0)
        mosaic.draw_text(shorten(outputs.ids[image], 14), top - 0.06, TILE / 2)
        for column, label in enumerate(most_confident(outputs, image, canvas.columns - 1), start=1):
            has_label = outputs.labels_MC[image, label] == 1
            text = f"{shorten(names[label], 12)} {confidence(outputs, image, label):.0f} %"
            mosaic.draw_text(
                text, top - 0.06, column + TILE / 2, color=TRUE_LABEL if has_label else FOREGROUND
            )
            label_boxes = [box for box in boxes[image] if box.label == label] if boxes else []
            for down, letter, maps_MCHW in (
                (top, "A", outputs.attention_MCHW),
                (top + 1, "U", outputs.weighted_MCHW),
            ):
                pixels_SS3, map_HW = outputs.pixels_MSS3[image], maps_MCHW[image, label]
                _overlay(mosaic, pixels_SS3, map_HW, label_boxes, (down, column))
                mosaic.draw_text(letter, down + 0.14, column + 0.07, color="#f0f0f0")
    return mosaic.finish()


def _overlay(
    mosaic: Mosaic, pixels_SS3: Array, map_HW: Array, boxes: Sequence[Box], position: tuple[float, float]
) -> None:
    """Draw the map over the image, each of its positions as a square, and the label's boxes."""
    mosaic.draw_image(pixels_SS3, *position)
    mosaic.draw_image(map_HW, *position, cmap=COLOUR_MAP, alpha=0.65, vmin=0)
    for box in boxes:
        corner = position[1] + TILE * box.left, position[0] + TILE * box.top
        frame = Rectangle(corner, TILE * box.width, TILE * box.height, fill=False, edgecolor=TRUE_LABEL)
        mosaic.axis.add_patch(frame)
