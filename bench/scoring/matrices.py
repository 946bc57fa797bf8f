"""Check that matrices of images x classes can be scored, and locate the first entry that cannot.

Shapes: N images, C classes, B images in a block of rows.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.base.errors import InputError
from bench.scoring.average_precision import as_floats

Array = NDArray[Any]
EntryTest = Callable[[Array], Array]  # block of rows B x C -> truth values B x C


def checked(logits_NC: ArrayLike, labels_NC: ArrayLike) -> tuple[Array, Array]:
    """Logits and labels as matrices that can be scored; arrays of the usual types are not copied.

    InputError if the shapes differ, or if an entry is not a finite logit or not a label; the message gives
    row and column, counted from 0, of the first one.
    """
    logits, labels = _matrix(logits_NC, "logits"), _matrix(labels_NC, "labels")
    if logits.shape != labels.shape:
        raise InputError(f"logits have shape {logits.shape}, labels {labels.shape}; they must be the same")
    _check_entries(logits, is_not_finite, "logits: {} in {}; every logit must be finite")
    _check_entries(labels, is_no_label, "labels: {} in {}; a label is 1, 0 or -1")
    return as_floats(logits), labels


def _matrix(values: ArrayLike, kind: str) -> Array:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise InputError(f"{kind} are not a matrix of numbers: {error}") from error
    if not is_matrix(array):
        raise InputError(
            f"{kind} have shape {array.shape} and type {array.dtype}; give numbers, images x classes"
        )
    return array


def is_matrix(array: Array) -> bool:
    """Whether the array has two dimensions, holds real numbers and is not empty."""
    return array.ndim == 2 and array.size > 0 and array.dtype.kind in "biuf"


def _check_entries(matrix_NC: Array, is_wrong: EntryTest, message: str) -> None:
    if (entry := first_wrong_entry(matrix_NC, is_wrong)) is not None:
        row, column = entry
        position = f"row {row}, column {column} (counted from 0)"
        raise InputError(message.format(matrix_NC[entry], position))


def first_wrong_entry(matrix_NC: Array, is_wrong: EntryTest) -> tuple[int, int] | None:
    """Row and column of the first entry for which `is_wrong` is true; None if there is none.

    >>> first_wrong_entry(np.array([[0, 1], [2, 1]]), is_no_label)
    (1, 0)
    """
    for rows, block_BC in blocks(matrix_NC):
        wrong_BC = is_wrong(block_BC)
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
    """(slice of rows, those rows) block by block, so that intermediate results fit into the cache."""
    for start in range(0, len(matrix_NC), size):
        rows = slice(start, start + size)
        yield rows, matrix_NC[rows]
