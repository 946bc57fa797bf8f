"""List the kernels in which a training step's time goes, with their shares, by torch's profiler."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.profiler import ProfilerActivity

from bench.base.errors import InputError
from bench.perf.stage_speed import Mode, fuse_norms
from bench.perf.synthetic import SyntheticStore, wait
from bench.training import batches, device, loop
from bench.training.batches import Batch, InputTransform
from bench.training.loop import StageRun
from bench.training.stages import Collection, Stage

MOST = 20  # kernels that are listed


def profile(
    model: nn.Module, stage: Stage | Collection, store: SyntheticStore, target: torch.device, mode: Mode
) -> dict[str, Any]:
    """The kernels of a training step, see `summary`: of the stage's second epoch, on one resident batch."""
    if isinstance(stage, Collection):
        raise InputError(f"{stage.name} trains nothing that could be profiled; name another method first")
    fuse_norms(model, target, mode)
    mean, std = model.trunk.mean, model.trunk.std
    pixels = InputTransform(mean, std, target, device.chosen_precision(mode.precision))  # type: ignore[arg-type]
    activity = ProfilerActivity.CUDA if target.type == "cuda" else ProfilerActivity.CPU
    profiler = torch.profiler.profile(activities=[activity])
    with tempfile.TemporaryDirectory() as folder:
        stage_run = StageRun(
            replace(stage, epochs=2, schedule=replace(stage.schedule, patience=None)),
            cast("Any", store),
            seed=0,
            pixels=pixels,
            file=Path(folder) / "unfinished",
            title=stage.name,
            captured=mode.captured,
            feed=partial(_feed, profiler),
        )
        loop.train(model, stage_run)
    return summary(profiler.key_averages(), steps=len(store.train) // stage.batch_size)


def _feed(profiler: torch.profiler.profile, view: Any, plan: list[Any], **options: Any) -> Iterator[Batch]:
    """One batch again and again; the second epoch runs under the profiler."""
    (batch,) = batches.training(view, plan[:1], **options)
    if options["epoch"] == 2:
        profiler.start()
    yield from [batch] * len(plan)
    if options["epoch"] == 2:
        wait(options["pixels"].device)
        profiler.stop()


def summary(events: Sequence[Any], *, steps: int) -> dict[str, Any]:
    """{milliseconds, kernels: [{name, share, milliseconds, calls}, ...]}: of one step, longest first.

    On a GPU these are its own times; what the CPU does meanwhile is not counted.
    """
    times = [(event, event.self_device_time_total) for event in events]  # 0 for what the CPU does
    if not any(time for _, time in times):  # there is no GPU
        times = [(event, event.self_cpu_time_total) for event, _ in times]
    total = sum(time for _, time in times) or 1
    longest = sorted(times, key=lambda pair: -pair[1])[:MOST]
    kernels = [
        {
            "name": event.key,
            "share": time / total,
            "milliseconds": time / steps / 1000,
            "calls": event.count / steps,
        }
        for event, time in longest
    ]
    return {"milliseconds": total / steps / 1000, "kernels": kernels}
