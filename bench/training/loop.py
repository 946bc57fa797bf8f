"""The one loop: a stage on a model, from where it was to its end.

Legend: B images of a batch, C labels.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.base import signals
from bench.base.errors import InputError
from bench.base.progress import Progress
from bench.data.store import Store
from bench.scoring import metrics
from bench.training import batches, device, stage_checkpoint, stages
from bench.training.batches import Batch, InputTransform
from bench.training.distributed import SINGLE_PROCESS, Processes, objective, synchronise_statistics
from bench.training.stage_checkpoint import Checkpointer
from bench.training.stages import Stage

LOG_STEPS = 50  # how often the loss is looked at, which makes a GPU wait


@dataclass(frozen=True)
class StageRun:
    """What does not change while a stage runs; `file` is where its checkpoint lies until it has ended."""

    stage: Stage
    store: Store
    seed: int
    pixels: InputTransform
    file: Path
    title: str
    processes: Processes = SINGLE_PROCESS
    compiled: bool = False
    feed: Callable[..., Iterable[Batch]] = batches.training
    note: Callable[[dict[str, Any]], None] = lambda _row: None  # told of every epoch

    @property
    def steps(self) -> int:
        """Batches of an epoch; the incomplete last one is dropped."""
        return len(self.store.fitted) // self.stage.batch_size


def train(model: nn.Module, stage_run: StageRun) -> list[dict[str, Any]]:
    """Train the stage to its end, from its checkpoint if there is one; returns a row for each epoch.

    SIGTERM and Ctrl-C save at the next step and leave. Raises InputError where there are too few images for a
    batch or for validation, too little memory on the GPU, no compiler for `--compile`, and for a loss or
    gradient that is not finite.
    """
    if not stage_run.steps or not len(stage_run.store.held_out):
        held_out, fitted, batch = (
            len(stage_run.store.held_out),
            len(stage_run.store.fitted),
            stage_run.stage.batch_size,
        )
        raise InputError(f"too few images: {fitted} to learn from in batches of {batch}, {held_out} held out")
    try:
        with signals.Stop(again=stage_run.processes.size == 1) as stop:
            return _Training(model, stage_run, stop).run()
    except RuntimeError as fault:
        if remedy := _remedy(fault, stage_run.stage):
            raise InputError(remedy) from fault
        raise


def _remedy(fault: RuntimeError, stage: Stage) -> str:
    """What the user can do about a fault of torch's; empty where it is no fault of theirs."""
    if isinstance(fault, torch.OutOfMemoryError):
        return (
            f"stage {stage.name}: batches of {stage.batch_size} do not fit into the GPU's memory;"
            f" --set batch_size={max(1, stage.batch_size // 2)}, or torchrun with more GPUs"
        )
    if type(fault).__module__.startswith(("torch._dynamo", "torch._inductor")):
        return (
            f"--compile does not work here; leave it out, or mend this: {' '.join(str(fault).split())[:300]}"
        )
    return ""


