"""Writes the result files for an evaluation server that keeps the test labels: one file for each label.

Legend: N images, C labels.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.base.atomic_files import write_atomically
from bench.data.cards import Card


def write(folder: Path, card: Card, ids: Sequence[str], logits_NC: NDArray[np.float32]) -> list[Path]:
    """Write a file for every label, named by `card.evaluation.result_files`, with a line for every image.

    A line is `<id> <confidence>`, with the logit as confidence. This is the form of the PASCAL VOC
    development kit (`comp1_cls_test_<class>.txt`): a confidence is any real number, only the order counts.
    """
    paths = []
    for label, logits_N in zip(card.labels, logits_NC.T, strict=True):
        lines = [f"{image} {logit!r}\n" for image, logit in zip(ids, logits_N.tolist(), strict=True)]
        path = folder / card.evaluation.result_files.format(label=label)
        paths.append(write_atomically(path, "".join(lines)))
    return paths
