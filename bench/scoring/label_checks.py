"""Check that labels hold what a score needs: without positives or without negatives every number is empty.

Shapes: N images, C labels.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from bench.base.errors import InputError
from bench.base.protocol import Unspecified

SHOWN = 10  # names of labels in a remark


def check_label_classes(labels_NC: NDArray[Any], unspecified: Unspecified | None, *, where: str) -> None:
    """InputError if no label is positive, or none is negative; where: what holds the labels, for the message.

    unspecified: as in `metrics.evaluate`; if it is given, 0 does not count as negative.
    """
    has_zero, has_negative = bool((labels_NC == 0).any()), bool((labels_NC == -1).any())
    if not (labels_NC == 1).any():
        raise InputError(f"{where}: no label is 1, so there is nothing to find; write positives as 1")
    if unspecified and has_zero and not has_negative:
        raise InputError(
            f"{where}: labels are 1 and 0 and none is -1, but 0 means unspecified here, so none would be "
            "negative and any prediction had mAP 100; write negatives as -1, or, if 0 means negative, add "
            "--unspecified none"
        )
    if not has_zero and not has_negative:
        raise InputError(
            f"{where}: every label is 1, so that any prediction has mAP 100; write negatives as "
            f"{'-1' if unspecified else '0'}"
        )


def one_sided_labels(
    labels_NC: NDArray[Any], names: Sequence[str], unspecified: Unspecified | None
) -> Iterator[str]:
    """A remark on the labels without a positive, and one on those without a negative."""
    positive_NC = labels_NC == 1
    negative_NC = labels_NC == -1 if unspecified else ~positive_NC
    kinds = {"positive": (positive_NC, ""), "negative": (negative_NC, "; their AP is 100 for any prediction")}
    for kind, (is_kind_NC, meaning) in kinds.items():
        counts_C = is_kind_NC.sum(axis=0)
        if empty := [name for name, count in zip(names, counts_C, strict=True) if not count]:
            more = f" and {len(empty) - SHOWN} more" if len(empty) > SHOWN else ""
            shown = ", ".join(empty[:SHOWN]) + more
            yield f"Labels without a {kind}, {len(empty)} of {len(names)}: {shown}{meaning}."
