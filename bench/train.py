"""The one loop: a stage on a model, from where it was to its end.

Legend: B images of a batch, C labels.
"""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench import batches, checkpoint, device, metrics, stages
from bench.batches import Pixels
from bench.errors import InputError
from bench.progress import Progress
from bench.schedule import Plateau
from bench.stages import Stage
from bench.store import Store

LOG_STEPS = 50  # how often the loss is looked at, which makes a GPU wait
CHECKPOINT_STEPS = 500


@dataclass
class Position:
    """Where a stage stands: all that a checkpoint holds beside tensors. `total` is the epoch's loss so
    far.
    """

    plateau: Plateau
    epoch: int = 1
    step: int = 0
    total: float = 0.0
    ended: bool = False
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)


@dataclass(frozen=True)
class Course:
    """What does not change while a stage runs; `file` is where its checkpoint lies until it has ended."""

    stage: Stage
    store: Store
    seed: int
    pixels: Pixels
    file: Path
    title: str

    @property
    def steps(self) -> int:
        """Batches of an epoch; the incomplete last one is dropped."""
        return len(self.store.fitted) // self.stage.batch_size


def train(model: nn.Module, course: Course) -> list[dict[str, Any]]:
    """Train the stage to its end, from its checkpoint if there is one; returns a row for each epoch.

    Raises InputError where there are too few images for a batch or for validation, and for a loss or gradient
    that is not finite.
    """
    stage = course.stage
    if not course.steps or not len(course.store.held_out):
        held_out, fitted = len(course.store.held_out), len(course.store.fitted)
        raise InputError(
            f"too few images: {fitted} to learn from in batches of {stage.batch_size}, {held_out} held out"
        )
    stages.prepare(model, stage)
    groups = stages.parameter_groups(model, stage)
    optimizer = torch.optim.SGD(
        groups, lr=stage.schedule.lr, momentum=stage.momentum, weight_decay=stage.weight_decay, fused=True
    )
    at = _resume(model, optimizer, course)
    with Progress(
        course.title, epochs=stage.epochs, steps=course.steps, batch_size=stage.batch_size
    ) as progress:
        while not at.ended:
            _epoch(model, optimizer, course, at, progress)
            held_out_loss, held_out_map = validate(model, course)
            row = {"epoch": at.epoch, "lr": at.plateau.lr, "loss": at.total / course.steps}
            at.history.append({**row, "held_out_loss": held_out_loss, "held_out_mAP": held_out_map})
            progress.epoch(at.epoch, loss=row["loss"], held_out=held_out_loss, lr=at.plateau.lr)
            goes_on = at.plateau.step(stage.schedule, epoch=at.epoch, loss=held_out_loss)
            at.ended = not goes_on or at.epoch == stage.epochs
            at.epoch, at.step, at.total = at.epoch + 1, 0, 0.0
            _save(model, optimizer, course, at)
    return at.history


def _epoch(
    model: nn.Module, optimizer: torch.optim.SGD, course: Course, at: Position, progress: Progress
) -> None:
    """Learn from the rest of the epoch's batches; `at` follows. One path for CPU and GPU."""
    stage, on = course.stage, course.pixels.device
    for group in optimizer.param_groups:
        group["lr"] = at.plateau.lr * group["factor"]
    total = torch.tensor(at.total, device=on, dtype=torch.float64)
    sound = torch.ones((), device=on, dtype=torch.bool)
    survived = torch.zeros((), device=on, dtype=torch.int64)
    todo = batches.training(
        course.store.train,
        course.store.fitted,
        stage=stage,
        seed=course.seed,
        epoch=at.epoch,
        pixels=course.pixels,
        first=at.step,
    )
    first = at.step
    for batch in todo:
        with device.autocast(on):
            loss = stage.loss(model, batch.images_BCHW, batch.labels_BC)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        # Once anything is not finite no update is made, on the device: weights stay as they were.
        gradients = [
            p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None
        ]
        sound &= (loss.detach() + torch.nn.utils.get_total_norm(gradients)).isfinite()
        optimizer.found_inf = (~sound).float()  # type: ignore[attr-defined]
        optimizer.step()
        total += loss.detach()
        survived += sound
        at.step += 1
        progress.step()
        if at.step % LOG_STEPS == 0 or at.step == course.steps:
            at.total = float(total)
            if not sound:
                where = f"stage {stage.name}, epoch {at.epoch}, step {first + int(survived) + 1}"
                raise InputError(
                    f"loss or gradient is not finite at {where}: lower the learning rate (--set lr=...)"
                )
            progress.loss(at.total / at.step)
            if at.step % CHECKPOINT_STEPS == 0 and at.step < course.steps:
                _save(model, optimizer, course, at)


@torch.no_grad()
def validate(model: nn.Module, course: Course) -> tuple[float, float | None]:
    """(loss, mAP in percent) on the held-out training images; None where no label of theirs is positive."""
    stage, total = course.stage, 0.0
    model.eval()
    logits: list[Tensor] = []
    for batch in batches.evaluation(course.store.held_out, batch_size=stage.batch_size, pixels=course.pixels):
        with device.autocast(course.pixels.device):
            total += float(stage.loss(model, batch.images_BCHW, batch.labels_BC)) * len(batch.labels_BC)
            logits.append(stage.logits(model, batch.images_BCHW).float().cpu())
    stages.prepare(model, stage)
    scores = metrics.evaluate(torch.cat(logits).numpy(), course.store.held_out.labels_NC)
    return total / len(course.store.held_out), scores["mAP"] if math.isfinite(scores["mAP"]) else None


def _save(model: nn.Module, optimizer: torch.optim.SGD, course: Course, at: Position) -> None:
    tensors = {f"model.{name}": tensor for name, tensor in stages.learned(model, course.stage)}
    for number, parameter in enumerate(p for group in optimizer.param_groups for p in group["params"]):
        if (buffer := optimizer.state[parameter].get("momentum_buffer")) is not None:
            tensors[f"momentum.{number}"] = buffer
    checkpoint.save(course.file, tensors, dataclasses.asdict(at))


def _resume(model: nn.Module, optimizer: torch.optim.SGD, course: Course) -> Position:
    """Weights, momentum and position from the stage's checkpoint; the beginning where there is none."""
    if not course.file.exists():
        return Position(Plateau(lr=course.stage.schedule.lr))
    tensors, facts = checkpoint.load(course.file)
    named = dict(model.state_dict())
    for name, tensor in tensors.items():
        if name.startswith("model."):
            named[name.removeprefix("model.")].copy_(tensor)
    for number, parameter in enumerate(p for group in optimizer.param_groups for p in group["params"]):
        if f"momentum.{number}" in tensors:
            buffer = torch.empty_like(parameter).copy_(tensors[f"momentum.{number}"])
            optimizer.state[parameter]["momentum_buffer"] = buffer
    return Position(**{**facts, "plateau": Plateau(**facts["plateau"])})
