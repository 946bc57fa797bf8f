"""A method's stages, each learned once: its result is stored under a key of all that determines it."""

import dataclasses
import hashlib
import importlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench.base import code_digest, locks, progress
from bench.data.store import Store
from bench.training import device, stages, tensor_file
from bench.training.batches import InputTransform
from bench.training.distributed import SINGLE_PROCESS, Processes
from bench.training.learners import CollectionLearner, Learner, TrainingLearner
from bench.training.log import Log
from bench.training.loop import StageRun
from bench.training.method import File, Method
from bench.training.stages import Collection, Stage

# What a model gives to prediction and report: no stage of a model that it extends depends on it.
OWN = ("forward", "influence", "explain", "logits")


@dataclass(frozen=True)
class StageContext:
    """Where stages are learned: data, device, and the folder that keeps their results.

    fresh: nothing that lies there is taken; `made` are the keys of what this process made itself.
    """

    store: Store
    device: torch.device
    folder: Path
    fresh: bool = False
    processes: Processes = SINGLE_PROCESS
    compiled: bool = False
    made: set[str] = field(default_factory=set)


def stage_keys(method: Method, config: Any, context: StageContext, seed: int) -> list[str]:
    """A key for each stage: data, trunk and weights, precision, code, seed, and the recipe up to that
    stage.
    """
    key = content_digest(
        context.store.fingerprint,
        context.store.manifest["labels"],
        {"trunk": config.trunk, "weights": config.trunk_weights, "scratch": config.from_scratch},
        [context.device.type, str(device.precision(context.device))],
        code_digest.digest(__name__),
        seed,
    )
    if context.compiled:
        key = content_digest(key, "compiled")
    found = []
    for stage in method.stages(config):
        facts = {name: value for name, value in vars(stage).items() if not callable(value)}
        calls = [value for value in vars(stage).values() if callable(value)]
        functions = [f"{call.__module__}.{call.__qualname__}" for call in calls]
        key = content_digest(
            key, facts, functions, code_digest.digest(stage.owner), _own_parts(method, stage.owner)
        )
        if stage.batch_norm == "local" and context.processes.size > 1:
            key = content_digest(
                key, context.processes.size
            )  # statistics of a share are others than those of the batch
        found.append(key)
    return found


def _own_parts(method: Method, owner: str) -> str:
    """The code of a model that is not the stage's owner's, where it replaces what the owner's stage may use.

    Empty where it only adds to it: then the stage is shared. What `__init__` makes counts as added: a model
    that puts other modules in the place of its owner's has to own its stages.
    """
    theirs = getattr(importlib.import_module(owner), "Model", None)
    if method.Model is theirs:
        return ""
    kinds = method.Model.__mro__
    if theirs in kinds:
        own = kinds[: kinds.index(theirs)]
        names = {name for kind in own for name in vars(kind) if hasattr(theirs, name)}
        if all(name in OWN or name.startswith("__") for name in names):
            return ""
    return code_digest.digest(method.Model.__module__)


def run_stages(
    model: nn.Module,
    plan: list[tuple[Stage | Collection, str]],
    context: StageContext,
    *,
    seed: int,
    title: str,
    log: Log | None = None,
) -> Iterator[dict[str, Any]]:
    """Bring the model through its stages; yields the facts of each: name, key, epochs, what else
    its kind states, seconds, whether reused.

    Of several processes that want the same stage one learns it, the others wait and take its result.
    """
    processes = context.processes
    for stage, _ in plan:
        stages.check(model, stage)  # before hours are spent on those before it
    for stage, key in plan:
        finished, what = context.folder / f"{key}.safetensors", f"{title} {stage.name}"
        note = _noted(log, stage, key)
        learner = _learner(model, stage, context, finished, seed=seed, title=what, note=note)
        with _only_one(finished, what, processes):
            reused = processes.broadcast(finished.exists() and (not context.fresh or key in context.made))
            if reused:
                facts = _take(learner, finished, what, processes)
            else:
                facts = _make(learner, finished, stage.name, context)
                context.made.add(key)
        if log and reused:
            log.recall(stage.name, key, facts["epochs"])
        yield {**facts, "reused": reused}


def _learner(
    model: nn.Module,
    stage: Stage | Collection,
    context: StageContext,
    finished: Path,
    *,
    seed: int,
    title: str,
    note: Callable[[dict[str, Any]], None],
) -> Learner:
    """What learns the stage, by its kind."""
    how: dict[str, Any] = {
        "stage": stage,
        "store": context.store,
        "pixels": input_transform(model, context),
        "title": title,
        "processes": context.processes,
    }
    if isinstance(stage, Collection):
        return CollectionLearner(model, **how)
    file = _unfinished(finished)
    return TrainingLearner(model, StageRun(**how, seed=seed, file=file, compiled=context.compiled, note=note))


def _unfinished(finished: Path) -> Path:
    """Where the checkpoint of a stage lies until it has ended."""
    return finished.with_suffix(".unfinished.safetensors")


def _only_one(finished: Path, title: str, processes: Processes) -> AbstractContextManager[None]:
    """Of all that want the stage, this process or processes alone."""
    wait = partial(progress.say, f"{title}: another process is learning this stage; waiting for it")
    lock = finished.with_name(f".{finished.stem}.lock")
    return locks.held(lock, waiting=wait) if processes.is_main else nullcontext()


def _noted(log: Log | None, stage: Stage | Collection, key: str) -> Callable[[dict[str, Any]], None]:
    """What takes an epoch's row into the log, if there is one."""
    return lambda row: log.write({"stage": stage.name, "key": key[:12], **row}) if log else None


def _take(learner: Learner, finished: Path, title: str, processes: Processes) -> dict[str, Any]:
    """Give the model what the stage's result holds; returns the stage's facts."""
    tensors, facts = tensor_file.load(finished)
    learner.take(tensors)
    if processes.is_main:
        trained = f", {len(facts['epochs'])} epochs" if facts["epochs"] else ""
        progress.say(f"{title}: taken as it was learned before{trained}")
    return facts


def _make(learner: Learner, finished: Path, name: str, context: StageContext) -> dict[str, Any]:
    """Learn the stage and store its result; returns the stage's facts."""
    processes = context.processes
    if processes.is_main:
        _clear(finished, _unfinished(finished) if context.fresh else None)
    processes.broadcast(None)  # the others look for a checkpoint when the first is done with its own
    began = time.monotonic()
    learned = learner.learn()
    facts = {"name": name, "key": finished.stem, **learned, "seconds": time.monotonic() - began}
    if processes.is_main:
        tensor_file.save(finished, learner.result(), facts)
        _unfinished(finished).unlink(missing_ok=True)
    return facts


def _clear(finished: Path, unfinished: Path | None) -> None:
    """Sweep up what a process that was killed while saving has left, and a checkpoint that is not wanted."""
    for torn in finished.parent.glob(f".{finished.stem}.*safetensors.*"):
        torn.unlink()
    if unfinished:
        unfinished.unlink(missing_ok=True)


def input_transform(model: nn.Module, context: StageContext) -> InputTransform:
    """How images become the model's input: as its trunk was pretrained."""
    return InputTransform(model.trunk.mean, model.trunk.std, context.device)  # type: ignore[arg-type]


def content_digest(*parts: object) -> str:
    """SHA-256 of anything made of JSON's kinds, dataclasses and files, of which the content counts."""
    text = json.dumps(parts, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, File):
        return value.digest
    return (
        dataclasses.asdict(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type)
        else str(value)
    )
