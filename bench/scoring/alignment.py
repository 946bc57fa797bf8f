"""Bring a file of predictions and its ground truth into the same order of images and labels, and score them.

Labels are matched by name and images by id where both files give them, otherwise by position.
Legend: N images, C labels.
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
from bench.scoring.label_checks import one_sided_labels
from bench.scoring.matrices import (
    Array,
    EntryTest,
    first_wrong_entry,
    is_no_label,
    is_no_probability,
    is_not_finite,
)
from bench.scoring.matrix_file import MatrixFile, Role
from bench.scoring.metrics import logit
from bench.scoring.profiles import Profile

# Stands for the logits of p = 0 and p = 1, which are infinite. The logit of the largest double below 1 is 37,
# that of the smallest double above 0 is -745.
LARGEST_LOGIT = 1000.0
MIXED_LABELS = (
    "The labels hold 0 and -1, and both count as negative; --unspecified negative or excluded treats 0 as "
    "unspecified."
)

LOOKS_LIKE_PROBABILITIES = "All values lie from 0 to 1; if they are probabilities, add --probabilities."


@dataclass(frozen=True)
class AlignedPredictions:
    """Logits and labels (1, 0 or -1) of the same images and labels, in the same order.

    names: of the labels. ids: of the images; empty where no file gives them. notes: warnings for the reader
    of the scores. has_label_names: whether a file or the card names the labels; else they are numbered.
    dataset, title, evaluation: of the data set, where it is known. truth_path: the file of the labels.
    """

    path: Path
    logits_NC: Array
    labels_NC: Array
    names: tuple[str, ...]
    ids: tuple[str, ...]
    notes: tuple[str, ...]
    has_label_names: bool = True
    dataset: str = ""
    title: str = ""
    evaluation: Evaluation = field(default_factory=Evaluation)
    truth_path: Path | None = None


def align(
    given: MatrixFile, truth: MatrixFile, labels: tuple[str, ...] = (), *, probabilities: bool = False
) -> AlignedPredictions:
    """The predictions of the file `given` with the labels of the file `truth`; both may be the same file.

    labels: the names of the labels in the order wanted; empty: in the order of the files. `probabilities`:
    the file holds probabilities p; their logits ln(p / (1 - p)) are scored. InputError gives file, row and
    column of an entry that is not a number, label or probability, and each label or image that only one of
    the files has.
    """
    is_wrong = is_no_probability if probabilities else is_not_finite
    _check_entries(
        given, "logits", is_wrong, "a probability, from 0 to 1" if probabilities else "a finite logit"
    )
    _check_entries(truth, "labels", is_no_label, "a label: 1, 0 or -1")
    label_names = labels or given.names or truth.names
    names = label_names or _numbered_names(given)
    logits_NC, labels_NC = _ordered_columns(given, "logits", names), _ordered_columns(truth, "labels", names)
    return AlignedPredictions(
        path=given.path,
        logits_NC=as_logits(logits_NC) if probabilities else logits_NC,
        labels_NC=labels_NC[_truth_rows(given, truth)].astype(np.int8),
        names=names,
        ids=given.ids or truth.ids,
        notes=(
            *dict.fromkeys((*given.notes, *truth.notes)),
            *_unmatched_ids(given, truth),
            *(() if probabilities else _warnings(logits_NC)),
        ),
        truth_path=truth.path,
        has_label_names=bool(label_names),
    )


def label_remarks(subject: AlignedPredictions, evaluation: Evaluation) -> Iterator[str]:
    """Warnings about the ground truth: labels without positives or negatives, zeros of unstated meaning."""
    yield from one_sided_labels(subject.labels_NC, subject.names, evaluation.unspecified)
    if evaluation.unspecified is None and (subject.labels_NC == -1).any() and (subject.labels_NC == 0).any():
        yield MIXED_LABELS


def score_predictions(
    subject: AlignedPredictions, rules: Profile, evaluation: Evaluation
) -> tuple[dict[Column, float], NDArray[np.float64]]:
    """(each column that the profile defines; AP of each label, NaN without positives), in percent."""
    top3, unspecified = evaluation.top3, evaluation.unspecified
    computed = metrics.evaluate(
        subject.logits_NC, subject.labels_NC, profile=rules, top3=top3, unspecified=unspecified
    )
    values = {("all", metric): computed[metric] for metric in ALL}
    values |= {("top3", metric): value for metric, value in computed.get("top3", {}).items()}
    return {column: value for column, value in values.items() if not math.isnan(value)}, computed["AP"]


def as_logits(p: Array) -> Array:
    """ln(p / (1 - p)) in float64; for p = 0 and p = 1, a number beyond every other logit.

    >>> as_logits(np.array([0.0, 0.5, 1.0])).tolist()
    [-1000.0, 0.0, 1000.0]
    """
    with np.errstate(divide="ignore"):
        return np.clip(logit(p), -LARGEST_LOGIT, LARGEST_LOGIT)


def _check_entries(file: MatrixFile, role: Role, is_wrong: EntryTest, expected: str) -> None:
    matrix = file.matrices[role]
    if (entry := first_wrong_entry(matrix, is_wrong)) is not None:
        raise InputError(f"{file.entry_position(*entry)}: {matrix[entry]} is not {expected}")


def _numbered_names(given: MatrixFile) -> tuple[str, ...]:
    return tuple(f"column {column}" for column in range(given.matrices["logits"].shape[1]))


def _ordered_columns(file: MatrixFile, role: Role, names: Sequence[str]) -> Array:
    """The file's matrix with its columns in the order of the names."""
    matrix = file.matrices[role]
    if not file.names:
        if matrix.shape[1] != len(names):
            raise InputError(f"{file.path}: {role} have {matrix.shape[1]} columns for {len(names)} labels")
        return matrix
    for column, name in enumerate(file.names):
        if name not in names:
            raise InputError(f"{file.header_position(column)}: {unknown('label', name, names)}")
    if missing := [name for name in names if name not in file.names]:
        raise InputError(f"{file.path}: no {role} of: {lists.in_line(missing)}")
    if file.names == tuple(names):
        return matrix
    return matrix[:, [file.names.index(name) for name in names]]


