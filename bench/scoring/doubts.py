"""What a reader must know about a number: how much of it comes from empty classes, or from the order of ties.

Shapes: N images, C classes.
"""

import math
from typing import Any

import numpy as np

from bench.base.protocol import Evaluation, Top3
from bench.scoring.average_precision import as_floats, average_precision
from bench.scoring.matrices import Array
from bench.scoring.metrics import count_outcomes, mean_ap, percent, prediction_rule
from bench.scoring.profiles import Profile


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


def tie_remark(logits_NC: Array, labels_NC: Array, rules: Profile, evaluation: Evaluation) -> str:
    """How far the order of equal logits moves mAP; empty if by less than a hundredth of a point."""
    low, high = range_of_ties(logits_NC, labels_NC, rules, evaluation).tolist()
    if math.isnan(low) or high - low < 0.01:
        return ""
    return (
        f"Equal logits rank in the order of the file, which decides mAP: {low:.2f} with the positives among "
        f"them last, {high:.2f} with them first"
    )
