"""Trains a method with one recipe and seed on a data set, predicts its test images, and writes the record."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench.base import code_digest, method_names, progress
from bench.base.errors import InputError
from bench.base.provenance import provenance
from bench.base.run_folder import RunFolder
from bench.data import card_options
from bench.data.cards import Card
from bench.data.store import IDENTITY
from bench.results import record
from bench.scoring import doubts, label_checks, metrics, predictions, profiles
from bench.training import device, few_images, held_out_thresholds, inference, method, stage_cache, submission
from bench.training.best_on_test import facts_of_best, said_of_best
from bench.training.content_digest import content_digest
from bench.training.log import Log
from bench.training.method import File
from bench.training.stage_cache import NOT_RECORDED, StageContext
from bench.training.tracking import TrackedRun


@dataclass(frozen=True)
class Run:
    """One method with one recipe and one seed on one data set; changes: recipe field -> value as text."""

    card: Card
    name: str
    changes: dict[str, str]
    seed: int

    @property
    def title(self) -> str:
        return f"{method_names.display_name(self.name)} seed {self.seed}"

    @cached_property
    def recipe(self) -> Any:
        """The method's recipe for the card; InputError for a wrong field."""
        return method.recipe(method.load_method(self.name), self.card.name, self.changes)

    @cached_property
    def data(self) -> Card:
        """The card with images of the size that the recipe needs; InputError for a wrong recipe field."""
        recipe = self.recipe
        return card_options.at(self.card, recipe.input_size, crops=bool(recipe.crops or recipe.scale))

    def record_name(self, context: StageContext) -> str:
        """The name of the run's record without `.json`, and of its other files."""
        identity = _identity(self, method.load_method(self.name), context)
        return Path(record.file_name(identity)).stem


def reproduce_all(
    runs: Iterable[Run], contexts: dict[str, StageContext], folder: RunFolder, *, track: Sequence[str] = ()
) -> Iterator[str]:
    """Reproduce one run after the other; yields a line for each, on the first process only.

    contexts: by the name of `Run.data`. track: names of trackers, of `bench.training.tracking`.
    """
    for run in runs:
        context = contexts[run.data.name]
        line = reproduce(run, context, folder, track=track)
        if context.processes.is_main:
            yield line


def reproduce(run: Run, context: StageContext, folder: RunFolder, *, track: Sequence[str] = ()) -> str:
    """Train, predict, score and record one run in the folder; returns a line that says what was done.

    Nothing is done if the folder has a record of the same key. If the data set's owner keeps the test labels,
    files for the evaluation server are written instead of scores and a record.
    """
    module, card, processes = method.load_method(run.name), run.card, context.processes
    config = _fitting_recipe(run, module, context)
    keys = stage_cache.stage_keys(module, config, context, run.seed)
    identity, context = _identity(run, module, context), context.of(config)
    code = code_digest.digest("bench.training.inference", "bench.scoring.thresholds", module.Model.__module__)
    key = content_digest(keys[-1], code, _protocol(card))
    path = folder.record(name := Path(record.file_name(identity)).stem)
    recorded = processes.broadcast(_recorded(path, context))
    if recorded["key"] == key and not record.is_edited(recorded):
        return f"{run.title}: unchanged, nothing to train; {_headline(recorded, path, context)}"
    _check_test_labels(card, context)
    model = method.build(module, config, method.labels_of(context.store), run.seed)
    model.to(context.device).to(memory_format=torch.channels_last)
    plan = list(zip(module.stages(config), keys, strict=True))
    _say_if_batches_are_smaller(run, module, config, quiet=not processes.is_main)
    tracked = TrackedRun(card.name, name, identity | _recipe(config), key, folder, context.fresh)
    with Log.of(tracked, track) if processes.is_main else nullcontext() as log:
        stages = list(stage_cache.run_stages(model, plan, context, seed=run.seed, title=run.title, log=log))
    fitted = held_out_thresholds.fit(model, card, context, folder.held_out(name))
    began, pixels = time.monotonic(), stage_cache.input_transform(model, context)
    predict = partial(inference.predict, processes=processes, captured=context.captured)
    logits_NC = predict(model, context.store.test, pixels)
    if not processes.is_main:
        return ""
    if card.evaluation.result_files:
        files = submission.write(folder.result_files(name), card, _image_ids(context), logits_NC)
        return f"{run.title}: {len(files)} files for the evaluation server in {record.shown(files[0].parent)}"
    scores = _score(card, context, logits_NC, folder.predictions(name))
    result = {**identity, **_data_and_recipe(card, context, config), **_model_and_stages(model, stages)}
    fitted |= facts_of_best(stages[-1], scores[card.evaluation.profile]["mAP"], watched=context.watched)
    result |= {"metrics": scores, "key": key, **_timing(context, stages, time.monotonic() - began)} | fitted
    record.write_record(result, folder.path)
    return f"{run.title}: recorded, {_headline(result, path, context)}"


def _recorded(path: Path, context: StageContext) -> dict[str, Any]:
    is_there = context.processes.is_main and path.exists() and not context.fresh
    return record.read_record(path) if is_there else {"key": None}


def _check_test_labels(card: Card, context: StageContext) -> None:
    """InputError, before anything is trained, if any prediction of the test labels scores alike."""
    if not card.evaluation.result_files:
        labels_NC, unspecified = context.store.test.labels_NC, card.evaluation.unspecified
        label_checks.check_label_classes(labels_NC, unspecified, where=f"test set of {card.name}")


