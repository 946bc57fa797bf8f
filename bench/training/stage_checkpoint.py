"""The position of a stage's training, and its checkpoint: weights, momentum and position in one file."""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.training import stages, tensor_file
from bench.training.loss_scaling import ScalingState
from bench.training.schedule import Plateau
from bench.training.stages import Stage

SAVING_SHARE = 0.02  # the largest share of a stage's time that is spent on saving checkpoints


@dataclass
class StagePosition:
    """How far a stage has come: all that a checkpoint holds besides tensors.

    epoch: the current one, from 1; step: how many of its batches are done; total: the sum of their losses;
    history: a row for each finished epoch; scaling: of the loss, under float16.
    """

    plateau: Plateau
    epoch: int = 1
    step: int = 0
    total: float = 0.0
    ended: bool = False
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    scaling: ScalingState = dataclasses.field(default_factory=ScalingState)

    def begin_next_epoch(self) -> None:
        self.epoch, self.step, self.total = self.epoch + 1, 0, 0.0
        self.scaling = dataclasses.replace(self.scaling, skipped=0)


def best_epoch(history: Sequence[Mapping[str, Any]]) -> int:
    """The epoch with the highest held-out mAP; of equal ones, or without mAP, that with the lowest loss.

    Without held-out images it is the last one.

    >>> maps = {1: 60.0, 2: 70.0}
    >>> best_epoch([{"epoch": n, "held_out_mAP": m, "held_out_loss": 2.0} for n, m in maps.items()])
    2
    """
    if history[-1]["held_out_loss"] is None:
        return int(history[-1]["epoch"])
    best_row = max(history, key=lambda row: (row["held_out_mAP"] or 0.0, -row["held_out_loss"]))
    return int(best_row["epoch"])


class Checkpointer:
    """Saves a stage's checkpoint, only as often as `SAVING_SHARE` allows, and loads it again."""

    def __init__(self, file: Path, stage: Stage, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.file, self.stage, self.model, self.optimizer = file, stage, model, optimizer
        self.best: dict[str, Tensor] = {}
        self._last_saved, self._seconds_to_save = time.monotonic(), 0.0

    @property
    def due(self) -> bool:
        """Whether enough time has passed since the last checkpoint to keep within `SAVING_SHARE`."""
        return time.monotonic() - self._last_saved >= self._seconds_to_save / SAVING_SHARE

    def keep_as_best(self) -> None:
        """Copy the current weights as the best so far, if the stage selects the best epoch."""
        if self.stage.select == "best":
            self.best = {name: tensor.clone() for name, tensor in stages.learned(self.model, self.stage)}

    def load_selected(self) -> None:
        """Give the model the weights of the epoch that the stage selects: the best, or the last as it is."""
        state = self.model.state_dict()
        for name, tensor in self.best.items():
            state[name].copy_(tensor)

    def save(self, position: StagePosition) -> None:
        """Write the stage's tensors and its position to the file."""
        began = time.monotonic()
        tensors = {f"model.{name}": tensor for name, tensor in stages.learned(self.model, self.stage)}
        for number, parameter in self._parameters():
            if (momentum := self.optimizer.state[parameter].get("momentum_buffer")) is not None:
                tensors[f"momentum.{number}"] = momentum
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        tensor_file.save(self.file, tensors, dataclasses.asdict(position))
        self._last_saved = time.monotonic()
        self._seconds_to_save = self._last_saved - began

    def resume(self) -> StagePosition:
        """Load weights, momentum and position from the file; without a file, the beginning of the stage."""
        if not self.file.exists():
            return StagePosition(Plateau(lr=self.stage.schedule.lr))
        tensors, facts = tensor_file.load(self.file)
        state = dict(self.model.state_dict())
        for key, tensor in tensors.items():
            if key.startswith("model."):
                state[key.removeprefix("model.")].copy_(tensor)
            elif key.startswith("best."):
                name = key.removeprefix("best.")
                self.best[name] = torch.empty_like(state[name]).copy_(tensor)
        for number, parameter in self._parameters():
            if f"momentum.{number}" in tensors:
                self.optimizer.state[parameter]["momentum_buffer"].copy_(tensors[f"momentum.{number}"])
        read = {"plateau": Plateau(**facts["plateau"]), "scaling": ScalingState(**facts["scaling"])}
        return StagePosition(**{**facts, **read})

    def _parameters(self) -> Iterator[tuple[int, Tensor]]:
        """The optimizer's parameters with their numbers, in its order."""
        return enumerate(parameter for group in self.optimizer.param_groups for parameter in group["params"])
