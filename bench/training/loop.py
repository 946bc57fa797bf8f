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
from bench.training.batches import Batch, Pixels
from bench.training.distributed import ALONE, Crew, objective, synchronise_statistics
from bench.training.stage_checkpoint import Keeper
from bench.training.stages import Stage

LOG_STEPS = 50  # how often the loss is looked at, which makes a GPU wait


@dataclass(frozen=True)
class Course:
    """What does not change while a stage runs; `file` is where its checkpoint lies until it has ended."""

    stage: Stage
    store: Store
    seed: int
    pixels: Pixels
    file: Path
    title: str
    crew: Crew = ALONE
    compiled: bool = False
    feed: Callable[..., Iterable[Batch]] = batches.training
    note: Callable[[dict[str, Any]], None] = lambda _row: None  # told of every epoch

    @property
    def steps(self) -> int:
        """Batches of an epoch; the incomplete last one is dropped."""
        return len(self.store.fitted) // self.stage.batch_size


def train(model: nn.Module, course: Course) -> list[dict[str, Any]]:
    """Train the stage to its end, from its checkpoint if there is one; returns a row for each epoch.

    SIGTERM and Ctrl-C save at the next step and leave. Raises InputError where there are too few images for a
    batch or for validation, too little memory on the GPU, no compiler for `--compile`, and for a loss or
    gradient that is not finite.
    """
    if not course.steps or not len(course.store.held_out):
        held_out, fitted, batch = (
            len(course.store.held_out),
            len(course.store.fitted),
            course.stage.batch_size,
        )
        raise InputError(f"too few images: {fitted} to learn from in batches of {batch}, {held_out} held out")
    try:
        with signals.Stop(again=course.crew.size == 1) as stop:
            return _Training(model, course, stop).run()
    except RuntimeError as fault:
        if remedy := _remedy(fault, course.stage):
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

    def __init__(self, model: nn.Module, course: Course, stop: signals.Stop) -> None:
        self.model, self.course, self.stop = model, course, stop
        stage = course.stage
        if stage.batch_norm == "sync":
            synchronise_statistics(model, course.pixels.device, course.crew)
        stages.prepare(model, stage)
        groups = stages.parameter_groups(model, stage)
        self.optimizer = torch.optim.SGD(
            groups, lr=stage.schedule.lr, momentum=stage.momentum, weight_decay=stage.weight_decay, fused=True
        )
        self.keeper = Keeper(course.file, stage, model, self.optimizer)
        self.at = self.keeper.resume()
        self.objective = objective(model, stage, course.crew, compiled=course.compiled)
        self.progress = Progress(
            course.title,
            epochs=stage.epochs,
            steps=course.steps,
            batch_size=stage.batch_size,
            quiet=not course.crew.leads,
        )

    def run(self) -> list[dict[str, Any]]:
        """Epochs until the schedule or the recipe ends them; each is learned, validated and saved."""
        at, stage = self.at, self.course.stage
        with self.progress:
            while not at.ended:
                self._epoch()
                speed = self._speed(at.step)
                held_out_loss, held_out_map = validate(self.model, self.course)
                row = {"epoch": at.epoch, "lr": at.plateau.lr, "loss": at.total / self.course.steps}
                at.history.append({**row, "held_out_loss": held_out_loss, "held_out_mAP": held_out_map})
                if stage_checkpoint.best(at.history) == at.epoch:
                    self.keeper.remember()
                self.course.note({**at.history[-1], **speed})
                self.progress.epoch(at.epoch, loss=row["loss"], held_out=held_out_loss, lr=at.plateau.lr)
                goes_on = at.plateau.step(stage.schedule, epoch=at.epoch, loss=held_out_loss)
                at.ended = not goes_on or at.epoch == stage.epochs
                at.epoch, at.step, at.total = at.epoch + 1, 0, 0.0
                self._save_where_due(self.course.crew.highest(self.stop.asked), at_once=at.ended)
        self.keeper.select()
        return at.history

    def _epoch(self) -> None:
        """Learn from the rest of the epoch's batches; `at` follows. One path for CPU and GPU."""
        at, course, stage, on = self.at, self.course, self.course.stage, self.course.pixels.device
        for group in self.optimizer.param_groups:
            group["lr"] = at.plateau.lr * group["factor"]
        plan = batches.plan(course.store.fitted, stage=stage, seed=course.seed, epoch=at.epoch)
        todo = course.feed(
            course.store.train,
            [indices_B[course.crew.share(len(indices_B))] for indices_B in plan[at.step :]],
            stage=stage,
            seed=course.seed,
            epoch=at.epoch,
            pixels=course.pixels,
        )
        tally = _Tally(at.total, on)
        self.first, self.began = at.step, time.monotonic()
        for batch in todo:
            with device.autocast(on):
                loss = self.objective(batch.images_BCHW, batch.labels_BC)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            # Once anything is not finite no update is made, on the device: weights stay as they were.
            self.optimizer.found_inf = tally.add(course.crew.mean(loss.detach()), self._gradients())  # type: ignore[attr-defined]
            self.optimizer.step()
            at.step += 1
            self.progress.step()
            stop = course.crew.highest(self.stop.asked)
            if at.step % LOG_STEPS == 0 or at.step == course.steps or stop:
                at.total = self._look(tally)
                self.progress.loss(at.total / at.step)
                if at.step < course.steps:
                    self._save_where_due(stop)

    def _speed(self, steps: int) -> dict[str, Any]:
        """What the log says of an epoch beside its history: the figures of this machine and this moment."""
        course, seconds = self.course, time.monotonic() - self.began
        return {
            "images_per_second": (steps - self.first) * course.stage.batch_size / seconds,
            "memory_bytes": device.peak_memory(course.pixels.device),
            "seconds": seconds,
            "processes": course.crew.size,
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
        where = f"stage {self.course.stage.name}, epoch {at.epoch}, step {step}"
        raise InputError(f"loss or gradient is not finite at {where}: lower the learning rate (--set lr=...)")

    def _save_where_due(self, stop: int, *, at_once: bool = False) -> None:
        """A checkpoint, if it is time or a signal asks to stop; in which case the process then leaves."""
        crew = self.course.crew
        if crew.leads and (at_once or stop or self.keeper.due):
            self.keeper.save(self.at)
        if stop:
            crew.lead(stop)  # none leaves before the checkpoint is there: a launcher ends all with the first
            signals.leave(stop, quiet=not crew.leads)


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
def validate(model: nn.Module, course: Course) -> tuple[float, float | None]:
    """(loss, mAP in percent) on the held-out training images; None where no label of theirs is positive.

    The same for any number of processes: each takes whole batches, which are put together in order.
    """
    stage, view, crew = course.stage, course.store.held_out, course.crew
    crew.same_statistics(model)
    model.eval()
    dealt = []
    for batch in batches.evaluation(view, batch_size=stage.batch_size, pixels=course.pixels, crew=crew):
        with device.autocast(course.pixels.device):
            loss, logits_BC = stage.loss(model, batch.images_BCHW, batch.labels_BC)
        dealt.append((loss, logits_BC.float()))
    stages.prepare(model, stage)
    # Only now is a GPU waited for.
    found = crew.gather([(float(loss) * len(logits_BC), logits_BC.cpu()) for loss, logits_BC in dealt])
    scores = metrics.evaluate(torch.cat([logits_BC for _, logits_BC in found]).numpy(), view.labels_NC)
    total = sum(loss for loss, _ in found)
    return total / len(view), scores["mAP"] if math.isfinite(scores["mAP"]) else None
