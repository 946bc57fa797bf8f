"""Result files for an evaluation server that keeps the test labels: one file for each label, a line an image.

Legend: N images, C labels.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.base.atomic_files import write_atomically
from bench.data.cards import Card


def write(folder: Path, card: Card, ids: Sequence[str], logits_NC: NDArray[np.float32]) -> list[Path]:
    """Write `card.evaluation.result_files` for every label: lines `<id> <confidence>`, with logits.

    The form is that of the PASCAL VOC development kit (`comp1_cls_test_<class>.txt`): any real number is a
    confidence, and only the order counts.
    """
    paths = []
    for label, logits_N in zip(card.labels, logits_NC.T, strict=True):
        lines = [f"{name} {logit!r}\n" for name, logit in zip(ids, logits_N.tolist(), strict=True)]
        path = folder / card.evaluation.result_files.format(label=label)
        paths.append(write_atomically(path, "".join(lines)))
    return paths
