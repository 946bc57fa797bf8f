"""Say in lines of text what was understood of own pictures: how they are read, labels and sets."""

from pathlib import Path

import numpy as np
from tabulate import tabulate

from bench.base import lists
from bench.data.own_pictures import TRAIN
from bench.data.own_pictures.listed import Listed, alike

MOST_LABELS = 50  # that are shown


def describe(listed: Listed, origin: str, *, all_in: Path | None) -> str:
    """The text that the command prints before it writes anything but the long lists of this text.

    all_in: the folder for those lists; None: write none.
    """
    is_positive_NC = listed.labels_NC == 1
    parts = [f"{origin}: {len(listed.files):,} pictures, {len(listed.labels):,} labels"]
    parts += [f"  {line}" for line in listed.said]
    parts += ["first rows as read:", *(f"  {row}" for row in listed.rows)]
    for number, (reason, entries) in enumerate(listed.left_out.items(), start=1):
        where = all_in / f"left_out_{number}.txt" if all_in else None
        parts.append(f"{len(entries):,} {reason}:{lists.as_lines(entries, all_in=where)}")
    unlabelled = int((~is_positive_NC.any(axis=1)).sum())
    parts.append(
        f"{is_positive_NC.sum() / len(listed.files):.2f} labels a picture on average, {unlabelled:,} pictures"
        f" have none, {int((listed.labels_NC == 0).sum()):,} entries are not known"
    )
    parts += [
        f"labels that differ only by case, blanks or accents' writing: {same}"
        for same in alike(listed.labels)
    ]
    parts.append(_table(listed))
    return "\n".join(parts)


def _table(listed: Listed) -> str:
    """Pictures of each label in both sets, the most frequent first."""
    is_positive_NC, in_train_N = listed.labels_NC == 1, np.array(listed.splits) == TRAIN
    all_C, train_C = is_positive_NC.sum(axis=0), is_positive_NC[in_train_N].sum(axis=0)
    rows = [["all pictures", len(in_train_N), int(in_train_N.sum()), int((~in_train_N).sum())]]
    rows += [
        [listed.labels[c], int(all_C[c]), int(train_C[c]), int(all_C[c] - train_C[c])]
        for c in np.argsort(-all_C, kind="stable")[:MOST_LABELS]
    ]
    text = str(tabulate(rows, ["", "pictures", "train", "test"], "plain", disable_numparse=True))
    more = len(listed.labels) - MOST_LABELS
    return text + (f"\nand {more:,} rarer labels; python -m bench.data shows all of them" if more > 0 else "")
