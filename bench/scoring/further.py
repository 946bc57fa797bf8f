"""Further metrics beside the columns of the tables, of one profile: those of ranking, decisions, calibration.

Legend: N images, C labels.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.base.lists import in_line
from bench.base.protocol import Evaluation
from bench.scoring import calibration, decisions, ranking
from bench.scoring.matrices import Array
from bench.scoring.metrics import count_outcomes, prediction_rule
from bench.scoring.profiles import Profile

KS = (1, 3, 5)  # of precision at k
BETAS = (0.5, 2)
# Of ranking and calibration, which are the same for every profile.
GENERAL = {
    "AUROC-C": "area under the ROC curve, mean over the labels that have a positive and a negative",
    "AUROC-O": "area under the ROC curve of all entries at once",
    "ranking loss": "share of an image's pairs of a positive and a negative label in the wrong order; equal "
    "logits count as wrong",
    "coverage": "labels, not percent: how many of an image's highest labels hold all its positives",
    "one-error": "share of images whose highest label is no positive",
    **{f"P@{k}": f"share of positives among an image's {k} highest labels" for k in KS},
    "ECE": f"expected calibration error, {calibration.BINS} bins of equal width, mean over the labels",
}
# Of decisions, by the threshold of the profile.
DECISIONS = {
    "Hamming loss": "share of the entries that are decided wrongly",
    "exact match": "share of the images of which every label is decided rightly",
    **{
        f"F{beta}-{group}": f"F-beta with beta {beta}, {kind}, computed as F1-{group}"
        for beta in BETAS
        for group, kind in (("C", "macro"), ("O", "micro"))
    },
}

UNDEFINED = {  # metric of a label -> its mean, and which labels have none
    "AUROC": ("AUROC-C", "have no positive or no negative"),
    "ECE": ("ECE", "have no specified entry"),
}


def general(logits_NC: Array, labels_NC: Array, evaluation: Evaluation) -> dict[str, float]:
    """The metrics of `GENERAL` in percent, coverage in labels; one that the data do not define is absent.

    As for AP, unspecified entries are left out.
    """
    of_labels = by_label(logits_NC, labels_NC, evaluation)
    of = (logits_NC, labels_NC)
    drop = evaluation.unspecified is not None
    at_k = {k: ranking.precision_at_k(*of, k=k, drop_zeros=drop) for k in KS if k <= labels_NC.shape[1]}
    values = {
        "AUROC-C": mean_of_defined(of_labels["AUROC"]),
        "AUROC-O": 100 * ranking.micro_auroc(*of, drop_zeros=drop),
        "ranking loss": 100 * ranking.ranking_loss(*of, drop_zeros=drop),
        "coverage": ranking.coverage(*of, drop_zeros=drop),
        "one-error": 100 * (1 - at_k[1]),
        **{f"P@{k}": 100 * share for k, share in at_k.items()},
        "ECE": mean_of_defined(of_labels["ECE"]),
    }
    return {name: value for name, value in values.items() if not math.isnan(value)}


def of_decisions(
    logits_NC: Array, labels_NC: Array, rules: Profile, evaluation: Evaluation
) -> dict[str, float]:
    """The metrics of `DECISIONS` in percent; none if the profile defines no threshold.

    Unspecified entries count as for F1: as negative, or not at all.
    """
    if (is_predicted := prediction_rule(rules, None)) is None:
        return {}
    excluded = evaluation.unspecified == "excluded"
    values = {
        "Hamming loss": decisions.hamming_loss(logits_NC, labels_NC, is_predicted, excluded=excluded),
        "exact match": decisions.exact_match(logits_NC, labels_NC, is_predicted, excluded=excluded),
    }
    counts_3C = count_outcomes(logits_NC, labels_NC, is_predicted, excluded=excluded)
    for beta in BETAS:
        pair = decisions.f_beta(counts_3C, rules, beta=beta)
        values |= {f"F{beta}-{group}": value for group, value in zip("CO", pair, strict=True)}
    # With the eps of srn2017 a perfect score may exceed 1 in its last bit.
    return {name: min(100 * value, 100.0) for name, value in values.items() if not math.isnan(value)}


def by_label(logits_NC: Array, labels_NC: Array, evaluation: Evaluation) -> dict[str, NDArray[np.float64]]:
    """AUROC and ECE of each label, percentages of shape C; NaN where the data do not define it."""
    drop = evaluation.unspecified is not None
    return {
        "AUROC": 100 * ranking.auroc(logits_NC, labels_NC, drop_zeros=drop),
        "ECE": 100 * calibration.calibration_errors(logits_NC, labels_NC, drop_zeros=drop),
    }


def tie_remarks(logits_NC: Array, labels_NC: Array, evaluation: Evaluation) -> Iterator[str]:
    """For each precision at k that the order of equal logits moves by a hundredth of a point: how far."""
    drop = evaluation.unspecified is not None
    for k in KS:
        if k <= labels_NC.shape[1]:
            ends = ranking.range_at_k(logits_NC, labels_NC, k=k, drop_zeros=drop)
            low, high = (100 * end for end in ends)
            if high - low >= 0.01:
                names = "P@1 and one-error" if k == 1 else f"P@{k}"
                yield (
                    f"{names}: of equal logits the label that comes first counts as higher; P@{k} is "
                    f"{low:.2f} with the positives among them last, {high:.2f} with them first"
                )


def undefined_remarks(
    logits_NC: Array, labels_NC: Array, names: Sequence[str], evaluation: Evaluation
) -> Iterator[str]:
    """For each mean over the labels that leaves some of them out: how many, and which."""
    for metric, values_C in by_label(logits_NC, labels_NC, evaluation).items():
        left_out = [name for name, value in zip(names, values_C.tolist(), strict=True) if math.isnan(value)]
        if left_out:
            name, why = UNDEFINED[metric]
            count = f"{len(left_out)} of {len(names)} labels"
            yield f"{name} leaves out {count}, which {why}: {in_line(left_out)}"


def remarks(
    logits_NC: Array, labels_NC: Array, names: Sequence[str], evaluation: Evaluation
) -> Iterator[str]:
    """What a reader of the numbers must know of ties and of labels that are left out."""
    yield from tie_remarks(logits_NC, labels_NC, evaluation)
    yield from undefined_remarks(logits_NC, labels_NC, names, evaluation)


def mean_of_defined(values_C: Array) -> float:
    """Mean over the labels whose value is not NaN; NaN if there is none."""
    defined = values_C[~np.isnan(values_C)]
    return float(defined.mean()) if defined.size else math.nan
