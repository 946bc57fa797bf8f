"""The training loop: trains one stage of a model, from its checkpoint if there is one, to its end.

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
from bench.training import batch_norm, batches, device, few_images, stage_checkpoint, stages
from bench.training.batches import Batch, InputTransform
from bench.training.distributed import SINGLE_PROCESS, Processes, build_stage_loss, synchronise_statistics
from bench.training.stage_checkpoint import Checkpointer
from bench.training.stages import Stage

LOG_STEPS = 50  # steps between two looks at the loss: each look makes the GPU wait


@dataclass(frozen=True)
class StageRun:
    """The settings of one stage's training, which stay the same until it ends.

    file: the checkpoint, kept until the stage has ended. feed: gives the batches of training images.
    note: called with the row of every epoch.
    """

    stage: Stage
    store: Store
    seed: int
    pixels: InputTransform
    file: Path
    title: str
    processes: Processes = SINGLE_PROCESS
    compiled: bool = False
    feed: Callable[..., Iterable[Batch]] = batches.training
    note: Callable[[dict[str, Any]], None] = lambda _row: None

    @property
    def steps(self) -> int:
        """Batches of an epoch; the incomplete last one is dropped."""
        return len(self.store.fitted) // self.stage.batch_size


def train(model: nn.Module, stage_run: StageRun) -> list[dict[str, Any]]:
    """Train the stage to its end, from its checkpoint if there is one; returns a row for each epoch.

    At SIGTERM or Ctrl-C the process saves a checkpoint after the current step and exits. Raises InputError
    where there are too few images for a batch or for validation, too little memory on the GPU, no compiler
    for `--compile`, and where a loss or a gradient is not finite.
    """
    few_images.require_images(stage_run.store, stage_run.stage.batch_size)
    try:
        with signals.Stop(again=stage_run.processes.size == 1) as stop:
            return _StageTrainer(model, stage_run, stop).run()
    except RuntimeError as error:
        if message := device.remedy(error, stage=stage_run.stage.name, batch_size=stage_run.stage.batch_size):
            raise InputError(message) from error
        raise


class _StageTrainer:
    """The training of one stage: its optimizer, its position, its checkpoints, and the loop."""

    def __init__(self, model: nn.Module, stage_run: StageRun, stop: signals.Stop) -> None:
        self.model, self.stage_run, self.stop = model, stage_run, stop
        stage = stage_run.stage
        if stage.batch_norm == "sync":
            synchronise_statistics(model, stage_run.pixels.device, stage_run.processes)
        if stage.batch_norm == "groups":
            share = stage_run.processes.share(stage.batch_size)
            batch_norm.use_groups(model, stage.norm_group, images=share.stop - share.start)
        stages.prepare(model, stage)
        groups = stages.parameter_groups(model, stage)
        self.optimizer = torch.optim.SGD(
            groups, lr=stage.schedule.lr, momentum=stage.momentum, weight_decay=stage.weight_decay, fused=True
        )
        self.checkpointer = Checkpointer(stage_run.file, stage, model, self.optimizer)
        self.position = self.checkpointer.resume()
        self.loss = build_stage_loss(model, stage, stage_run.processes, compiled=stage_run.compiled)
        self.progress = Progress(
            stage_run.title,
            epochs=stage.epochs,
            steps=stage_run.steps,
            batch_size=stage.batch_size,
            quiet=not stage_run.processes.is_main,
        )

    def run(self) -> list[dict[str, Any]]:
        """Train and validate epoch after epoch until the schedule or `epochs` ends the stage."""
        position, stage = self.position, self.stage_run.stage
        with self.progress:
            while not position.ended:
                speed = self.train_epoch()
                held_out_loss, held_out_map = validate(self.model, self.stage_run)
                if held_out_loss is not None and not math.isfinite(held_out_loss):
                    raise self._not_finite("the loss on the held-out images")
                lr, loss = position.plateau.lr, position.total / self.stage_run.steps
                row: dict[str, Any] = {"epoch": position.epoch, "lr": lr, "loss": loss}
                row |= {"held_out_loss": held_out_loss, "held_out_mAP": held_out_map}
                position.history.append(row)
                if stage_checkpoint.best_epoch(position.history) == position.epoch:
                    self.checkpointer.keep_as_best()
                self.stage_run.note({**row, **speed})
                self.progress.epoch(position.epoch, loss=loss, held_out=held_out_loss, lr=lr)
                goes_on = position.plateau.step(stage.schedule, epoch=position.epoch, loss=held_out_loss)
                position.ended = not goes_on or position.epoch == stage.epochs
                position.epoch, position.step, position.total = position.epoch + 1, 0, 0.0
                self._save_if_due(self._requested_stop(), stage_ended=position.ended)
        self.checkpointer.load_selected()
        return position.history

    def train_epoch(self) -> dict[str, Any]:
        """Train on the remaining batches of the epoch; returns its speed. CPU and GPU take the same path."""
        position, stage_run, processes = self.position, self.stage_run, self.stage_run.processes
        for group in self.optimizer.param_groups:
            group["lr"] = position.plateau.lr * group["factor"]
        remaining = self._remaining_batches()
        tracker = _LossTracker(position.total, stage_run.pixels.device)
        first_step, began = position.step, time.monotonic()
        for batch in remaining:
            with device.autocast(stage_run.pixels.device):
                loss = self.loss(batch.images_BCHW, batch.labels_BC)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            # From the first value that is not finite on, the optimizer skips its updates. The device decides
            # this itself: reading the value at every step would make the GPU wait.
            skip_update = tracker.add(processes.mean(loss.detach()), self._gradients())
            self.optimizer.found_inf = skip_update  # type: ignore[attr-defined]
            self.optimizer.step()
            position.step += 1
            self.progress.step()
            stop_signal = self._requested_stop()
            if position.step % LOG_STEPS == 0 or position.step == stage_run.steps or stop_signal:
                position.total = self._checked_total(tracker)
                self.progress.loss(position.total / position.step)
                if position.step < stage_run.steps:
                    self._save_if_due(stop_signal)
        return self._speed(position.step - first_step, time.monotonic() - began)

    def _remaining_batches(self) -> Iterable[Batch]:
        """The remaining batches of the epoch; of each batch only the share of this process."""
        position, stage_run = self.position, self.stage_run
        epoch: dict[str, Any] = {"stage": stage_run.stage, "seed": stage_run.seed, "epoch": position.epoch}
        remaining = batches.plan(stage_run.store.fitted, **epoch)[position.step :]
        shares = [indices_B[stage_run.processes.share(len(indices_B))] for indices_B in remaining]
        return stage_run.feed(stage_run.store.train, shares, pixels=stage_run.pixels, **epoch)

    def _gradients(self) -> list[Tensor]:
        parameters = (parameter for group in self.optimizer.param_groups for parameter in group["params"])
        return [parameter.grad for parameter in parameters if parameter.grad is not None]

    def _speed(self, steps: int, seconds: float) -> dict[str, Any]:
        """The facts of an epoch that only the log gets, not the history: they differ between two runs."""
        return {
            "images_per_second": steps * self.stage_run.stage.batch_size / seconds,
            "memory_bytes": device.peak_memory(self.stage_run.pixels.device),
            "seconds": seconds,
            "processes": self.stage_run.processes.size,
        }

    def _checked_total(self, tracker: "_LossTracker") -> float:
        """The sum of the epoch's losses so far; InputError where a loss or a gradient was not finite."""
        if tracker.all_finite:
            return float(tracker.total)
        step = self.position.step - tracker.steps + int(tracker.finite_steps) + 1
        raise self._not_finite("loss or gradient", f", step {step}")

    def _not_finite(self, what: str, step: str = "") -> InputError:
        where = f"stage {self.stage_run.stage.name}, epoch {self.position.epoch}{step}"
        return InputError(f"{what} is not finite at {where}: lower the learning rate (--set lr=...)")

    def _requested_stop(self) -> int:
        """The number of a signal that asked any of the processes to stop; 0 where there was none."""
        return self.stage_run.processes.maximum(self.stop.asked)

    def _save_if_due(self, stop_signal: int, *, stage_ended: bool = False) -> None:
        """Save a checkpoint if it is time, the stage ended or a signal came; after a signal, exit."""
        processes = self.stage_run.processes
        if processes.is_main and (stage_ended or stop_signal or self.checkpointer.due):
            self.checkpointer.save(self.position)
        if stop_signal:
            # No process exits before the checkpoint is written: a launcher ends all of them with the first.
            processes.broadcast(stop_signal)
            signals.leave(stop_signal, quiet=not processes.is_main)