class _Training:
    """A stage that is being trained: the loop and what it keeps in hand."""

    def __init__(self, model: nn.Module, stage_run: StageRun, stop: signals.Stop) -> None:
        self.model, self.stage_run, self.stop = model, stage_run, stop
        stage = stage_run.stage
        if stage.batch_norm == "sync":
            synchronise_statistics(model, stage_run.pixels.device, stage_run.processes)
        stages.prepare(model, stage)
        groups = stages.parameter_groups(model, stage)
        self.optimizer = torch.optim.SGD(
            groups, lr=stage.schedule.lr, momentum=stage.momentum, weight_decay=stage.weight_decay, fused=True
        )
        self.checkpointer = Checkpointer(stage_run.file, stage, model, self.optimizer)
        self.at = self.checkpointer.resume()
        self.objective = objective(model, stage, stage_run.processes, compiled=stage_run.compiled)
        self.progress = Progress(
            stage_run.title,
            epochs=stage.epochs,
            steps=stage_run.steps,
            batch_size=stage.batch_size,
            quiet=not stage_run.processes.is_main,
        )

    def run(self) -> list[dict[str, Any]]:
        """Epochs until the schedule or the recipe ends them; each is learned, validated and saved."""
        at, stage = self.at, self.stage_run.stage
        with self.progress:
            while not at.ended:
                self._epoch()
                speed = self._speed(at.step)
                held_out_loss, held_out_map = validate(self.model, self.stage_run)
                row = {"epoch": at.epoch, "lr": at.plateau.lr, "loss": at.total / self.stage_run.steps}
                at.history.append({**row, "held_out_loss": held_out_loss, "held_out_mAP": held_out_map})
                if stage_checkpoint.best_epoch(at.history) == at.epoch:
                    self.checkpointer.remember()
                self.stage_run.note({**at.history[-1], **speed})
                self.progress.epoch(at.epoch, loss=row["loss"], held_out=held_out_loss, lr=at.plateau.lr)
                goes_on = at.plateau.step(stage.schedule, epoch=at.epoch, loss=held_out_loss)
                at.ended = not goes_on or at.epoch == stage.epochs
                at.epoch, at.step, at.total = at.epoch + 1, 0, 0.0
                self._save_where_due(self.stage_run.processes.maximum(self.stop.asked), at_once=at.ended)
        self.checkpointer.select()
        return at.history

    def _epoch(self) -> None:
        """Learn from the rest of the epoch's batches; `at` follows. One path for CPU and GPU."""
        at, stage_run, stage, on = self.at, self.stage_run, self.stage_run.stage, self.stage_run.pixels.device
        for group in self.optimizer.param_groups:
            group["lr"] = at.plateau.lr * group["factor"]
        plan = batches.plan(stage_run.store.fitted, stage=stage, seed=stage_run.seed, epoch=at.epoch)
        todo = stage_run.feed(
            stage_run.store.train,
            [indices_B[stage_run.processes.share(len(indices_B))] for indices_B in plan[at.step :]],
            stage=stage,
            seed=stage_run.seed,
            epoch=at.epoch,
            pixels=stage_run.pixels,
        )
        tally = _Tally(at.total, on)
        self.first, self.began = at.step, time.monotonic()
        for batch in todo:
            with device.autocast(on):
                loss = self.objective(batch.images_BCHW, batch.labels_BC)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            # Once anything is not finite no update is made, on the device: weights stay as they were.
            self.optimizer.found_inf = tally.add(stage_run.processes.mean(loss.detach()), self._gradients())  # type: ignore[attr-defined]
            self.optimizer.step()
            at.step += 1
            self.progress.step()
            stop = stage_run.processes.maximum(self.stop.asked)
            if at.step % LOG_STEPS == 0 or at.step == stage_run.steps or stop:
                at.total = self._look(tally)
                self.progress.loss(at.total / at.step)
                if at.step < stage_run.steps:
                    self._save_where_due(stop)

    def _speed(self, steps: int) -> dict[str, Any]:
        """What the log says of an epoch beside its history: the figures of this machine and this moment."""
        stage_run, seconds = self.stage_run, time.monotonic() - self.began
        return {
            "images_per_second": (steps - self.first) * stage_run.stage.batch_size / seconds,
            "memory_bytes": device.peak_memory(stage_run.pixels.device),
            "seconds": seconds,
            "processes": stage_run.processes.size,
        }

    def _gradients(self) -> list[Tensor]:
        return [
            p.grad for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None
        ]

    def _look(self, tally: "_Tally") -> float:
        """The epoch's loss so far; InputError where it, or a gradient, was not finite."""
        if tally.sound:
            return float(tally.total)
        at = self.at
        step = at.step - tally.steps + int(tally.survived) + 1
        where = f"stage {self.stage_run.stage.name}, epoch {at.epoch}, step {step}"
        raise InputError(f"loss or gradient is not finite at {where}: lower the learning rate (--set lr=...)")

    def _save_where_due(self, stop: int, *, at_once: bool = False) -> None:
        """A checkpoint, if it is time or a signal asks to stop; in which case the process then leaves."""
        processes = self.stage_run.processes
        if processes.is_main and (at_once or stop or self.checkpointer.due):
            self.checkpointer.save(self.at)
        if stop:
            processes.broadcast(
                stop
            )  # none leaves before the checkpoint is there: a launcher ends all with the first
            signals.leave(stop, quiet=not processes.is_main)


class _Tally:
    """What is summed on the device, so that no step waits for it: the loss, and whether all was finite."""

    def __init__(self, total: float, on: torch.device) -> None:
        self.total = torch.tensor(total, device=on, dtype=torch.float64)
        self.sound = torch.ones((), device=on, dtype=torch.bool)
        self.survived = torch.zeros((), device=on, dtype=torch.int64)
        self.steps = 0

    def add(self, loss: Tensor, gradients: list[Tensor]) -> Tensor:
        """Take in a step; returns 1.0 from the first step on that is not finite, 0.0 before."""
        self.sound &= (loss + torch.nn.utils.get_total_norm(gradients)).isfinite()
        self.total += loss
        self.survived += self.sound
        self.steps += 1
        return (~self.sound).float()


@torch.no_grad()
def validate(model: nn.Module, stage_run: StageRun) -> tuple[float, float | None]:
    """(loss, mAP in percent) on the held-out training images; None where no label of theirs is positive.

    The same for any number of processes: each takes whole batches, which are put together in order.
    """
    stage, view, processes = stage_run.stage, stage_run.store.held_out, stage_run.processes
    processes.same_statistics(model)
    model.eval()
    dealt = []
    for batch in batches.evaluation(
        view, batch_size=stage.batch_size, pixels=stage_run.pixels, processes=processes
    ):
        with device.autocast(stage_run.pixels.device):
            loss, logits_BC = stage.loss(model, batch.images_BCHW, batch.labels_BC)
        dealt.append((loss, logits_BC.float()))
    stages.prepare(model, stage)
    # Only now is a GPU waited for.
    found = processes.gather([(float(loss) * len(logits_BC), logits_BC.cpu()) for loss, logits_BC in dealt])
    scores = metrics.evaluate(torch.cat([logits_BC for _, logits_BC in found]).numpy(), view.labels_NC)
    total = sum(loss for loss, _ in found)
    return total / len(view), scores["mAP"] if math.isfinite(scores["mAP"]) else None
