"""The metric contract in plain loops over lists, written apart from the product: its tests' yardstick."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

EPS = 2.0**-52
NAN = math.nan

Numbers = Sequence[float]
Rows = Sequence[Numbers]

# The contract's vector: ties in its first three classes, the third never predicted, one exact 0.
LOGITS = [
    [2.0, 0.5, -1.0, 0.1],
    [1.0, -0.5, -1.0, 0.2],
    [1.0, 0.7, -2.0, -0.3],
    [-0.2, 0.7, -0.5, 0.4],
    [-1.0, -2.0, -3.0, 0.0],
    [0.3, 0.1, -0.7, -0.1],
]
LABELS = [[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 0], [0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 0]]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def ranking(scores: Numbers) -> list[int]:
    """Images from the highest score down; `sorted` keeps the order of the file among equals."""
    return sorted(range(len(scores)), key=lambda image: -scores[image])


def ap_envelope(scores: Numbers, truth: Numbers) -> float:
    """VOC 2010-12 as its development kit computes it: curve with both ends, running maximum, recall steps."""
    recall, precision, tp = [0.0], [0.0], 0.0
    for rank, image in enumerate(ranking(scores), start=1):
        tp += truth[image]
        recall.append(tp / sum(truth))
        precision.append(tp / rank)
    recall.append(1.0)
    precision.append(0.0)
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    return sum((recall[i] - recall[i - 1]) * precision[i] for i in range(1, len(recall)))


def ap_at_positives(scores: Numbers, truth: Numbers) -> float:
    total, tp = 0.0, 0
    for rank, image in enumerate(ranking(scores), start=1):
        if truth[image]:
            tp += 1
            total += tp / rank
    return total / tp


def ap_grouped(scores: Numbers, truth: Numbers) -> float:
    """Sum of recall steps times precision over the distinct scores, as scikit-learn documents it."""
    area, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        taken = [t for score, t in zip(scores, truth, strict=True) if score >= threshold]
        recall = sum(taken) / sum(truth)
        area += (recall - recall_before) * sum(taken) / len(taken)
        recall_before = recall
    return area


def ap_eleven(scores: Numbers, truth: Numbers) -> float:
    curve, tp = [], 0.0
    for rank, image in enumerate(ranking(scores), start=1):
        tp += truth[image]
        curve.append((tp / sum(truth), tp / rank))
    return sum(max(p for r, p in curve if r >= i * 0.1) for i in range(11)) / 11


class Convention(NamedTuple):
    ap: Callable[[Numbers, Numbers], float]
    empty_is_zero: bool
    predicted: Callable[[float], bool] | None
    harmonic: bool = True
    eps: float = 0.0
    least: int = 0
    has_top: bool = True


CONVENTIONS = {
    "srn2017": Convention(ap_envelope, False, lambda p: p > 0.5, harmonic=False, eps=EPS),
    "mlgcn": Convention(ap_at_positives, False, lambda p: p >= 0.5, least=1),
    "mcar": Convention(ap_at_positives, False, lambda p: p >= 0.6, least=1),
    "asl": Convention(ap_at_positives, True, lambda p: p > 0.8, harmonic=False, has_top=False),
    "csra": Convention(ap_at_positives, False, lambda p: p >= 0.5, least=1),
    "sklearn": Convention(ap_grouped, True, lambda p: p >= 0.5, harmonic=False),
    "voc2007": Convention(ap_eleven, False, None, has_top=False),
    "q2l": Convention(ap_envelope, False, None, has_top=False),
}


def aps(logits: Rows, labels: Rows, how: Convention, *, unspecified: str | None) -> list[float]:
    result = []
    for c in range(len(labels[0])):
        kept = [i for i in range(len(labels)) if unspecified is None or labels[i][c] != 0]
        truth = [int(labels[i][c] == 1) for i in kept]
        result.append(100 * how.ap([logits[i][c] for i in kept], truth) if any(truth) else NAN)
    return result


def mean_ap(values: Numbers, how: Convention) -> float:
    used = [0.0 if math.isnan(v) else v for v in values if how.empty_is_zero or not math.isnan(v)]
    return sum(used) / len(used) if used else NAN


def predicted(
    row: Numbers, truth: Numbers, how: Convention, *, top3: str | None, k: int, unspecified: str | None
) -> list[bool]:
    """What one image is said to show."""
    candidates = sorted(range(len(row)), key=lambda c: (-row[c], c))[: k if top3 else None]
    assert how.predicted
    said = [c in candidates and (top3 == "forced" or how.predicted(sigmoid(row[c]))) for c in range(len(row))]
    return [yes and not (unspecified == "excluded" and t == 0) for yes, t in zip(said, truth, strict=True)]


def rates(tp: float, pp: float, gp: float, eps: float) -> tuple[float, float, float]:
    p = (tp + eps) / (pp + eps) if pp + eps else 0.0
    r = (tp + eps) / (gp + eps) + eps if gp + eps else 0.0
    return p, r, 2 * p * r / (p + r) if p + r else 0.0


def six(
    logits: Rows, labels: Rows, how: Convention, *, top3: str | None, k: int, unspecified: str | None
) -> list[float]:
    if how.predicted is None or (top3 and not how.has_top):
        return [NAN] * 6
    counts = [[0, 0, 0] for _ in labels[0]]
    for row, truth in zip(logits, labels, strict=True):
        said = predicted(row, truth, how, top3=top3, k=k, unspecified=unspecified)
        for count, yes, t in zip(counts, said, truth, strict=True):
            count[0] += yes and t == 1
            count[1] += yes
            count[2] += t == 1
    counts = [[tp, max(pp, how.least), gp] for tp, pp, gp in counts]
    per_class = [rates(tp, pp, gp, how.eps) for tp, pp, gp in counts]
    p, r, f = (sum(column) / len(counts) for column in zip(*per_class, strict=True))
    if how.harmonic:
        f = 2 * p * r / (p + r) if p + r else 0.0
    tp, pp, gp = (sum(column) for column in zip(*counts, strict=True))
    p_o, r_o, f_o = rates(tp, pp, gp, how.eps)
    return [100 * value for value in (f, p, r, f_o, p_o, r_o)]


def evaluate(
    logits: Rows,
    labels: Rows,
    *,
    profile: str,
    top3: str | None = None,
    k: int = 3,
    unspecified: str | None = None,
) -> list[float]:
    """mAP, the six columns, AP of every class and, if asked for, the six of top-3: one flat list."""
    how = CONVENTIONS[profile]
    ap = aps(logits, labels, how, unspecified=unspecified)
    everything = six(logits, labels, how, top3=None, k=k, unspecified=unspecified)
    top = six(logits, labels, how, top3=top3, k=k, unspecified=unspecified) if top3 else []
    return [mean_ap(ap, how), *everything, *ap, *top]
