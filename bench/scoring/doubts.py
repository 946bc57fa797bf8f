"""What a reader must know about a number: how much of it comes from empty classes, or from the order of ties.

Shapes: N images, C classes.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.base.protocol import Evaluation, Top3
from bench.scoring.average_precision import as_floats, average_precision
from bench.scoring.matrices import Array, blocks
from bench.scoring.metrics import count_outcomes, mean_ap, percent, prediction_rule, threshold_test
from bench.scoring.profiles import Profile

TOP = 3


def counts(
    logits_NC: Array, labels_NC: Array, rules: Profile, evaluation: Evaluation
) -> dict[str, dict[str, int]]:
    """What a record says of these doubts, by kind and group of columns.

    "empty_classes": as `empty_classes` gives them; only if a class has no positive, and then even if no class
    counts so. "ties": images whose top-3 labels the order of equal logits decides; only if there are any.
    """
    found = {}
    if rules.eps and not (labels_NC == 1).any(axis=0).all():
        found["empty_classes"] = empty_classes(logits_NC, labels_NC, rules, evaluation)
    if ties := top3_ties(logits_NC, rules, evaluation):
        found["ties"] = {"top3": ties}
    return found


def empty_classes(logits_NC: Any, labels_NC: Any, rules: Profile, evaluation: Evaluation) -> dict[str, int]:
    """Classes that have no positive, are never predicted and count as 100, by group of columns; none: {}.

    Only a profile with `eps` counts them so: (0 + eps) / (0 + eps) = 1.
    """
    groups: dict[str, Top3 | None] = {"all": None}
    groups |= {"top3": evaluation.top3} if evaluation.top3 else {}
    counts = {}
    for group, rule in groups.items():
        if rules.eps and (is_predicted := prediction_rule(rules, rule)):
            excluded = evaluation.unspecified == "excluded"
            _, pp_C, gp_C = count_outcomes(logits_NC, labels_NC, is_predicted, excluded=excluded)
            counts[group] = int(((pp_C == 0) & (gp_C == 0)).sum())
    return {group: count for group, count in counts.items() if count}


def range_of_ties(logits_NC: Array, labels_NC: Array, rules: Profile, evaluation: Evaluation) -> Array:
    """mAP with the positives last, and with the positives first among equal logits; of another order than the
    file's. Both are equal where ties do not matter, or where the profile groups them.
    """
    AP_2C = np.empty((2, labels_NC.shape[1]))
    for c in range(labels_NC.shape[1]):
        used_N = labels_NC[:, c] != 0 if evaluation.unspecified else slice(None)
        positive_N = labels_NC[used_N, c] == 1
        scores_N = as_floats(np.ascontiguousarray(logits_NC[used_N, c]))
        for place, is_first_N in enumerate((~positive_N, positive_N)):
            order_N = np.argsort(~is_first_N, kind="stable")
            AP_2C[place, c] = average_precision(
                scores_N[order_N], positive_N[order_N], area=rules.area, ties=rules.ties
            )
    return mean_ap(percent(AP_2C), rules)


def top3_ties(logits_NC: Array, rules: Profile, evaluation: Evaluation) -> int:
    """The number of images whose third and fourth highest logits are equal, if they count as predicted.

    Which of the labels then belongs to the top 3 is decided by their order alone.
    """
    if not evaluation.top3 or prediction_rule(rules, evaluation.top3) is None or logits_NC.shape[1] <= TOP:
        return 0
    assert rules.positive is not None
    is_above = threshold_test(*rules.positive)
    count = 0
    for _, block_BC in blocks(logits_NC):
        third_B, fourth_B = np.partition(-as_floats(np.asarray(block_BC)), (TOP - 1, TOP), axis=1)[:, 2:4].T
        decides_B = third_B == fourth_B
        if evaluation.top3 == "thresholded":
            decides_B = decides_B & is_above(-third_B)
        count += int(decides_B.sum())
    return count


def remarks(logits_NC: Array, labels_NC: Array, rules: Profile, evaluation: Evaluation) -> Iterator[str]:
    """A sentence on each doubt: empty classes, and ties."""
    names = {"all": "P-C, R-C and F1-C", "top3": "P-C, R-C and F1-C of top-3"}
    for group, count in empty_classes(logits_NC, labels_NC, rules, evaluation).items():
        share = 100 * count / labels_NC.shape[1]
        yield (
            f"{count} of {labels_NC.shape[1]} classes have no positive and are never predicted; they count"
            f" as 100, which is {share:.1f} points of {names[group]}"
        )
    yield from tie_remarks(logits_NC, labels_NC, rules, evaluation)


def tie_remarks(logits_NC: Array, labels_NC: Array, rules: Profile, evaluation: Evaluation) -> Iterator[str]:
    """A sentence on mAP and one on top-3, where the order of equal logits decides them."""
    if remark := _map_remark(logits_NC, labels_NC, rules, evaluation):
        yield remark
    if count := top3_ties(logits_NC, rules, evaluation):
        yield (
            f"In {count:,} of {len(logits_NC):,} images the third and fourth highest logits are equal: the"
            " order of the labels decides the top-3 numbers"
        )


def _map_remark(logits_NC: Array, labels_NC: Array, rules: Profile, evaluation: Evaluation) -> str:
    """How far the order of equal logits moves mAP; empty if by less than a hundredth of a point."""
    low, high = range_of_ties(logits_NC, labels_NC, rules, evaluation).tolist()
    if math.isnan(low) or high - low < 0.01:
        return ""
    return (
        f"Equal logits rank in the order of the file, which decides mAP: {low:.2f} with the positives among "
        f"them last, {high:.2f} with them first"
    )
