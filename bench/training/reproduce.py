"""One method, recipe and seed on one data set: trained, predicted, scored, and written down as a record."""

import math
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench.base import code_digest, method_names
from bench.base.provenance import provenance
from bench.base.run_folder import RunFolder
from bench.data import cards
from bench.data.cards import Card
from bench.results import record
from bench.results.record import read_record
from bench.scoring import metrics, predictions, profiles
from bench.training import device, inference, method, stage_cache, submission
from bench.training.log import Log
from bench.training.method import File
from bench.training.stage_cache import StageContext


@dataclass(frozen=True)
class Run:
    """One method with one recipe and one seed on one data set."""

    card: Card
    name: str
    changes: dict[str, str]
    seed: int

    @property
    def title(self) -> str:
        return f"{method_names.display_name(self.name)} seed {self.seed}"

    @cached_property
    def data(self) -> Card:
        """The card with images of the size that the recipe asks for; InputError for a wrong recipe field."""
        return cards.at(
            self.card, method.recipe(method.load_method(self.name), self.card.name, self.changes).input_size
        )


def reproduce(wanted: Run, context: StageContext, folder: RunFolder, *, tensorboard: bool = False) -> str:
    """Train, predict, score and record one run in the folder; returns what was done, in a line.

    Where the data set's owner keeps the test labels, result files for the evaluation server take the place of
    scores and record.
    """
    module, card, processes = method.load_method(wanted.name), wanted.card, context.processes
    config = method.recipe(module, card.name, wanted.changes)
    keys = stage_cache.stage_keys(module, config, context, wanted.seed)
    head = _head(wanted, module, context)
    code = code_digest.digest("bench.training.inference", "bench.scoring.metrics", module.Model.__module__)
    key = stage_cache.content_digest(keys[-1], code, _protocol(card))
    name = Path(record.file_name(head)).stem
    path = folder.record(name)
    known = read_record(path) if processes.is_main and path.exists() and not context.fresh else {"key": None}
    if (known := processes.broadcast(known))["key"] == key:
        return f"{wanted.title}: unchanged, nothing to train; {_headline(known, path)}"
    model = method.build(module, config, method.labels_of(context.store), wanted.seed)
    model.to(context.device).to(memory_format=torch.channels_last)
    plan = list(zip(module.stages(config), keys, strict=True))
    board = folder.tensorboard(name) if tensorboard else None
    log = Log(folder.log(name), tensorboard=board) if processes.is_main else None
    done = list(stage_cache.run_stages(model, plan, context, seed=wanted.seed, title=wanted.title, log=log))
    began = time.monotonic()
    logits_NC = inference.predict(
        model, context.store.test, stage_cache.input_transform(model, context), processes=processes
    )
    if not processes.is_main:
        return ""
    if card.evaluation.result_files:
        files = submission.write(folder.result_files(name), card, _ids(context), logits_NC)
        where = record.shown(files[0].parent)
        return f"{wanted.title}: {len(files)} files for the evaluation server in {where}"
    scores = _score(card, context, logits_NC, folder.predictions(name))
    made = {**head, **_body(card, context, config), **_learned(model, done), "metrics": scores, "key": key}
    record.write_record({**made, **_circumstances(context, done, time.monotonic() - began)}, folder.path)
    return f"{wanted.title}: recorded, {_headline(made, path)}"


def _head(wanted: Run, module: method.Method, context: StageContext) -> dict[str, Any]:
    """What names a record and its file."""
    return {
        "schema": record.SCHEMA,
        "dataset": wanted.card.name,
        "method": wanted.name,
        "variant": _variant(wanted, module, context),
        "seed": wanted.seed,
    }


def _headline(made: dict[str, Any], path: Path) -> str:
    scores = made["metrics"][made["protocol"]["profile"]]
    return f"mAP {scores['mAP']:.2f} in {record.shown(path)}"


def _ids(context: StageContext) -> list[str]:
    return [str(name) for name in context.store.test.column("id")]


