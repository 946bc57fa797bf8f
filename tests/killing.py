"""Processes that train and are killed: forked from one that imported everything, so they begin at once."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench.base import atomic_files
from bench.data.store import Store, open_store
from bench.training import loop, method, stage_checkpoint, tensor_file
from bench.training.batches import InputTransform
from bench.training.loop import StageRun
from tests.conftest import small_recipe

POINTS = ("before writing", "half written", "before it is on the disk", "before renaming", "after renaming")


def stage_run(store: Store, file: Path, **changes: Any) -> tuple[nn.Module, StageRun]:
    """ResNet-101's only stage on the small demo, three epochs of four batches, and a model to take it."""
    module, config = method.load_method("resnet101"), small_recipe("resnet101", epochs=3)
    model = method.build(module, config, method.labels_of(store), 0).to(memory_format=torch.channels_last)
    pixels = InputTransform(model.trunk.mean, model.trunk.std, torch.device("cpu"))  # type: ignore[union-attr, arg-type]
    stage = replace(module.stages(config)[0], **changes)
    return model, StageRun(stage, store, 0, pixels, file, "test")


def content(file: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """A checkpoint's bytes by tensor, and its facts; the file itself orders its header at random."""
    tensors, facts = tensor_file.load(file)
    return {name: tensor.reshape(-1).numpy().tobytes() for name, tensor in tensors.items()}, facts


def start(store: Store, file: Path, *, dies: tuple[str, int] | None = None) -> tuple[Any, Connection]:
    """A process that trains into the file, saving at every step; the connection says when it begins to learn.

    dies: the point of which checkpoint at which it kills itself.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.killing", "datasets"])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_live, args=(store.folder, file, dies, theirs))
    process.start()
    theirs.close()
    return process, ours


def _live(folder: Path, file: Path, dies: tuple[str, int] | None, begun: Connection) -> None:
    torch.set_num_threads(1)
    loop.LOG_STEPS, stage_checkpoint.SAVING_SHARE = 1, float("inf")
    model, whole = stage_run(open_store(folder), file)
    if dies:
        _die_while_saving(*dies)
    begun.send("learning")
    loop.train(model, whole)


def _die_while_saving(point: str, number: int) -> None:
    """Have SIGKILL come at a point of the number-th checkpoint."""
    saved = [0]
    make, sync, move = atomic_files.tempfile.NamedTemporaryFile, os.fsync, Path.replace

    def at(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def acting(*args: Any, **kwargs: Any) -> Any:
            if name == point and saved[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return act(*args, **kwargs)

        return acting

    def opened(**kwargs: Any) -> Any:
        saved[0] += 1
        file = at("before writing", make)(**kwargs)
        if point == "half written" and saved[0] == number:
            write = file.write
            file.write = lambda whole: (write(whole[: len(whole) // 2]), file.flush(), die())
        return file

    def moved(path: Path, target: Path) -> Path:
        found = at("before renaming", move)(path, target)
        at("after renaming", Path.exists)(found)
        return found

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    atomic_files.tempfile.NamedTemporaryFile = opened  # type: ignore[assignment]
    atomic_files.os.fsync = at("before it is on the disk", sync)
    Path.replace = moved  # type: ignore[assignment, method-assign]
