"""A file of predictions and its ground truth, checked and brought into one order, ready to be scored.

Labels are matched by name and images by id wherever both sides give them, else by position.
Shapes: N images, C labels.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base import lists
from bench.base.errors import InputError, unknown
from bench.base.protocol import ALL, Column, Evaluation
from bench.scoring import metrics
from bench.scoring.matrices import Array, first, is_no_label, is_no_probability, is_not_finite
from bench.scoring.metrics import logit
from bench.scoring.prediction_files import MatrixFile, Role
from bench.scoring.profiles import Profile

# The logit of p = 1: that of the double just below 1 is 37, that of the smallest above 0 is -745.
CERTAIN = 1000.0
MIXED = "The labels hold 0 and -1, and both count as negative; --unspecified makes 0 unspecified."


@dataclass(frozen=True)
class AlignedPredictions:
    """Logits and labels (1, 0 or -1) of the same images and labels; notes: what a reader should know of them.

    ids: of the images, in order; empty where no file gives them. dataset, title, evaluation: of their data
    set, where it is known. is_named: whether a file or the card gives the labels' names; else they are
    numbered.
    """

    path: Path
    logits_NC: Array
    labels_NC: Array
    names: tuple[str, ...]
    ids: tuple[str, ...]
    notes: tuple[str, ...]
    is_named: bool = True
    dataset: str = ""
    title: str = ""
    evaluation: Evaluation = field(default_factory=Evaluation)


def align(
    given: MatrixFile, truth: MatrixFile, labels: tuple[str, ...] = (), *, probabilities: bool = False
) -> AlignedPredictions:
    """The predictions of one file beside the ground truth of another, or of the same.

    labels: the names of the labels in the order wanted; empty: as the files name them. `probabilities`: the
    file holds p, not logits; ln(p / (1 - p)) is scored. InputError names file, row and column of what is no
    number, no label or no probability, and every name or id without a counterpart.
    """
    is_wrong = is_no_probability if probabilities else is_not_finite
    _refuse(given, "logits", is_wrong, "a probability, from 0 to 1" if probabilities else "a finite logit")
    _refuse(truth, "labels", is_no_label, "a label: 1, 0 or -1")
    known = labels or given.names or truth.names
    names = known or _numbered(given)
    logits_NC, labels_NC = _columns(given, "logits", names), _columns(truth, "labels", names)
    notes = () if probabilities else _doubts(logits_NC)
    return AlignedPredictions(
        path=given.path,
        logits_NC=as_logits(logits_NC) if probabilities else logits_NC,
        labels_NC=labels_NC[_rows(given, truth)].astype(np.int8),
        names=names,
        ids=given.ids or truth.ids,
        notes=notes,
        is_named=bool(known),
    )


def remarks(subject: AlignedPredictions, evaluation: Evaluation) -> Iterator[str]:
    """What a reader should know of the labels."""
    positives_C = (subject.labels_NC == 1).sum(axis=0)
    if empty := [name for name, count in zip(subject.names, positives_C, strict=True) if not count]:
        yield f"Labels without a positive, {len(empty)} of {len(subject.names)}: {', '.join(empty)}."
    if evaluation.unspecified is None and (subject.labels_NC == -1).any() and (subject.labels_NC == 0).any():
        yield MIXED


def scores(
    subject: AlignedPredictions, rules: Profile, evaluation: Evaluation
) -> tuple[dict[Column, float], NDArray[np.float64]]:
    """(every column that the profile defines, in percent; every label's AP, NaN without positives)."""
    top3, unspecified = evaluation.top3, evaluation.unspecified
    computed = metrics.evaluate(
        subject.logits_NC, subject.labels_NC, profile=rules, top3=top3, unspecified=unspecified
    )
    values = {("all", metric): computed[metric] for metric in ALL}
    values |= {("top3", metric): value for metric, value in computed.get("top3", {}).items()}
    return {column: value for column, value in values.items() if not math.isnan(value)}, computed["AP"]


def as_logits(p: Array) -> Array:
    """ln(p / (1 - p)) in float64, beyond every other logit where p is 0 or 1.

    >>> as_logits(np.array([0.0, 0.5, 1.0])).tolist()
    [-1000.0, 0.0, 1000.0]
    """
    with np.errstate(divide="ignore"):
        return np.clip(logit(p), -CERTAIN, CERTAIN)


def _refuse(file: MatrixFile, role: Role, is_wrong: Any, expected: str) -> None:
    matrix = file.matrices[role]
    if (entry := first(matrix, is_wrong)) is not None:
        raise InputError(f"{file.place(*entry)}: {matrix[entry]} is not {expected}")


def _numbered(given: MatrixFile) -> tuple[str, ...]:
    return tuple(f"column {column}" for column in range(given.matrices["logits"].shape[1]))


def _columns(file: MatrixFile, role: Role, names: Sequence[str]) -> Array:
    """The matrix with its columns in the order of the names."""
    matrix = file.matrices[role]
    if not file.names:
        if matrix.shape[1] != len(names):
            raise InputError(f"{file.path}: {role} have {matrix.shape[1]} columns for {len(names)} labels")
        return matrix
    for column, name in enumerate(file.names):
        if name not in names:
            raise InputError(f"{file.heading(column)}: {unknown('label', name, names)}")
    if missing := [name for name in names if name not in file.names]:
        raise InputError(f"{file.path}: no {role} of: {lists.in_line(missing)}")
    if file.names == tuple(names):
        return matrix
    return matrix[:, [file.names.index(name) for name in names]]


def _rows(given: MatrixFile, truth: MatrixFile) -> Any:
    """Which rows of the ground truth belong to the rows of the predictions."""
    if given.ids and truth.ids and given is not truth:
        return _matched(given, truth)
    images = len(given.matrices["logits"]), len(truth.matrices["labels"])
    if images[0] != images[1]:
        raise InputError(f"{given.path} has logits of {images[0]} images, {truth.path} labels of {images[1]}")
    return slice(None)


def _matched(given: MatrixFile, truth: MatrixFile) -> list[int]:
    mine, theirs = _row_of(given), _row_of(truth)
    for file, own, others in ((given, mine, theirs), (truth, theirs, mine)):
        if alone := [id_ for id_ in own if id_ not in others]:
            raise InputError(f"{file.path}: {len(alone)} images have no counterpart:{lists.as_lines(alone)}")
    return [theirs[id_] for id_ in given.ids]


def _row_of(file: MatrixFile) -> dict[str, int]:
    rows: dict[str, int] = {}
    for row, id_ in enumerate(file.ids):
        if rows.setdefault(id_, row) != row:
            raise InputError(
                f"{file.path}: rows {rows[id_]} and {row} (counted from 0) are both image {id_!r}"
            )
    return rows


def _doubts(logits_NC: Array) -> tuple[str, ...]:
    if first(logits_NC, is_no_probability) is None:
        return ("Every value lies from 0 to 1; if they are probabilities, say --probabilities.",)
    return ()


def beside(one: AlignedPredictions, other: AlignedPredictions) -> AlignedPredictions:
    """The other subject with its images and labels in the order of the one; named, if one of them is.

    InputError where they do not have the same images, labels and ground truth.
    """
    by_name, named = one.is_named and other.is_named, one if one.is_named else other
    mine, theirs = (
        MatrixFile(
            it.path, {"logits": it.logits_NC, "labels": it.labels_NC}, it.names if by_name else (), it.ids
        )
        for it in (one, other)
    )
    logits_NC, labels_NC = (_columns(theirs, role, one.names) for role in ("logits", "labels"))
    rows = _rows(mine, theirs)
    ordered = replace(
        other,
        logits_NC=logits_NC[rows],
        labels_NC=labels_NC[rows],
        names=named.names,
        is_named=named.is_named,
        ids=one.ids,
    )
    if (entry := first(ordered.labels_NC != one.labels_NC, np.asarray)) is not None:
        row, name = one.ids[entry[0]] if one.ids else entry[0], named.names[entry[1]]
        labels = f"{ordered.labels_NC[entry]}, in {one.path} {one.labels_NC[entry]}"
        raise InputError(f"{other.path}: another ground truth: label {name!r} of image {row!r} is {labels}")
    return ordered
