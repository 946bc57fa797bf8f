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
from bench.data import cards
from bench.data.cards import Card
from bench.results import record
from bench.scoring import metrics, predictions, profiles
from bench.training import device, inference, method, stage_cache, submission
from bench.training.log import Log
from bench.training.method import File
from bench.training.stage_cache import Workshop


@dataclass(frozen=True)
class Run:
    """One method with one recipe and one seed on one data set."""

    card: Card
    name: str
    changes: dict[str, str]
    seed: int

    @property
    def title(self) -> str:
        return f"{method_names.title(self.name)} seed {self.seed}"

    @cached_property
    def data(self) -> Card:
        """The card with images of the size that the recipe asks for; InputError for a wrong recipe field."""
        return cards.at(
            self.card, method.recipe(method.load(self.name), self.card.name, self.changes).input_size
        )


def reproduce(wanted: Run, workshop: Workshop, folder: Path, *, tensorboard: bool = False) -> str:
    """Train, predict, score and record one run in the folder; returns what was done, in a line.

    Where the data set's owner keeps the test labels, result files for the evaluation server take the place of
    scores and record.
    """
    module, card, crew = method.load(wanted.name), wanted.card, workshop.crew
    config = method.recipe(module, card.name, wanted.changes)
    keys = stage_cache.keys(module, config, workshop, wanted.seed)
    head = _head(wanted, module, workshop)
    code = code_digest.digest(*code_digest.SCORING, module.Model.__module__)
    key = stage_cache.digest(keys[-1], code, _protocol(card))
    path = folder / record.file_name(head)
    known = record.read(path) if crew.leads and path.exists() and not workshop.fresh else {"key": None}
    if (known := crew.lead(known))["key"] == key:
        return f"{wanted.title}: unchanged, nothing to train; {_headline(known, path)}"
    model = method.build(module, config, method.labels_of(workshop.store), wanted.seed)
    model.to(workshop.device).to(memory_format=torch.channels_last)
    plan = list(zip(module.stages(config), keys, strict=True))
    board = folder / "tensorboard" / path.stem if tensorboard else None
    log = Log(path.with_suffix(".jsonl"), tensorboard=board) if crew.leads else None
    done = list(stage_cache.learn(model, plan, workshop, seed=wanted.seed, title=wanted.title, log=log))
    began = time.monotonic()
    logits_NC = inference.predict(model, workshop.store.test, stage_cache.pixels(model, workshop), crew=crew)
    if not crew.leads:
        return ""
    if card.evaluation.result_files:
        files = submission.write(folder / "results" / path.stem, card, _ids(workshop), logits_NC)
        where = record.shown(files[0].parent)
        return f"{wanted.title}: {len(files)} files for the evaluation server in {where}"
    scores = _score(card, workshop, logits_NC, folder / "predictions" / path.name)
    made = {**head, **_body(card, workshop, config), **_learned(model, done), "metrics": scores, "key": key}
    record.write({**made, **_circumstances(workshop, done, time.monotonic() - began)}, folder)
    return f"{wanted.title}: recorded, {_headline(made, path)}"


def _head(wanted: Run, module: method.Method, workshop: Workshop) -> dict[str, Any]:
    """What names a record and its file."""
    return {
        "schema": record.SCHEMA,
        "dataset": wanted.card.name,
        "method": wanted.name,
        "variant": _variant(wanted, module, workshop),
        "seed": wanted.seed,
    }


def _headline(made: dict[str, Any], path: Path) -> str:
    scores = made["metrics"][made["protocol"]["profile"]]
    return f"mAP {scores['mAP']:.2f} in {record.shown(path)}"


def _ids(workshop: Workshop) -> list[str]:
    return [str(name) for name in workshop.store.test.column("id")]


def _protocol(card: Card) -> dict[str, str | None]:
    rules = card.evaluation
    return {"profile": rules.profile, "top3": rules.top3, "unspecified": rules.unspecified}


def _score(card: Card, workshop: Workshop, logits_NC: NDArray[np.float32], file: Path) -> dict[str, Any]:
    """The metrics of every profile; the predictions that they come from are kept in the file."""
    labels_NC, rules = workshop.store.test.labels_NC, card.evaluation
    facts = {"dataset": card.name, "label_names": card.labels, "ids": _ids(workshop)}
    kept = predictions.Predictions(logits_NC, labels_NC, facts)
    predictions.write(file.with_suffix(".safetensors"), kept)
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


def _body(card: Card, workshop: Workshop, config: Any) -> dict[str, Any]:
    """What a record says of the data and the recipe."""
    store, manifest = workshop.store, workshop.store.manifest
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


def _circumstances(workshop: Workshop, done: list[dict[str, Any]], test: float) -> dict[str, Any]:
    """What may differ between two runs of one command."""
    hardware = device.hardware(workshop.device, workshop.crew.size)
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


def _variant(wanted: Run, module: method.Method, workshop: Workshop) -> str:
    """The changed fields that matter, as `epochs=8,lr=0.01`: those without which the keys would be others."""
    changes, card = wanted.changes, wanted.card.name
    recipe = {name: _named(value) for name, value in vars(method.recipe(module, card, changes)).items()}

    def keys(without: str = "") -> list[str]:
        config = method.recipe(module, card, {name: changes[name] for name in changes if name != without})
        return stage_cache.keys(module, config, workshop, wanted.seed)

    mine = keys()
    matters = [name for name in changes if keys(without=name) != mine]
    return ",".join(f"{name}={recipe[name]}" for name in sorted(matters))


def _named(value: Any) -> Any:
    """A file by its name and the beginning of its digest: two of one name are two variants."""
    return f"{value.name}~{value.digest[:8]}" if isinstance(value, File) and value else value
