"""Result files for an evaluation server that keeps the test labels: one file for each label, a line an image.

Legend: N images, C labels.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.cards import Card
from bench.files import write_atomically


def write(folder: Path, card: Card, ids: Sequence[str], logits_NC: NDArray[np.float32]) -> list[Path]:
    """Write `card.evaluation.result_files` for every label: lines `<id> <confidence>`, the sigmoid of the logit.

    The form is that of the PASCAL VOC development kit (`comp1_cls_test_<class>.txt`); only the order of the
    confidences counts there, so they are written with all their digits.
    """
    confidences_NC = 1 / (1 + np.exp(-logits_NC.astype(np.float64)))
    paths = []
    for label, confidences_N in zip(card.labels, confidences_NC.T, strict=True):
        lines = [
            f"{name} {confidence!r}\n" for name, confidence in zip(ids, confidences_N.tolist(), strict=True)
        ]
        paths.append(
            write_atomically(folder / card.evaluation.result_files.format(label=label), "".join(lines))
        )
    return paths
