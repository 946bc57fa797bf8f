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
from torch import nn

from bench.base import signals
from bench.base.errors import InputError
from bench.base.progress import Progress
from bench.base.protocol import Evaluation
from bench.data.store import Store
from bench.training import (
    batch_norm,
    batches,
    best_on_test,
    captured_step,
    device,
    few_images,
    stage_checkpoint,
    stages,
    validation,
)
from bench.training.batches import Batch, InputTransform
from bench.training.captured_step import DISTRIBUTED_WARM_UP_CALLS, WARM_UP_CALLS, Captured
from bench.training.distributed import SINGLE_PROCESS, Processes, build_stage_loss, synchronise_statistics
from bench.training.loss_scaling import LossScaling
from bench.training.stage_checkpoint import Checkpointer
from bench.training.stages import Stage
from bench.training.training_step import Rates, TrainingStep, build_optimizer
from bench.training.weight_average import WeightAverage

LOG_STEPS = 50  # steps between two looks at the loss: each look makes the GPU wait


@dataclass(frozen=True)
class StageRun:
    """The settings of one stage's training, which stay the same until it ends.

    file: the checkpoint, kept until the stage has ended. feed: gives the batches of training images.
    captured: on a GPU, steps are replayed from a CUDA graph. note: called with the row of every epoch.
    watched: how the test set is scored after every epoch, see `best_on_test`; None: it is not.
    """

    stage: Stage
    store: Store
    seed: int
    pixels: InputTransform
    file: Path
    title: str
    processes: Processes = SINGLE_PROCESS
    compiled: bool = False
    captured: bool = True
    feed: Callable[..., Iterable[Batch]] = batches.training
    note: Callable[[dict[str, Any]], None] = lambda _row: None
    watched: Evaluation | None = None

    @property
    def steps(self) -> int:
        """Batches of an epoch; the incomplete last one is dropped."""
        return len(self.store.fitted) // self.stage.batch_size

    def autocast(self) -> torch.autocast:
        """The context of a forward pass."""
        return device.autocast(self.pixels.device, self.pixels.precision)


