"""Best on test: the highest mAP of any epoch of the last stage on the test set itself, as some papers report.

It is chosen on the test set, so it is no result: a record has it beside its metrics, with the difference from
them. It changes nothing that is trained or selected. The values of finished epochs are in the checkpoint.

Legend: N images, C labels.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from bench.base.protocol import Evaluation
from bench.scoring import metrics
from bench.training import inference, stages
from bench.training.weight_average import WeightAverage

if TYPE_CHECKING:
    from bench.training.loop import StageRun

FIELDS = ("test_mAP", "raw_test_mAP", "averaged_test_mAP")  # of an epoch; without an average only the first
Row = Mapping[str, Any]


def watch(model: nn.Module, stage_run: "StageRun", average: WeightAverage) -> dict[str, float | None]:
    """The mAP in percent on the test images as fields of an epoch; empty if the stage is not watched.

    Of the weights that the stage uses, and with an average also of both; None where a logit is not finite.
    """
    if stage_run.watched is None:
        return {}
    results = average.of_both(lambda: _mean_ap(model, stage_run))
    stages.prepare(model, stage_run.stage)
    both = {f"{name}_test_mAP": mean_ap for name, mean_ap in results.items()}
    return {FIELDS[0]: results[stage_run.stage.weights], **(both if average.is_on else {})}


def _mean_ap(model: nn.Module, stage_run: "StageRun") -> float | None:
    view, rules, pixels = stage_run.store.test, stage_run.watched, stage_run.pixels
    logits_NC = inference.all_logits(model, view, pixels, processes=stage_run.processes, captured=False)
    if rules is None or not np.isfinite(logits_NC).all():
        return None
    how: Any = {"profile": rules.profile, "top3": rules.top3, "unspecified": rules.unspecified}
    return float(metrics.evaluate(logits_NC, view.labels_NC, **how)["mAP"])


def apart(history: Sequence[Row]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """(the epochs without these fields, the stage's fact `watched`, if any epoch has them).

    >>> apart([{"epoch": 1, "loss": 2.0, "test_mAP": 60.0}])
    ([{'epoch': 1, 'loss': 2.0}], {'watched': [{'epoch': 1, 'test_mAP': 60.0}]})
    """
    epochs = [{name: value for name, value in row.items() if name not in FIELDS} for row in history]
    watched = [{name: row[name] for name in ("epoch", *FIELDS) if name in row} for row in history]
    watched = [row for row in watched if len(row) > 1]
    return epochs, {"watched": watched} if watched else {}


def facts_of_best(stage: Row, mean_ap: float, *, watched: Evaluation | None) -> dict[str, Any]:
    """What a record says of the last stage's epochs beside its own mAP; empty where none was watched.

    Of equal values the one of the earliest epoch counts, and of both weights the raw ones.
    """
    rows = stage.get("watched", []) if watched else []
    names = [name for name in FIELDS[1:] if any(name in row for row in rows)] or FIELDS[:1]
    values = [(row[name], -row["epoch"], name) for row in rows for name in names if row.get(name) is not None]
    if not values:
        return {}
    value, epoch, name = max(values)  # of equal ones "raw" comes after "averaged"
    both = {"weights": name.removesuffix("_test_mAP")} if name != FIELDS[0] else {}
    best = {"stage": stage["name"], "epoch": -epoch, **both, "mAP": value, "difference": value - mean_ap}
    return {"best_on_test": {**best, "epochs": rows}}


def said_of_best(record: Row, watched: Evaluation | None) -> str:
    """What to say of it after the record's own mAP.

    watched: it is asked for; then it is also said why there is none, or where it lacks epochs.
    """
    stage, best = record["stages"][-1], record.get("best_on_test")
    again = "to train them again: --fresh --watch-test"
    if best is None:
        if not watched:
            return ""
        if not stage["epochs"]:
            return f"; best on test: none, as the last stage, {stage['name']}, has no epochs"
        return f"; best on test: not known, as stage {stage['name']} was trained without it; {again}"
    text = f"; best on test {best['mAP']:.2f} ({best['difference']:+.2f}) after epoch {best['epoch']}"
    text += f" of stage {best['stage']}, chosen on the test set: not comparable"
    if lacking := len(stage["epochs"]) - len(best["epochs"]):
        text += f"; {lacking} of {len(stage['epochs'])} epochs were trained without it; {again}"
    return text
