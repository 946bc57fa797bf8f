"""Fits a run's thresholds, one for each label, on its predictions of the held-out images."""

from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from bench.data.cards import Card
from bench.data.store import IDENTITY
from bench.scoring import predictions, profiles, thresholds
from bench.training import inference, stage_cache
from bench.training.stage_cache import StageContext


def fit(model: nn.Module, card: Card, context: StageContext, file: Path) -> dict[str, Any]:
    """Write the predictions of the held-out images to the file; returns the record's key `thresholds`.

    Every process predicts; only the first one writes, and the others return nothing. The test images take no
    part. Where the recipe holds nothing out (`held_out=0`) nothing is fitted, written or returned.
    """
    store, rules = context.store, card.evaluation
    if not len(store.held_out):
        return {}
    pixels = stage_cache.input_transform(model, context)
    predict = partial(inference.predict, processes=context.processes, captured=context.captured)
    logits_NC = predict(model, store.held_out, pixels)
    if not context.processes.is_main:
        return {}
    labels_NC, ids = store.held_out.labels_NC, [str(image) for image in store.held_out.column("id")]
    data = {name: store.manifest[name] for name in IDENTITY}
    facts = {"dataset": card.name, "label_names": card.labels, "ids": ids, "data": data}
    predictions.write_predictions(file, predictions.Predictions(logits_NC, labels_NC, facts))
    fitted_C = thresholds.fit_thresholds(logits_NC, labels_NC, unspecified=rules.unspecified)
    profile = profiles.get_profile(rules.profile)
    return {"thresholds": thresholds.summary(fitted_C, card.labels, images=len(ids), rules=profile)}
