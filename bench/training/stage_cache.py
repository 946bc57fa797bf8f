"""Runs a method's stages; stores each result under a key of all that determines it, and reuses it."""

import dataclasses
import importlib
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench.base import code_digest, progress
from bench.base.locks import Lease, held
from bench.base.protocol import Evaluation
from bench.data import cards, known_labels
from bench.data.store import Store
from bench.training import device, stages, tensor_file
from bench.training.batches import InputTransform
from bench.training.content_digest import content_digest
from bench.training.distributed import SINGLE_PROCESS, Processes
from bench.training.learners import CollectionLearner, Learner, TrainingLearner
from bench.training.log import Log, RowWriter
from bench.training.loop import StageRun
from bench.training.method import Method
from bench.training.stages import Collection, Stage

NOT_RECORDED = ("seconds", "reused", "watched")  # facts of a stage that a record has elsewhere, or not
# Methods of a model that only prediction and report call: a subclass may replace them and still share stages.
NOT_CALLED_IN_TRAINING = ("forward", "influence", "explain", "logits")


@dataclass(frozen=True)
class StageContext:
    """What the stages of all runs on one data set share: data, device, and the folder of their results.

    fresh: results in the folder are ignored, except those that this process stored itself: their keys are in
    `learned_here`. precision: of matrix products; None: the device's usual. fused_norms: see `fused_blocks`.
    captured: see `captured_step`. watched: how the test set is scored after each epoch of the last stage, see
    `best_on_test`; None: it is not. It is no part of a key, as it changes no result.
    """

    store: Store
    device: torch.device
    folder: Path
    fresh: bool = False
    processes: Processes = SINGLE_PROCESS
    compiled: bool = False
    precision: torch.dtype | None = None
    fused_norms: bool = False
    captured: bool = True
    watched: Evaluation | None = None
    learned_here: set[str] = field(default_factory=set)

    def of(self, config: Any) -> "StageContext":
        """The context for a recipe: its store holds no images out if the recipe trains on all.

        Labels that are not known are marked if the recipe ignores them; InputError where all are known.
        """
        store = self.store if config.held_out else self.store.all_in_training
        if config.unspecified == "ignored":
            known_labels.require_unknown(cards.load_card(store.manifest["dataset"]))
            store = store.ignoring_unknown
        return dataclasses.replace(self, store=store)

    @property
    def execution(self) -> dict[str, Any]:
        """What a result's last bits depend on besides data, recipe and code."""
        return device.execution(self.device, self.precision, fused_norms=self.fused_norms)

    @property
    def recorded_execution(self) -> dict[str, Any]:
        """The same for a record, with what changes no bit: whether steps are captured in a CUDA graph."""
        return self.execution | ({"captured": self.captured} if self.device.type == "cuda" else {})


def stage_keys(method: Method, config: Any, context: StageContext, seed: int) -> list[str]:
    """A key for each stage: a digest of data, trunk, precision, code, seed, and the stages up to this one."""
    key = content_digest(
        context.store.fingerprint,
        context.store.manifest["labels"],
        {"trunk": config.trunk, "weights": config.trunk_weights, "scratch": config.from_scratch},
        context.execution,
        code_digest.digest(__name__),
        seed,
    )
    if context.compiled:
        key = content_digest(key, "compiled")
    if not config.held_out:
        key = content_digest(key, "all training images")
    if config.unspecified == "ignored":
        key = content_digest(key, "unknown labels are ignored")
    keys = []
    for stage in method.stages(config):
        facts = {name: value for name, value in vars(stage).items() if not callable(value)}
        callables = [value for value in vars(stage).values() if callable(value)]
        functions = [f"{function.__module__}.{function.__qualname__}" for function in callables]
        owner_code = code_digest.digest(stage.owner)
        key = content_digest(key, facts, functions, owner_code, _code_that_overrides(method, stage.owner))
        if stage.batch_norm == "local" and context.processes.size > 1:
            # Batch norm then has the statistics of each process's share, which depend on their number.
            key = content_digest(key, context.processes.size)
        keys.append(key)
    return keys