class _LossTracker:
    """Sums the losses on the device, and counts the steps until one is not finite, without waiting for it."""

    def __init__(self, total: float, target: torch.device) -> None:
        self.total = torch.tensor(total, device=target, dtype=torch.float64)
        self.all_finite = torch.ones((), device=target, dtype=torch.bool)
        self.finite_steps = torch.zeros((), device=target, dtype=torch.int64)
        self.steps = 0

    def add(self, loss: Tensor, gradients: list[Tensor]) -> Tensor:
        """Add a step; returns 0.0 as long as all was finite, and 1.0 from the first step that is not."""
        self.all_finite &= (loss + torch.nn.utils.get_total_norm(gradients)).isfinite()
        self.total += loss
        self.finite_steps += self.all_finite
        self.steps += 1
        return (~self.all_finite).float()


@torch.no_grad()
def validate(model: nn.Module, stage_run: StageRun) -> tuple[float | None, float | None]:
    """(loss, mAP in percent) on the held-out training images; mAP is None where no label has a positive.

    The loss is NaN where a logit is not finite. Both are None if training uses all images.

    The result does not depend on the number of processes: each evaluates whole batches, and their results are
    put back in order.
    """
    stage, view, processes = stage_run.stage, stage_run.store.held_out, stage_run.processes
    processes.broadcast_buffers(model)
    if not len(view):
        return None, None
    model.eval()
    own_results = []
    for batch in batches.evaluation(
        view, batch_size=stage.batch_size, pixels=stage_run.pixels, processes=processes
    ):
        with device.autocast(stage_run.pixels.device):
            loss, logits_BC = stage.loss(model, batch.images_BCHW, batch.labels_BC)
        own_results.append((loss, logits_BC.float()))
    stages.prepare(model, stage)
    # The values are read only here, after all batches: to read one makes the GPU wait.
    results = processes.gather([(float(loss) * len(logits), logits.cpu()) for loss, logits in own_results])
    logits_NC = torch.cat([logits for _, logits in results])
    total = sum(loss for loss, _ in results)
    if not logits_NC.isfinite().all():
        return math.nan, None
    mean_ap = metrics.evaluate(logits_NC.numpy(), view.labels_NC)["mAP"]
    return total / len(view), mean_ap if math.isfinite(mean_ap) else None
