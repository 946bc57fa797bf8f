"""Starts processes that train and get killed, for tests of resuming.

They are forked from a server process that has imported everything, so that they start without delay.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench.base import atomic_files
from bench.data.store import Store, open_store
from bench.training import batches, captured_step, loop, method, stage_checkpoint, tensor_file
from bench.training.batches import Batch, InputTransform
from bench.training.loop import StageRun
from tests.conftest import small_recipe

POINTS = ("before writing", "half written", "before it is on the disk", "before renaming", "after renaming")


def stage_run(store: Store, file: Path, **changes: Any) -> tuple[nn.Module, StageRun]:
    """A model, and ResNet-101's only stage on the small demo: three epochs of four batches."""
    module, config = method.load_method("resnet101"), small_recipe("resnet101", epochs=3)
    model = method.build(module, config, method.labels_of(store), 0).to(memory_format=torch.channels_last)
    pixels = InputTransform(model.trunk.mean, model.trunk.std, torch.device("cpu"))  # type: ignore[union-attr, arg-type]
    stage = replace(module.stages(config)[0], **changes)
    return model, StageRun(stage, store, 0, pixels, file, "test")


def content(file: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """A checkpoint's bytes by tensor, and its facts; whole files may differ in the order of their header."""
    tensors, facts = tensor_file.load(file)
    return {name: tensor.reshape(-1).numpy().tobytes() for name, tensor in tensors.items()}, facts


def start(store: Store, file: Path, *, dies: tuple[str, int] | None = None) -> tuple[Any, Connection]:
    """(a process that trains and saves a checkpoint at every step, a connection that tells when it starts).

    dies: (one of `POINTS`, number of the checkpoint) at which the process kills itself.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.killing", "datasets"])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_train, args=(store.folder, file, dies, sender))
    process.start()
    sender.close()
    return process, receiver


def _train(folder: Path, file: Path, dies: tuple[str, int] | None, sender: Connection) -> None:
    torch.set_num_threads(1)
    loop.LOG_STEPS, stage_checkpoint.SAVING_SHARE = 1, float("inf")
    model, settings = stage_run(open_store(folder), file)
    if dies:
        _die_while_saving(*dies)
    sender.send("learning")
    loop.train(model, settings)


def die_in_a_captured_stage(folder: str, file: str, on: str, at: str) -> None:
    """Train on a device with a checkpoint at every step, and die before a step that would be replayed.

    at: the number of steps before. On the CPU a tape replays them.
    """
    from tests.training.test_captured_step import TapeRecorder  # noqa: PLC0415 (it imports this module)

    torch.set_num_threads(1)
    loop.LOG_STEPS, stage_checkpoint.SAVING_SHARE = 1, float("inf")
    torch.backends.cudnn.deterministic = True
    if on == "cpu":
        captured_step.recorder = lambda *_, **_how: TapeRecorder()  # type: ignore[assignment]
    model, settings = stage_run(open_store(Path(folder)), Path(file))
    steps = iter(range(int(at)))

    def feed(*given: Any, **options: Any) -> Iterator[Batch]:
        for batch in batches.training(*given, **options):
            if next(steps, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch

    target = torch.device(on)
    pixels = replace(settings.pixels, device=target)
    loop.train(model.to(target), replace(settings, pixels=pixels, feed=feed))


def _die_while_saving(point: str, number: int) -> None:
    """Make this process kill itself at a point of saving the number-th checkpoint."""
    checkpoints = [0]
    open_file, sync, rename = Path.open, os.fsync, Path.replace

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def dying_at(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if name == point and checkpoints[0] == number:
                die()
            return function(*args, **kwargs)

        return call

    def opening(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if mode != "xb":  # not a file that is written atomically
            return open_file(path, mode, *args, **kwargs)
        checkpoints[0] += 1
        file = dying_at("before writing", open_file)(path, mode, *args, **kwargs)
        if point == "half written" and checkpoints[0] == number:
            file.write(b"half")
            file.flush()
            die()
        return file

    def renaming(path: Path, target: Path) -> Path:
        renamed = dying_at("before renaming", rename)(path, target)
        dying_at("after renaming", Path.exists)(renamed)
        return renamed

    Path.open = opening  # type: ignore[assignment, method-assign]
    atomic_files.os.fsync = dying_at("before it is on the disk", sync)
    Path.replace = renaming  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    die_in_a_captured_stage(*sys.argv[1:])
