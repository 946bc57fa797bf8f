"""The position of a stage's training, and its checkpoint: weights, optimizer and position in one file."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.training import stages, tensor_file
from bench.training.loss_scaling import ScalingState
from bench.training.schedule import Plateau
from bench.training.stages import Stage
from bench.training.weight_average import WeightAverage

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

    def __init__(
        self,
        file: Path,
        stage: Stage,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        average: WeightAverage,
    ) -> None:
        self.file, self.stage, self.model = file, stage, model
        self.optimizer, self.average = optimizer, average
        self.best: dict[str, Tensor] = {}
        self._last_saved, self._seconds_to_save = time.monotonic(), 0.0

    @property
    def due(self) -> bool:
        """Whether enough time has passed since the last checkpoint to keep within `SAVING_SHARE`."""
        return time.monotonic() - self._last_saved >= self._seconds_to_save / SAVING_SHARE

    def keep_as_best(self) -> None:
        """Copy the current weights as the best so far, if the stage selects the best epoch."""
        if self.stage.select == "best":
            used = self.average.averages if self.average.is_used else self._weights()
            self.best = {name: tensor.clone() for name, tensor in used.items()}

    def load_selected(self) -> None:
        """Give the model the weights that the stage selects: the best, the average, or as they are."""
        state = self.model.state_dict()
        averages = self.average.averages if self.average.is_used else {}
        for name, tensor in (self.best or averages).items():
            state[name].copy_(tensor)

    def save(self, position: StagePosition) -> None:
        """Write the stage's tensors and its position to the file."""
        began = time.monotonic()
        tensors = {f"model.{name}": tensor for name, tensor in self._weights().items()}
        tensors |= self._optimizer_state()
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.averages.items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        tensor_file.save(self.file, tensors, dataclasses.asdict(position))
        self._last_saved = time.monotonic()
        self._seconds_to_save = self._last_saved - began

    def resume(self) -> StagePosition:
        """Load weights, the optimizer's state and position from the file; without one, the stage begins."""
        if not self.file.exists():
            return StagePosition(Plateau(lr=self.stage.schedule.lr))
        tensors, facts = tensor_file.load(self.file)
        state = dict(self.model.state_dict())
        places = {"model": state, "average": self.average.averages}
        for key, tensor in tensors.items():
            kind, _, name = key.partition(".")
            if kind in places:
                places[kind][name].copy_(tensor)
            elif kind == "best":
                self.best[name] = torch.empty_like(state[name]).copy_(tensor)
        for key, tensor in self._optimizer_state().items():
            tensor.copy_(tensors[key])
        read = {"plateau": Plateau(**facts["plateau"]), "scaling": ScalingState(**facts["scaling"])}
        return StagePosition(**{**facts, **read})

    def _weights(self) -> dict[str, Tensor]:
        """The tensors that the stage trains."""
        return dict(stages.learned(self.model, self.stage))

    def _optimizer_state(self) -> dict[str, Tensor]:
        """The optimizer's tensors, such as `momentum.3`, by their name and the parameter's number."""
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        return {
            f"{name.removesuffix('_buffer')}.{number}": tensor
            for number, parameter in enumerate(parameters)
            for name, tensor in self.optimizer.state[parameter].items()
        }
