"""The labels that a model predicts for an image file, and their output as text, CSV or JSON.

Legend: C labels.
"""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # bench.predict's help needs this file, and should not wait for numpy
    import numpy as np
    from numpy.typing import NDArray

from bench.base.csv_cells import safe_cell

RankedLabels = tuple[tuple[str, float], ...]  # (name, confidence in 0..1), the most confident first

DEFAULT_TOP = 5  # labels per image
PREDICTED = (
    "* predicted: it passes the label's threshold, which was fitted on held-out images or, where these "
    "were too few, is the convention's own"
)


@dataclass(frozen=True)
class Answer:
    """The labels of one image file, or the reason why there are none.

    maps: the path of its attention maps, if they were drawn. error: why the file could not be used.
    predicted: those of the labels that pass their own threshold; None: the run has no such thresholds.
    """

    image: str
    labels: RankedLabels = ()
    maps: str = ""
    error: str = ""
    predicted: frozenset[str] | None = None


@dataclass(frozen=True)
class Choice:
    """Which labels of an image are reported.

    top: how many of the most confident ones (None: all of them). threshold: the lowest confidence of these.
    fitted: only those that pass the threshold of their label, which the run has from its held-out images.
    """

    top: int | None = DEFAULT_TOP
    threshold: float = 0.0
    fitted: bool = False

    def select(
        self,
        names: Sequence[str],
        confidences_C: "NDArray[np.float64]",
        predicted: frozenset[str] | None = None,
    ) -> RankedLabels:
        """The labels of one image; labels of equal confidence keep the order of `names`."""
        order = (-confidences_C).argsort(kind="stable")[: self.top]
        ranked = ((names[c], float(confidences_C[c])) for c in order)
        return tuple(
            (name, confidence)
            for name, confidence in ranked
            if confidence >= self.threshold and (not self.fitted or name in (predicted or ()))
        )


def as_text(answers: Sequence[Answer]) -> str:
    """One line per image: its labels from left to right, or in brackets the reason why there are none."""
    from tabulate import tabulate  # noqa: PLC0415 (see above)

    rows = [[answer.image, *_text_cells(answer)] for answer in answers]
    headers = ["image", *range(1, max(map(len, rows), default=1))]
    note = f"{PREDICTED}\n" if any(answer.predicted is not None for answer in answers) else ""
    return tabulate(rows, headers, "simple", disable_numparse=True) + f"\n{note}"


def _text_cells(answer: Answer) -> list[str]:
    if answer.labels:
        predicted = answer.predicted or ()
        return [f"{name} {value:.3f}{'*' if name in predicted else ''}" for name, value in answer.labels]
    return [f"({answer.error or 'none'})"]


def as_csv(answers: Sequence[Answer]) -> str:
    """One line per label; an image without labels has one line, with its error if there is one."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["image", "rank", "label", "confidence", "maps", "error", "predicted"])
    for answer in answers:
        for rank, (name, confidence) in enumerate(answer.labels, start=1):
            predicted = "" if answer.predicted is None else "yes" if name in answer.predicted else "no"
            cells = [answer.image, rank, name, confidence, answer.maps, "", predicted]
            writer.writerow(map(safe_cell, cells))
        if not answer.labels:
            writer.writerow(map(safe_cell, [answer.image, "", "", "", answer.maps, answer.error, ""]))
    return buffer.getvalue()


def as_json(answers: Sequence[Answer]) -> str:
    """A list of `{image, labels: [{label, confidence, predicted}], maps, error}`.

    Empty maps and errors are left out, and `predicted` for a run without thresholds of its labels.
    """
    return json.dumps([_json_entry(answer) for answer in answers], indent=1, ensure_ascii=False) + "\n"


def _json_entry(answer: Answer) -> dict[str, object]:
    labels: list[dict[str, object]] = [
        {"label": name, "confidence": confidence} for name, confidence in answer.labels
    ]
    if answer.predicted is not None:
        labels = [label | {"predicted": label["label"] in answer.predicted} for label in labels]
    optional = {"maps": answer.maps, "error": answer.error}
    return {
        "image": answer.image,
        "labels": labels,
        **{name: text for name, text in optional.items() if text},
    }


FORMATS: dict[str, Callable[[Sequence[Answer]], str]] = {"text": as_text, "csv": as_csv, "json": as_json}
