"""Matrices of images x classes: what can be scored, and the place of the first entry that cannot.

Shapes: N images, C classes, B images of a block of rows.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.base.errors import InputError
from bench.scoring.average_precision import as_floats

Array = NDArray[Any]
EntryTest = Callable[[Array], Array]  # a block of rows -> one truth value for each of its entries


def checked(logits_NC: ArrayLike, labels_NC: ArrayLike) -> tuple[Array, Array]:
    """Both as matrices that can be scored, uncopied where they are arrays of the usual types.

    InputError: shapes that differ and, by row and column counted from 0, the first entry that is not a finite
    logit or not a label.
    """
    logits, labels = _matrix(logits_NC, "logits"), _matrix(labels_NC, "labels")
    if logits.shape != labels.shape:
        raise InputError(f"logits have shape {logits.shape}, labels {labels.shape}; they must be the same")
    _refuse(logits, is_not_finite, "logits: {} in {}; every logit must be finite")
    _refuse(labels, is_no_label, "labels: {} in {}; a label is 1, 0 or -1")
    return as_floats(logits), labels


def _matrix(values: ArrayLike, kind: str) -> Array:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as mistake:
        raise InputError(f"{kind} are no matrix of numbers: {mistake}") from mistake
    if not is_matrix(array):
        raise InputError(
            f"{kind} have shape {array.shape} and type {array.dtype}; give numbers, images x classes"
        )
    return array


def is_matrix(array: Array) -> bool:
    """Whether it holds real numbers in two dimensions, none of them empty."""
    return array.ndim == 2 and array.size > 0 and array.dtype.kind in "biuf"


def _refuse(matrix_NC: Array, wrong: EntryTest, message: str) -> None:
    if (place := first_wrong_entry(matrix_NC, wrong)) is not None:
        row, column = place
        where = f"row {row}, column {column} (counted from 0)"
        raise InputError(message.format(matrix_NC[place], where))


def first_wrong_entry(matrix_NC: Array, wrong: EntryTest) -> tuple[int, int] | None:
    """Row and column of the first entry that is wrong.

    >>> first(np.array([[0, 1], [2, 1]]), is_no_label)
    (1, 0)
    """
    for rows, block_BC in blocks(matrix_NC):
        wrong_BC = wrong(block_BC)
        if wrong_BC.any():
            row, column = np.argwhere(wrong_BC)[0].tolist()
            return rows.start + row, column
    return None


def is_not_finite(block_BC: Array) -> Array:
    return ~np.isfinite(block_BC)


def is_no_label(block_BC: Array) -> Array:
    return np.asarray((block_BC != 0) & (block_BC != 1) & (block_BC != -1))


def is_no_probability(block_BC: Array) -> Array:
    return ~((block_BC >= 0) & (block_BC <= 1))


def blocks(matrix_NC: Array, size: int = 8192) -> Iterator[tuple[slice, Array]]:
    """Blocks of rows: intermediate results stay in the cache, and memory is bounded."""
    for start in range(0, len(matrix_NC), size):
        rows = slice(start, start + size)
        yield rows, matrix_NC[rows]
