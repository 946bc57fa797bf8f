"""Where a stage stands, and its checkpoint: weights, momentum and position in one file."""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.training import stages, tensor_file
from bench.training.schedule import Plateau
from bench.training.stages import Stage

SAVING_SHARE = 0.02  # of a stage's time, at most, is spent on saving within it


@dataclass
class StagePosition:
    """Where a stage stands: all that a checkpoint holds beside tensors. `total` is the epoch's loss so
    far.
    """

    plateau: Plateau
    epoch: int = 1
    step: int = 0
    total: float = 0.0
    ended: bool = False
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)


def best_epoch(history: Sequence[Mapping[str, Any]]) -> int:
    """The epoch with the highest held-out mAP; of equals, and where there is none, with the lowest loss.

    >>> best([{"epoch": n, "held_out_mAP": m, "held_out_loss": 2.0} for n, m in ((1, 60.0), (2, 70.0))])
    2
    """
    row = max(history, key=lambda row: (row["held_out_mAP"] or 0.0, -row["held_out_loss"]))
    return int(row["epoch"])


class Checkpointer:
    """Keeps a stage's checkpoint in a file, so seldom that saving takes its share of the time at most."""

    def __init__(self, file: Path, stage: Stage, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.file, self.stage, self.model, self.optimizer = file, stage, model, optimizer
        self.best: dict[str, Tensor] = {}
        self._saved, self._took = time.monotonic(), 0.0

    @property
    def due(self) -> bool:
        """Whether the share allows another one."""
        return time.monotonic() - self._saved >= self._took / SAVING_SHARE

    def remember(self) -> None:
        """Keep the weights as they are now for the best so far, where the stage asks for them."""
        if self.stage.select == "best":
            self.best = {name: tensor.clone() for name, tensor in stages.learned(self.model, self.stage)}

    def select(self) -> None:
        """Give the model the weights that the stage ends with."""
        named = self.model.state_dict()
        for name, tensor in self.best.items():
            named[name].copy_(tensor)

    def save(self, at: StagePosition) -> None:
        """Put the stage's tensors and its position into the file."""
        began = time.monotonic()
        tensors = {f"model.{name}": tensor for name, tensor in stages.learned(self.model, self.stage)}
        for number, parameter in self._parameters():
            if (buffer := self.optimizer.state[parameter].get("momentum_buffer")) is not None:
                tensors[f"momentum.{number}"] = buffer
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        tensor_file.save(self.file, tensors, dataclasses.asdict(at))
        self._saved = time.monotonic()
        self._took = self._saved - began

    def resume(self) -> StagePosition:
        """Weights, momentum and position from the file; the stage's beginning where there is none."""
        if not self.file.exists():
            return StagePosition(Plateau(lr=self.stage.schedule.lr))
        tensors, facts = tensor_file.load(self.file)
        named = dict(self.model.state_dict())
        for name, tensor in tensors.items():
            if name.startswith("model."):
                named[name.removeprefix("model.")].copy_(tensor)
            elif name.startswith("best."):
                own = name.removeprefix("best.")
                self.best[own] = torch.empty_like(named[own]).copy_(tensor)
        for number, parameter in self._parameters():
            if f"momentum.{number}" in tensors:
                buffer = torch.empty_like(parameter).copy_(tensors[f"momentum.{number}"])
                self.optimizer.state[parameter]["momentum_buffer"] = buffer
        return StagePosition(**{**facts, "plateau": Plateau(**facts["plateau"])})

    def _parameters(self) -> Iterator[tuple[int, Tensor]]:
        return enumerate(p for group in self.optimizer.param_groups for p in group["params"])