def train(model: nn.Module, stage_run: StageRun) -> list[dict[str, Any]]:
    """Train the stage to its end, from its checkpoint if there is one; returns a row for each epoch.

    At SIGTERM or Ctrl-C the process saves a checkpoint after the current step and exits. Raises InputError
    where there are too few images for a batch or for validation, too little memory on the GPU, no compiler
    for `--compile`, and where a loss or a gradient is not finite.
    """
    few_images.require_images(stage_run.store, stage_run.stage.batch_size)
    try:
        with signals.Stop(again=stage_run.processes.size == 1) as stop:
            trainer = _StageTrainer(model, stage_run, stop)
            try:
                return trainer.run()
            finally:
                trainer.step.release()
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
        self.optimizer = build_optimizer(model, stage, stage_run.pixels.device)
        self.rates = Rates(self.optimizer, stage.schedule, stage_run.steps)
        self.average = WeightAverage(model, stage)
        self.checkpointer = Checkpointer(stage_run.file, stage, model, self.optimizer, self.average)
        self.position = self.checkpointer.resume()
        target = stage_run.pixels.device
        precision = stage_run.pixels.precision or device.precision(target)
        self.scaling = LossScaling(precision, target, self.position.scaling)
        recorder = _recorder(stage_run)
        with captured_step.on_stream(recorder):
            loss = build_stage_loss(model, stage, stage_run.processes, compiled=stage_run.compiled)
        step = TrainingStep(
            loss,
            self.optimizer,
            self.scaling,
            stage_run.processes,
            stage_run.autocast,
            clip_norm=stage.clip_norm,
        )
        processes = stage_run.processes
        warm_up = DISTRIBUTED_WARM_UP_CALLS if processes.exchange else WARM_UP_CALLS
        how: dict[str, Any] = {"warm_up_calls": warm_up, "agreed": processes.all}
        self.step = Captured(step, recorder, name=stage_run.title, **how)
        self.evaluate = validation.evaluation_step(model, stage_run)
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
                rates, loss = self.rates.of_epoch(position), position.total / self.stage_run.steps
                row = {"epoch": position.epoch, **rates, "loss": loss, **self._validate()}
                row |= best_on_test.watch(self.model, self.stage_run, self.average)
                position.history.append(row)
                if stage_checkpoint.best_epoch(position.history) == position.epoch:
                    self.checkpointer.keep_as_best()
                self.stage_run.note({**row, **speed})
                self.progress.epoch(position.epoch, row)
                held_out_loss = row["held_out_loss"]
                goes_on = position.plateau.step(stage.schedule, epoch=position.epoch, loss=held_out_loss)
                position.ended = not goes_on or position.epoch == stage.epochs
                position.begin_next_epoch()
                self._save_if_due(self._requested_stop(), stage_ended=position.ended)
        self.checkpointer.load_selected()
        self.optimizer.zero_grad(set_to_none=True)  # a CUDA graph's memory is free when nothing refers to it
        return position.history

    def train_epoch(self) -> dict[str, Any]:
        """Train on the remaining batches of the epoch; returns its speed. CPU and GPU take the same path."""
        position, stage_run = self.position, self.stage_run
        remaining = self._remaining_batches()
        self.scaling.begin(position.total, position.scaling.skipped)
        first_step, began = position.step, time.monotonic()
        for batch in remaining:
            self.rates.set(position.plateau.lr, epoch=position.epoch, step=position.step)
            self.step(batch.images_BCHW, batch.labels_BC)
            self.average.update()
            position.step += 1
            self.progress.step()
            stop_signal = self._requested_stop()
            if position.step % LOG_STEPS == 0 or position.step == stage_run.steps or stop_signal:
                self._read_losses(first_step)
                self.progress.loss(position.total / position.step)
                if position.step < stage_run.steps:
                    self._save_if_due(stop_signal)
        return self._speed(position.step - first_step, time.monotonic() - began)

    def _validate(self) -> dict[str, Any]:
        """Held-out loss and mAP of the weights that the stage uses; with an average, also those of both."""
        results = self.average.of_both(lambda: validation.validate(self.model, self.stage_run, self.evaluate))
        for loss, _ in results.values():
            if loss is not None and not math.isfinite(loss):
                what = f"the loss on the held-out images is not finite at {self._where}"
                raise InputError(f"{what}: {self.scaling.remedy}")
        used = results[self.stage_run.stage.weights]
        row = dict(zip(("held_out_loss", "held_out_mAP"), used, strict=True))
        for name, (loss, mean_ap) in results.items() if self.average.is_on else ():
            row |= {f"{name}_held_out_loss": loss, f"{name}_held_out_mAP": mean_ap}
        return row

    def _remaining_batches(self) -> Iterable[Batch]:
        """The remaining batches of the epoch; of each batch only the share of this process."""
        position, stage_run = self.position, self.stage_run
        epoch: dict[str, Any] = {"stage": stage_run.stage, "seed": stage_run.seed, "epoch": position.epoch}
        remaining = batches.plan(stage_run.store.fitted, **epoch)[position.step :]
        shares = [indices_B[stage_run.processes.share(len(indices_B))] for indices_B in remaining]
        return stage_run.feed(stage_run.store.train, shares, pixels=stage_run.pixels, **epoch)

    def _speed(self, steps: int, seconds: float) -> dict[str, Any]:
        """The facts of an epoch that only the log gets, not the history: they differ between two runs."""
        return {
            "images_per_second": steps * self.stage_run.stage.batch_size / seconds,
            "memory_bytes": device.peak_memory(self.stage_run.pixels.device),
            "seconds": seconds,
            "processes": self.stage_run.processes.size,
            **self.scaling.facts(self.position.scaling),
        }

    def _read_losses(self, first_step: int) -> None:
        """Read the sum of the epoch's losses; InputError where a loss or a gradient was not finite."""
        if not self.scaling.all_finite:
            step = first_step + int(self.scaling.finite_steps) + 1
            raise InputError(self.scaling.fault(f"{self._where}, step {step}"))
        self.position.total, self.position.scaling = float(self.scaling.total), self.scaling.state()

    @property
    def _where(self) -> str:
        return f"stage {self.stage_run.stage.name}, epoch {self.position.epoch}"

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


def _recorder(stage_run: StageRun) -> captured_step.Recorder | None:
    """What records the training steps; None on the CPU, and where they cannot be recorded, which is said."""
    obstacle = "they are compiled (--compile)" if stage_run.compiled else ""
    if stage_run.stage.schedule.cycle_momentum:
        obstacle = "their momentum changes (cycle_momentum)"
    on, wanted = stage_run.pixels.device, stage_run.captured
    return captured_step.recorder(on, wanted=wanted, obstacle=obstacle, name=stage_run.title)
