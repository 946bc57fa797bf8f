"""What a model says of an image file, and the forms in which it is told: text, CSV and JSON.

Legend: C labels.
"""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from bench.base.csv_cells import safe_cell

Labels = tuple[tuple[str, float], ...]  # names and confidences in 0..1, the most confident first

USUAL = 5  # labels of an image


@dataclass(frozen=True)
class Answer:
    """The labels of a file, or the reason why there are none; maps: the picture of the model's attention."""

    image: str
    labels: Labels = ()
    maps: str = ""
    error: str = ""


@dataclass(frozen=True)
class Choice:
    """Which labels are told: of the `top` most confident ones (None: of all) those of `threshold` or more."""

    top: int | None = USUAL
    threshold: float = 0.0

    def of(self, names: Sequence[str], confidences_C: NDArray[np.float64]) -> Labels:
        """The labels of an image; of equal confidences, that of the first label comes first."""
        order = np.argsort(-confidences_C, kind="stable")[: self.top]
        told = ((names[c], float(confidences_C[c])) for c in order)
        return tuple((name, confidence) for name, confidence in told if confidence >= self.threshold)


def as_text(answers: Sequence[Answer]) -> str:
    """A line an image: its labels from left to right, or in brackets why there are none."""
    rows = [[answer.image, *_cells(answer)] for answer in answers]
    heads = ["image", *range(1, max(map(len, rows), default=1))]
    return tabulate(rows, heads, "simple", disable_numparse=True) + "\n"


def _cells(answer: Answer) -> list[str]:
    if answer.labels:
        return [f"{name} {confidence:.3f}" for name, confidence in answer.labels]
    return [f"({answer.error or 'none'})"]


def as_csv(answers: Sequence[Answer]) -> str:
    """A line a label; an image without labels has one line, with its error if there is one."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["image", "rank", "label", "confidence", "maps", "error"])
    for answer in answers:
        for rank, (name, confidence) in enumerate(answer.labels, start=1):
            cells = [answer.image, rank, name, confidence, answer.maps, ""]
            writer.writerow(map(safe_cell, cells))
        if not answer.labels:
            writer.writerow(map(safe_cell, [answer.image, "", "", "", answer.maps, answer.error]))
    return buffer.getvalue()


def as_json(answers: Sequence[Answer]) -> str:
    """A list of `{image, labels: [{label, confidence}], maps, error}`; the last two where there are any."""
    return json.dumps([_plain(answer) for answer in answers], indent=1, ensure_ascii=False) + "\n"


def _plain(answer: Answer) -> dict[str, object]:
    labels = [{"label": name, "confidence": confidence} for name, confidence in answer.labels]
    more = {"maps": answer.maps, "error": answer.error}
    return {"image": answer.image, "labels": labels, **{name: text for name, text in more.items() if text}}


FORMATS: dict[str, Callable[[Sequence[Answer]], str]] = {"text": as_text, "csv": as_csv, "json": as_json}