def _protocol(card: Card) -> dict[str, str | None]:
    rules = card.evaluation
    return {"profile": rules.profile, "top3": rules.top3, "unspecified": rules.unspecified}


def _score(card: Card, context: StageContext, logits_NC: NDArray[np.float32], file: Path) -> dict[str, Any]:
    """The metrics of every profile; the predictions that they come from are kept in the file."""
    labels_NC, rules = context.store.test.labels_NC, card.evaluation
    facts = {"dataset": card.name, "label_names": card.labels, "ids": _ids(context)}
    kept = predictions.Predictions(logits_NC, labels_NC, facts)
    predictions.write_predictions(file, kept)
    scores = {}
    for profile in profiles.PROFILES:
        found = metrics.evaluate(
            logits_NC, labels_NC, profile=profile, top3=rules.top3, unspecified=rules.unspecified
        )
        scores[profile] = _numbers({**found, "AP": dict(zip(card.labels, found["AP"].tolist(), strict=True))})
    return scores


def _numbers(found: dict[str, Any]) -> dict[str, Any]:
    """The metrics without those that the profile does not define; a class without positives has AP None."""
    known = {}
    for name, value in found.items():
        if name == "AP":
            known[name] = {label: None if math.isnan(ap) else ap for label, ap in value.items()}
        elif isinstance(value, dict):
            known |= {name: numbers} if (numbers := _numbers(value)) else {}
        elif not math.isnan(value):
            known[name] = value
    return known


def _body(card: Card, context: StageContext, config: Any) -> dict[str, Any]:
    """What a record says of the data and the recipe."""
    store, manifest = context.store, context.store.manifest
    found = {"train": len(store.train), "test": len(store.test)}
    expected = {split: facts["images"] for split, facts in manifest.get("expected", {}).items()}
    return {
        "protocol": _protocol(card),
        "images": {"train": len(store.fitted), "held_out": len(store.held_out), "test": len(store.test)},
        "recipe": _recipe(config),
        "data": {
            "card": manifest["made_from"]["card"],
            "fingerprint": manifest["fingerprint"],
            "partial": manifest["partial"],
            **({"expected": expected} if expected not in ({}, found) else {}),
        },
    }


def _circumstances(context: StageContext, done: list[dict[str, Any]], test: float) -> dict[str, Any]:
    """What may differ between two runs of one command."""
    hardware = device.hardware(context.device, context.processes.size)
    return {
        "timing": {"seconds": {**{stage["name"]: stage["seconds"] for stage in done}, "test": test}},
        "provenance": provenance(hardware, threads=torch.get_num_threads()),
    }


def _learned(model: nn.Module, done: list[dict[str, Any]]) -> dict[str, Any]:
    """What a record says of the model and its stages."""
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "epochs": sum(len(stage["epochs"]) for stage in done),
        "stages": [
            {name: stage[name] for name in stage if name not in ("seconds", "reused")} for stage in done
        ],
    }


def _recipe(config: Any) -> dict[str, Any]:
    """The recipe as the record keeps it: a file by its name only, as its content is in the stages' keys."""
    return {name: value.name if isinstance(value, File) else value for name, value in vars(config).items()}


def _variant(wanted: Run, module: method.Method, context: StageContext) -> str:
    """The changed fields that matter, as `epochs=8,lr=0.01`: those without which the keys would be others."""
    changes, card = wanted.changes, wanted.card.name
    recipe = {name: _named(value) for name, value in vars(method.recipe(module, card, changes)).items()}

    def keys(without: str = "") -> list[str]:
        config = method.recipe(module, card, {name: changes[name] for name in changes if name != without})
        return stage_cache.stage_keys(module, config, context, wanted.seed)

    mine = keys()
    matters = [name for name in changes if keys(without=name) != mine]
    return ",".join(f"{name}={recipe[name]}" for name in sorted(matters))


def _named(value: Any) -> Any:
    """A file by its name and the beginning of its digest: two of one name are two variants."""
    return f"{value.name}~{value.digest[:8]}" if isinstance(value, File) and value else value
