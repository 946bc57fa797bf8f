"""Two figures of curves: precision against recall of chosen labels, and the training of each method.

Legend: N images, P positives of a label.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bench.report import run_curves
from bench.report.evidence import Evidence, Pair, run_name
from bench.report.figure import QUESTIONS, ReportFigure
from bench.report.figure_style import COLOURS, Canvas, legend_names
from bench.results.record import Record
from bench.scoring.average_precision import descending
from bench.scoring.matrices import Array
from bench.training.log import EpochRow

Curve = tuple[Array, Array]  # recall and precision in percent


def precision_recall(scores_N: Array, labels_N: Array) -> Curve:
    """Recall and precision in percent at each positive: j / P and j / r_j for the j-th, which has rank r_j.

    An unspecified label (0) counts as negative here.

    >>> [values.tolist() for values in precision_recall(np.array([0.9, 0.8, 0.7]), np.array([1, -1, 1]))]
    [[50.0, 100.0], [100.0, 66.66666666666667]]
    """
    rank_P = np.flatnonzero(labels_N[descending(scores_N)] == 1) + 1
    number_P = np.arange(1, len(rank_P) + 1)
    return 100 * number_P / max(len(rank_P), 1), 100 * number_P / rank_P


def pr_figure(evidence: Evidence, pair: Pair, chosen: Sequence[int]) -> ReportFigure | None:
    """Precision against recall of the chosen labels, for baseline and subject.

    None unless both have predictions of the same seed.
    """
    by_group = {group: evidence.predictions(group) for group in reversed(pair)}
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in by_group.values())))
    if not seeds:
        return None
    of_seed = {run_name(group): by_seed[seeds[0]] for group, by_seed in by_group.items()}
    curves = {
        evidence.card.labels[c]: {
            name: precision_recall(predictions.logits_NC[:, c], predictions.labels_NC[:, c])
            for name, predictions in of_seed.items()
        }
        for c in chosen
    }
    return ReportFigure(
        "precision-recall",
        QUESTIONS[0],
        "Precision and recall of three labels",
        f"The labels of largest, median and smallest gain, seed {seeds[0]}. A higher curve finds the same "
        "share of a label's images with fewer false ones.",
        f"Curves of precision against recall for the labels {', '.join(curves)}.",
        partial(_draw_pr, curves),
        {"seed": seeds[0]},
        _pr_rows(curves),
    )


def _pr_rows(curves: Mapping[str, Mapping[str, Curve]]) -> list[dict[str, Any]]:
    return [
        {"label": label, "method": name, "recall": float(r), "precision": float(p)}
        for label, methods in curves.items()
        for name, curve in methods.items()
        for r, p in zip(*curve, strict=True)
    ]


def _draw_pr(curves: Mapping[str, Mapping[str, Curve]], canvas: Canvas) -> Figure:
    figure, axes = canvas.panels(len(curves), 2.8, sharex=True, sharey=True)
    for axis, (label, methods) in zip(axes, curves.items(), strict=True):
        named = zip(legend_names(methods), methods.values(), strict=True)
        for number, (name, (recall_P, precision_P)) in enumerate(named):
            style = "-" if number else "--"
            axis.plot(recall_P, precision_P, style, color=COLOURS[1 - number], label=name)
        axis.set(title=label, xlabel="recall [%]", ylabel="precision [%]")
        axis.grid()
    axes[0].legend(loc="lower left")
    return figure


def training_figure(evidence: Evidence) -> ReportFigure:
    """Loss and held-out mAP over the epochs, for the first seed of each method."""
    runs = {run_name(group): epoch_rows(evidence.members[group][0]) for group in evidence.ordered_groups}
    runs = {name: rows for name, rows in runs.items() if rows}
    columns = ["epoch", "lr", "loss", "held_out_loss", "held_out_mAP"]
    columns += [
        name for name in run_curves.FURTHER if any(name in row for own in runs.values() for row in own)
    ]
    rows = [
        {"run": name, "stage": row["stage"], **{column: row.get(column) for column in columns}}
        for name, epochs in runs.items()
        for row in epochs
    ]
    return ReportFigure(
        "training-curves",
        QUESTIONS[2],
        "Loss and held-out mAP while training",
        "The first seed of each method. Dotted lines show where a stage begins, dashed lines the loss on the "
        "images held out of the training set; only these images control the learning rate."
        f"{run_curves.legend(runs.values())}",
        "Three charts over the epochs of all stages: training and held-out loss, held-out mAP, and rate.",
        partial(_draw_training, runs),
        {},
        rows,
    )


def epoch_rows(record: Record) -> list[EpochRow]:
    """The epochs of a record's stages, in the form of a log's rows."""
    default = {"held_out_mAP": None}
    rows = [
        {**default, "stage": stage["name"], **row} for stage in record["stages"] for row in stage["epochs"]
    ]
    best = record.get("best_on_test", {"epochs": ()})
    watched = {(best["stage"], row["epoch"]): row for row in best["epochs"]}
    return [row | watched.get((row["stage"], row.get("epoch")), {}) for row in rows]


def _draw_training(runs: Mapping[str, list[EpochRow]], canvas: Canvas) -> Figure:
    figure: Figure = run_curves.draw(dict(zip(legend_names(runs), runs.values(), strict=True)), title="")
    figure.set_size_inches(canvas.width, 6)
    return figure
