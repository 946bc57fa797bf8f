"""A method's stages, each trained once: its result is stored under a key of all that determines it."""

import dataclasses
import hashlib
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

from bench import checkpoint, device, locks, position, progress, sources, stages
from bench.batches import Pixels
from bench.distribute import ALONE, Crew
from bench.log import Log
from bench.method import File, Method
from bench.stages import Stage
from bench.store import Store
from bench.train import Course, train


@dataclass(frozen=True)
class Workshop:
    """Where stages are learned: data, device, and the folder that keeps their results.

    fresh: nothing that lies there is taken; `made` are the keys of what this process made itself.
    """

    store: Store
    device: torch.device
    folder: Path
    fresh: bool = False
    crew: Crew = ALONE
    compiled: bool = False
    made: set[str] = field(default_factory=set)


def keys(method: Method, config: Any, workshop: Workshop, seed: int) -> list[str]:
    """A key for each stage: data, trunk and weights, precision, code, seed, and the recipe up to that
    stage.
    """
    key = digest(
        workshop.store.fingerprint,
        {"trunk": config.trunk, "weights": config.trunk_weights, "scratch": config.from_scratch},
        [workshop.device.type, str(device.precision(workshop.device))],
        sources.digest(*sources.LEARNING),
        seed,
    )
    if workshop.compiled:
        key = digest(key, "compiled")
    found = []
    for stage in method.stages(config):
        facts = {name: value for name, value in vars(stage).items() if name not in ("logits", "loss")}
        functions = [f"{call.__module__}.{call.__qualname__}" for call in (stage.logits, stage.loss)]
        key = digest(key, facts, functions, sources.digest(stage.owner))
        if stage.batch_norm == "local" and workshop.crew.size > 1:
            key = digest(key, workshop.crew.size)  # statistics of a share are others than those of the batch
        found.append(key)
    return found


def learn(
    model: nn.Module,
    plan: list[tuple[Stage, str]],
    workshop: Workshop,
    *,
    seed: int,
    title: str,
    log: Log | None = None,
) -> Iterator[dict[str, Any]]:
    """Bring the model through its stages; yields the facts of each: name, key, epochs, seconds, whether
    reused.

    Of several processes that want the same stage one learns it, the others wait and take its result.
    """
    crew = workshop.crew
    for stage, key in plan:
        course = Course(
            stage=stage,
            store=workshop.store,
            seed=seed,
            pixels=pixels(model, workshop),
            file=workshop.folder / f"{key}.unfinished.safetensors",
            title=f"{title} {stage.name}",
            crew=crew,
            compiled=workshop.compiled,
            note=_noted(log, stage, key),
        )
        finished = workshop.folder / f"{key}.safetensors"
        with _only_one(finished, course):
            reused = crew.lead(finished.exists() and (not workshop.fresh or key in workshop.made))
            if reused:
                facts = _take(model, course, finished)
            else:
                facts = _make(model, course, finished, fresh=workshop.fresh)
                workshop.made.add(key)
        if log and reused:
            log.recall(stage.name, key, facts["epochs"])
        yield {**facts, "reused": reused}


def _only_one(finished: Path, course: Course) -> AbstractContextManager[None]:
    """Of all that want the stage, this process or crew alone."""
    wait = partial(progress.say, f"{course.title}: another process is learning this stage; waiting for it")
    lock = finished.with_name(f".{finished.stem}.lock")
    return locks.held(lock, waiting=wait) if course.crew.leads else nullcontext()


def _noted(log: Log | None, stage: Stage, key: str) -> Callable[[dict[str, Any]], None]:
    """What takes an epoch's row into the log, if there is one."""
    return lambda row: log.write({"stage": stage.name, "key": key[:12], **row}) if log else None


def _take(model: nn.Module, course: Course, finished: Path) -> dict[str, Any]:
    """Give the model what the stage's result holds; returns the stage's facts."""
    tensors, facts = checkpoint.load(finished)
    state = dict(stages.learned(model, course.stage))
    for name, tensor in tensors.items():
        state[name].copy_(tensor)
    if course.crew.leads:
        progress.say(f"{course.title}: taken as it was trained before, {len(facts['epochs'])} epochs")
    return facts


def _make(model: nn.Module, course: Course, finished: Path, *, fresh: bool) -> dict[str, Any]:
    """Train the stage and store its result; returns the stage's facts."""
    if course.crew.leads:
        _clear(finished, course.file if fresh else None)
    course.crew.lead(None)  # the others look for a checkpoint when the first is done with its own
    began = time.monotonic()
    epochs = train(model, course)
    seconds = time.monotonic() - began
    facts = {"name": course.stage.name, "key": finished.stem, "epochs": epochs, "seconds": seconds}
    ends = {"last": epochs[-1]["epoch"], "best": position.best(epochs)}
    facts["held_out"] = {**ends, "selected": ends[course.stage.select]}
    if course.crew.leads:
        checkpoint.save(finished, dict(stages.learned(model, course.stage)), facts)
        course.file.unlink(missing_ok=True)
    return facts


def _clear(finished: Path, unfinished: Path | None) -> None:
    """Sweep up what a process that was killed while saving has left, and a checkpoint that is not wanted."""
    for torn in finished.parent.glob(f".{finished.stem}.*.safetensors.*"):
        torn.unlink()
    if unfinished:
        unfinished.unlink(missing_ok=True)


def pixels(model: nn.Module, workshop: Workshop) -> Pixels:
    """How images become the model's input: as its trunk was pretrained."""
    return Pixels(model.trunk.mean, model.trunk.std, workshop.device)  # type: ignore[arg-type]


def digest(*parts: object) -> str:
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
