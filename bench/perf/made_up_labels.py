"""Draw labels with a data set's counts: a few labels are frequent, most are rare, as in real ones.

Legend: N images, C labels.
"""

import numpy as np
from numpy.typing import NDArray

MOST = 0.6  # the share of images that the most frequent label has at most


def draw_labels(
    images: int, labels: int, *, positives: int, without: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """A matrix (N, C) with exactly `positives` true entries and exactly `without` empty rows.

    The frequency of the labels falls as 1 / rank (Zipf), and each has an image if the positives suffice.
    """
    labelled = images - without
    if not labelled <= positives <= MOST * labelled * labels:
        raise ValueError(f"{positives} positives do not fit {labelled} images and {labels} labels")
    matrix_NC = np.zeros((labelled, labels), dtype=bool)
    for column, number in enumerate(_counts(labelled, labels, positives)):
        matrix_NC[rng.choice(labelled, number, replace=False), column] = True
    _give_each_row_a_label(matrix_NC, rng)
    rows = np.sort(rng.choice(images, labelled, replace=False))
    all_NC = np.zeros((images, labels), dtype=bool)
    all_NC[rows] = matrix_NC
    return all_NC


def _counts(images: int, labels: int, positives: int) -> NDArray[np.int64]:
    """The number of images of each label; at most MOST of the images, in sum `positives`."""
    most = int(MOST * images)
    shares_C = 1 / np.arange(1, labels + 1)
    counts_C = np.clip(
        (positives * shares_C / shares_C.sum()).astype(np.int64), min(1, positives // labels), most
    )
    while difference := positives - int(counts_C.sum()):
        free = np.flatnonzero(counts_C < most if difference > 0 else counts_C > 1)
        step = max(1, abs(difference) // len(free))
        chosen = free[: abs(difference)]
        counts_C[chosen] += np.sign(difference) * step
        counts_C = np.clip(counts_C, 0, most)
    return np.asarray(counts_C, dtype=np.int64)


def _give_each_row_a_label(matrix_NC: NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Move labels from rows with several to rows with none; the count of every label stays."""
    empty = np.flatnonzero(~matrix_NC.any(axis=1))
    rows, columns = np.nonzero(matrix_NC)
    number_N = matrix_NC.sum(axis=1)
    order = iter(rng.permutation(len(rows)))
    for row in empty:
        entry = next(entry for entry in order if number_N[rows[entry]] > 1)
        number_N[rows[entry]] -= 1
        matrix_NC[rows[entry], columns[entry]] = False
        matrix_NC[row, columns[entry]] = True
