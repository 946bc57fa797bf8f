"""Measure the speed of a method's stages and of its evaluation, in images per second.

"Pipeline" reads, copies, crops and normalises each batch as a run does; "resident" is the same training step
on one batch that stays on the device. Their ratio shows what the input costs.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn

from bench.perf.synthetic import AlternatingFeed, SyntheticStore
from bench.training import batches, device
from bench.training.batches import Batch, InputTransform
from bench.training.inference import predict
from bench.training.learners import CollectionLearner, collect
from bench.training.loop import StageRun, train
from bench.training.stages import Collection, Stage

if TYPE_CHECKING:
    from bench.data.store import Store

ROUNDS = 3  # of one epoch each
Feed = Callable[..., Any]  # yields batches, as bench.training.batches.training does


@dataclass(frozen=True)
class Mode:
    """How steps are executed; see the options of bench.run with these names.

    further: also what is not yet part of bench.run, see `fused_blocks.fuse_further`.
    """

    precision: str = "auto"
    captured: bool = True
    fused_norms: bool = True
    compiled: bool = False
    further: bool = False


# "eager" is the control: PyTorch as it comes. Each further mode is compared with it.
MODES = {
    "eager": Mode(captured=False, fused_norms=False),
    "graph": Mode(fused_norms=False),
    "fused": Mode(),
    "further": Mode(further=True),
    "fp16": Mode(precision="fp16"),
    "compiled": Mode(captured=False, fused_norms=False, compiled=True),
}


def fuse_norms(model: nn.Module, target: torch.device, mode: Mode) -> None:
    """Fuse the model's batch norms with what follows them, if the mode says so; InputError without a GPU."""
    if mode.fused_norms and device.fused_norms(target, wanted=True):
        from bench.training import fused_blocks  # noqa: PLC0415 (needs Triton, which not every torch brings)

        (fused_blocks.fuse_further if mode.further else fused_blocks.fuse)(model)


def measure_stage(
    model: nn.Module,
    stage: Stage | Collection,
    store: SyntheticStore,
    pixels: InputTransform,
    *,
    mode: Mode,
    rounds: int = ROUNDS,
) -> dict[str, float]:
    """The rates of a stage: medians over rounds; a round is a resident epoch and a pipeline epoch.

    An epoch before the first round warms up. The two kinds take turns, so that other load affects both.
    """
    if pixels.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(pixels.device)
    feed = AlternatingFeed()
    measure_epochs = _collect if isinstance(stage, Collection) else partial(_train, mode=mode)
    _, *rates = measure_epochs(model, cast("Any", stage), store, pixels, feed=feed, epochs=1 + 2 * rounds)
    pairs = np.array(rates).reshape(rounds, 2)
    resident, pipeline = np.median(pairs, axis=0)
    return {
        "pipeline": pipeline,
        "resident": resident,
        "ratio": float(np.median(pairs[:, 1] / pairs[:, 0])),
        "memory_bytes": device.peak_memory(pixels.device),
        "first_step_seconds": feed.first_step_seconds,
    }


def _train(
    model: nn.Module,
    stage: Stage,
    store: SyntheticStore,
    pixels: InputTransform,
    *,
    feed: Feed,
    epochs: int,
    mode: Mode,
) -> list[float]:
    """Train the stage; returns the images per second of each epoch."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        stage_run = StageRun(
            replace(stage, epochs=epochs, schedule=replace(stage.schedule, patience=None)),
            cast("Store", store),
            seed=0,
            pixels=pixels,
            file=Path(folder) / "unfinished",
            title=stage.name,
            compiled=mode.compiled,
            captured=mode.captured,
            feed=feed,
            note=rows.append,
        )
        train(model, stage_run)
    return [row["images_per_second"] for row in rows]


def _collect(
    model: nn.Module,
    stage: Collection,
    store: SyntheticStore,
    pixels: InputTransform,
    *,
    feed: Feed,
    epochs: int,
) -> list[float]:
    """Run the collection; returns the images per second of each pass. The model can predict afterwards."""
    rates = []
    for number in range(epochs):
        began = time.monotonic()
        rows_ND = collect(model, stage, cast("Store", store), pixels, feed=partial(feed, number=number + 1))
        rates.append(len(rows_ND) / (time.monotonic() - began))
    CollectionLearner(model, stage, cast("Store", store), pixels, stage.name).hold(rows_ND)
    return rates


def measure_evaluation(
    model: nn.Module, store: SyntheticStore, pixels: InputTransform, *, mode: Mode
) -> dict[str, float]:
    """{evaluation, evaluation_resident}: images per second of prediction, to logits in memory.

    From the store, and from one batch of pixels that stays on the device. Recording a graph counts.
    """
    feeds: dict[str, Feed] = {"evaluation": batches.evaluation, "evaluation_resident": _resident}
    rates = {}
    for name, feed in feeds.items():
        for view in (store.warm_up, store.test):
            began = time.monotonic()
            predict(model, cast("Any", view), pixels, captured=mode.captured, feed=feed)
        rates[name] = len(store.test) / (time.monotonic() - began)
    return rates


def _resident(view: Any, *, batch_size: int, pixels: InputTransform, **_: Any) -> Iterator[Batch]:
    """As many batches as `batches.evaluation` gives, all of them of the first one's pixels."""
    chosen = np.arange(min(batch_size, len(view)))
    first_BCHW = torch.from_numpy(view.images(chosen)).to(pixels.device).permute(0, 3, 1, 2)
    for start in range(0, len(view), batch_size):
        images_BCHW = pixels.normalise(first_BCHW[: len(view) - start].float())
        yield Batch(images_BCHW, images_BCHW.new_zeros((len(images_BCHW), 0)))