def _code_that_overrides(method: Method, owner: str) -> str:
    """The digest of the model's code if it replaces something that the stage of another method may call.

    Empty if the model only adds to the owner's model: then both share the stage. What `__init__` creates
    counts as added, so a model that replaces modules of the owner's model has to own its stages.
    """
    owner_model = getattr(importlib.import_module(owner), "Model", None)
    if method.Model is owner_model:
        return ""
    classes = method.Model.__mro__
    if owner_model in classes:
        subclasses = classes[: classes.index(owner_model)]
        overridden = {name for kind in subclasses for name in vars(kind) if hasattr(owner_model, name)}
        if all(name in NOT_CALLED_IN_TRAINING or name.startswith("__") for name in overridden):
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
    """Run each (stage, key) of the plan on the model: load its result if it is stored, else learn it.

    Yields the facts of each stage: name, key, epochs, those of its kind of stage, seconds, whether reused.
    If several processes need the same stage, one learns it; the others wait and load its result.
    """
    processes = context.processes
    for stage, _ in plan:
        stages.check(model, stage)  # all of them first: a mistake in the last should not show up after hours
    device.search_kernels(model, context.device)
    if context.fused_norms:
        from bench.training import fused_blocks  # noqa: PLC0415 (needs Triton, which not every torch brings)

        fused_blocks.fuse_for([stage.batch_norm for stage, _ in plan], model, processes=processes.size)
    for stage, key in plan:
        finished, stage_title = context.folder / f"{key}.safetensors", f"{title} {stage.name}"
        own = context if stage is plan[-1][0] else dataclasses.replace(context, watched=None)
        with _stage_lock(finished, stage_title, processes) as lease:
            note = RowWriter(log, stage.name, key, lease)
            learner = _learner(model, stage, own, finished, seed=seed, title=stage_title, note=note)
            is_usable = not context.fresh or key in context.learned_here
            reused = processes.broadcast(finished.exists() and is_usable)
            if reused:
                facts = _load_result(learner, finished, stage_title, processes)
            else:
                facts = _learn_and_store(learner, finished, stage.name, context, lease)
                context.learned_here.add(key)
        if log and reused:
            log.write_missing(stage.name, key, facts["epochs"])
        yield {**facts, "reused": reused}


def _learner(
    model: nn.Module,
    stage: Stage | Collection,
    context: StageContext,
    finished: Path,
    *,
    seed: int,
    title: str,
    note: RowWriter,
) -> Learner:
    """The learner for the stage's kind."""
    shared: dict[str, Any] = {
        "stage": stage,
        "store": context.store,
        "pixels": input_transform(model, context),
        "title": title,
        "processes": context.processes,
        "captured": context.captured,
    }
    if isinstance(stage, Collection):
        return CollectionLearner(model, **shared)
    shared |= {"compiled": context.compiled, "watched": context.watched}
    return TrainingLearner(model, StageRun(**shared, seed=seed, file=_checkpoint(finished), note=note))


def _checkpoint(finished: Path) -> Path:
    """The file of a stage's checkpoint, which lies beside its result until the stage has ended."""
    return finished.with_suffix(".unfinished.safetensors")


def _stage_lock(finished: Path, title: str, processes: Processes) -> AbstractContextManager[Lease | None]:
    """The lock on a stage, which one training holds at a time; under torchrun only its main process does."""
    wait = partial(progress.say, f"{title}: another process is learning this stage; waiting for it")
    lock = finished.with_name(f".{finished.stem}.lock")
    return held(lock, waiting=wait) if processes.is_main else nullcontext()


def _load_result(learner: Learner, finished: Path, title: str, processes: Processes) -> dict[str, Any]:
    """Give the model the stored result of the stage; returns the stage's facts."""
    tensors, facts = tensor_file.load(finished)
    learner.load(tensors)
    if processes.is_main:
        trained = f", {len(facts['epochs'])} epochs" if facts["epochs"] else ""
        progress.say(f"{title}: loaded, as it was learned before{trained}")
    return facts


def _learn_and_store(
    learner: Learner, finished: Path, name: str, context: StageContext, lease: Lease | None
) -> dict[str, Any]:
    """Learn the stage and store its result, if the lock is held; returns the stage's facts."""
    processes = context.processes
    if processes.is_main:
        _delete_temporary_files(finished)
        if context.fresh:
            _checkpoint(finished).unlink(missing_ok=True)
    # A barrier: no process may look for a checkpoint before the main process has deleted the old files.
    processes.broadcast(None)
    began = time.monotonic()
    learned = learner.learn()
    facts = {"name": name, "key": finished.stem, **learned, "seconds": time.monotonic() - began}
    if lease:  # on the main process
        lease.check()
        tensor_file.save(finished, learner.result(), facts)
        _checkpoint(finished).unlink(missing_ok=True)
    return facts


def _delete_temporary_files(finished: Path) -> None:
    """Delete the incomplete files of a process that was killed while it saved this stage."""
    for incomplete in finished.parent.glob(f".{finished.stem}.*safetensors.*"):
        incomplete.unlink()


def input_transform(model: nn.Module, context: StageContext) -> InputTransform:
    """The input transform of the model's trunk, with the mean and std of its pretraining."""
    mean, std = model.trunk.mean, model.trunk.std
    return InputTransform(mean, std, context.device, context.precision)  # type: ignore[arg-type]
