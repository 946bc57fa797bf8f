"""Choose further held-out images of a small data set, so that each label has one where that is possible.

With many images the hash of `shards.is_held_out` alone decides: 5 % of them then have nearly all labels.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bench.data import shards
from bench.data.formats import LeftOut, Sample

SMALL = 500  # training images; data sets with as many or more are split by the hash alone
MOST = 0.2  # share of the groups that may be held out, if there are many labels and few images


def further_groups(items: Iterable[Sample | LeftOut]) -> frozenset[str]:
    """The groups to hold out besides those of the hash; items: all of the training split.

    Groups with the most labels that no held-out image has come first, ties in the order of their hashes. A
    group is taken only if each of its labels stays in a training image, and up to MOST of all groups. If then
    none at all is held out, the first group in the order of the hashes is, unless it is the only one.
    """
    has_label = _labels_of_groups(items)
    order = sorted(has_label, key=lambda group: hashlib.sha256(group.encode()).digest())
    by_hash = [group for group in order if shards.is_held_out(group)]
    free = [group for group in order if group not in by_hash]
    most = max(1, round(MOST * len(order)))
    chosen: list[str] = []
    while free and len(by_hash) + len(chosen) < most:
        held_out_C = _any([has_label[group] for group in (*by_hash, *chosen)])
        number_C = np.sum([has_label[group] for group in free], axis=0)
        possible = [group for group in free if (number_C[has_label[group]] > 1).all()]
        gains = [int((has_label[group] & ~held_out_C).sum()) for group in possible]
        if not any(gains):
            break
        best = possible[gains.index(max(gains))]
        chosen.append(best)
        free.remove(best)
    if not by_hash and not chosen and len(order) > 1:
        chosen = order[:1]
    return frozenset(chosen)


def _labels_of_groups(items: Iterable[Sample | LeftOut]) -> dict[str, NDArray[np.bool_]]:
    """For each group whether one of its images has a label, (C)."""
    labels: dict[str, list[NDArray[np.bool_]]] = defaultdict(list)
    for item in items:
        if isinstance(item, Sample):
            labels[item.group or item.id].append(item.labels_C == 1)
    return {group: _any(rows) for group, rows in labels.items()}


def _any(rows: list[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    return np.any(rows, axis=0) if rows else np.zeros(1, dtype=bool)