def _fitting_recipe(run: Run, module: method.Method, context: StageContext, *, without: str = "") -> Any:
    """The recipe with batches that the training images fill; without: a changed field to leave unchanged."""
    changes = {name: value for name, value in run.changes.items() if name != without}
    config = method.recipe(module, run.card.name, changes)
    return few_images.fitting_recipe(config, changes, context.of(config).store)


def _say_if_batches_are_smaller(run: Run, module: method.Method, config: Any, *, quiet: bool) -> None:
    usual, size = method.recipe(module, run.card.name, run.changes).batch_size, config.batch_size
    if usual != size and not quiet:
        progress.say(
            f"{run.title}: {size} images to train on do not fill a batch of {usual}: a batch is all {size} of"
            " them (batch_size in the record)"
        )


def _identity(run: Run, module: method.Method, context: StageContext) -> dict[str, Any]:
    """The fields of a record that name it, and of which its file name is made."""
    return {
        "schema": record.SCHEMA,
        "dataset": run.card.name,
        "method": run.name,
        "variant": _variant(run, module, context),
        "seed": run.seed,
    }


def _headline(recorded: dict[str, Any], path: Path, context: StageContext) -> str:
    scores = recorded["metrics"][recorded["protocol"]["profile"]]
    return f"mAP {scores['mAP']:.2f} in {record.shown(path)}{said_of_best(recorded, context.watched)}"


def _image_ids(context: StageContext) -> list[str]:
    return [str(image) for image in context.store.test.column("id")]


def _protocol(card: Card) -> dict[str, str | None]:
    rules = card.evaluation
    return {"profile": rules.profile, "top3": rules.top3, "unspecified": rules.unspecified}


def _score(card: Card, context: StageContext, logits_NC: NDArray[np.float32], file: Path) -> dict[str, Any]:
    """Write the predictions to the file; returns their metrics under every profile."""
    labels_NC, rules = context.store.test.labels_NC, card.evaluation
    data = {name: context.store.manifest[name] for name in IDENTITY}
    facts = {"dataset": card.name, "label_names": card.labels, "ids": _image_ids(context), "data": data}
    predictions.write_predictions(file, predictions.Predictions(logits_NC, labels_NC, facts))
    scores = {}
    for profile in profiles.PROFILES:
        values = metrics.evaluate(
            logits_NC, labels_NC, profile=profile, top3=rules.top3, unspecified=rules.unspecified
        )
        ap_by_label = dict(zip(card.labels, values["AP"].tolist(), strict=True))
        scores[profile] = metrics.defined({**values, "AP": ap_by_label})
        scores[profile] |= doubts.counts(logits_NC, labels_NC, profiles.get_profile(profile), rules)
    return scores


def _data_and_recipe(card: Card, context: StageContext, config: Any) -> dict[str, Any]:
    """The fields of a record about the data and the recipe."""
    store, manifest = context.store, context.store.manifest
    images = {"train": len(store.train), "test": len(store.test)}
    expected = {split: facts["images"] for split, facts in manifest.get("expected", {}).items()}
    return {
        "protocol": _protocol(card),
        "images": {"train": len(store.fitted), "held_out": len(store.held_out), "test": len(store.test)},
        "recipe": _recipe(config),
        "execution": context.recorded_execution,
        "data": {
            "card": manifest["made_from"]["card"],
            **{name: manifest[name] for name in (*IDENTITY, "exif", "resample")},
            **({} if card.storage == "pixels" else {"storage": card.storage}),
            "partial": manifest["partial"],
            **({"expected": expected} if expected not in ({}, images) else {}),
        },
    }


def _timing(context: StageContext, stages: list[dict[str, Any]], test_seconds: float) -> dict[str, Any]:
    """The fields of a record that may differ between two runs of one command."""
    seconds = {stage["name"]: stage["seconds"] for stage in stages} | {"test": test_seconds}
    hardware = device.hardware(context.device, context.processes.size)
    return {
        "timing": {"seconds": seconds},
        "provenance": provenance(hardware, threads=torch.get_num_threads()),
    }


def _model_and_stages(model: nn.Module, stages: list[dict[str, Any]]) -> dict[str, Any]:
    """The fields of a record about the model and its stages."""
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "epochs": sum(len(stage["epochs"]) for stage in stages),
        "stages": [{name: stage[name] for name in stage if name not in NOT_RECORDED} for stage in stages],
    }


def _recipe(config: Any) -> dict[str, Any]:
    """The recipe for the record; of a file only the name, as its content is part of the stages' keys."""
    return {name: value.name if isinstance(value, File) else value for name, value in vars(config).items()}


def _variant(run: Run, module: method.Method, context: StageContext) -> str:
    """The changed fields on which the stages' keys depend, as `epochs=8,lr=0.01`."""

    def keys(without: str = "") -> list[str]:
        try:
            config = _fitting_recipe(run, module, context, without=without)
        except InputError:  # a recipe that is refused without the field depends on it
            return []
        return stage_cache.stage_keys(module, config, context, run.seed)

    all_keys, recipe = keys(), _fitting_recipe(run, module, context)
    different = [name for name in run.changes if keys(without=name) != all_keys]
    return ",".join(f"{name}={_with_digest(getattr(recipe, name))}" for name in sorted(different))


def _with_digest(value: Any) -> Any:
    """For a file its name and the start of its digest, as two files may share a name; else the value."""
    return f"{value.name}~{value.digest[:8]}" if isinstance(value, File) and value else value