def _truth_rows(given: MatrixFile, truth: MatrixFile) -> Any:
    """An index of the rows of the ground truth that brings them into the order of the predictions."""
    if given.ids and truth.ids and given is not truth:
        return _rows_matched_by_id(given, truth)
    images = len(given.matrices["logits"]), len(truth.matrices["labels"])
    if images[0] != images[1]:
        raise InputError(f"{given.path} has logits of {images[0]} images, {truth.path} labels of {images[1]}")
    return slice(None)


def _unmatched_ids(given: MatrixFile, truth: MatrixFile) -> tuple[str, ...]:
    """A note where one of two files has ids and the other none, so that nothing can be matched."""
    if given is truth or bool(given.ids) == bool(truth.ids):
        return ()
    named, bare = (given, truth) if given.ids else (truth, given)
    lack = f"{named.path.name} has ids of images, {bare.path.name} has none"
    return (f"{lack}: images are taken in the order of the files.",)


def _rows_matched_by_id(given: MatrixFile, truth: MatrixFile) -> list[int]:
    given_rows, truth_rows = _row_by_id(given), _row_by_id(truth)
    for file, rows, other_rows in ((given, given_rows, truth_rows), (truth, truth_rows, given_rows)):
        if unmatched := [id_ for id_ in rows if id_ not in other_rows]:
            example = next(iter(other_rows))
            fault = f"{len(unmatched)} images are not in the other file, where ids are such as {example!r}"
            raise InputError(f"{file.path}: {fault}:{lists.as_lines(unmatched)}")
    return [truth_rows[id_] for id_ in given.ids]


def _row_by_id(file: MatrixFile) -> dict[str, int]:
    rows: dict[str, int] = {}
    for row, id_ in enumerate(file.ids):
        if rows.setdefault(id_, row) != row:
            raise InputError(
                f"{file.path}: rows {rows[id_]} and {row} (counted from 0) have the same id {id_!r}"
            )
    return rows


def _warnings(logits_NC: Array) -> tuple[str, ...]:
    if first_wrong_entry(logits_NC, is_no_probability) is None:
        return (LOOKS_LIKE_PROBABILITIES,)
    return ()


def align_with(reference: AlignedPredictions, other: AlignedPredictions) -> AlignedPredictions:
    """The predictions `other` with images and labels in the order of `reference`.

    Labels get their names from whichever of the two has names. InputError where the two differ in images,
    labels or ground truth.
    """
    by_name = reference.has_label_names and other.has_label_names
    named = reference if reference.has_label_names else other
    reference_file, other_file = (
        MatrixFile(
            subject.path,
            {"logits": subject.logits_NC, "labels": subject.labels_NC},
            subject.names if by_name else (),
            subject.ids,
        )
        for subject in (reference, other)
    )
    logits_NC, labels_NC = (
        _ordered_columns(other_file, role, reference.names) for role in ("logits", "labels")
    )
    rows = _truth_rows(reference_file, other_file)
    ordered = replace(
        other,
        logits_NC=logits_NC[rows],
        labels_NC=labels_NC[rows],
        names=named.names,
        has_label_names=named.has_label_names,
        ids=reference.ids,
        notes=(*other.notes, *_unmatched_ids(reference_file, other_file)),
    )
    _check_same_truth(reference, ordered)
    return ordered


def _check_same_truth(reference: AlignedPredictions, other: AlignedPredictions) -> None:
    differing_NC = other.labels_NC != reference.labels_NC
    if (entry := first_wrong_entry(differing_NC, np.asarray)) is not None:
        row, column = entry
        image, label = reference.ids[row] if reference.ids else row, other.names[column]
        raise InputError(
            f"{other.path}: another ground truth: label {label!r} of image {image!r} is "
            f"{other.labels_NC[entry]}, in {reference.path} {reference.labels_NC[entry]}"
        )
