"""How a stage is learned, by its kind: trained by the loop, or collected in one pass.

Legend: N images that are learned from, B of a batch, D numbers that are kept of an image, C labels.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from bench.base import progress
from bench.data.store import Store
from bench.scoring import metrics
from bench.training import batches, device, stage_checkpoint, stages
from bench.training.batches import Batch, InputTransform
from bench.training.distributed import SINGLE_PROCESS, Processes
from bench.training.inference import predict
from bench.training.loop import StageRun, train
from bench.training.stages import Collection


class Learner(Protocol):
    """A model and the stage that it is to learn."""

    def learn(self) -> dict[str, Any]:
        """Learn the stage; returns its facts: `epochs`, a row for each, and what else its kind states."""

    def result(self) -> Mapping[str, Tensor]:
        """What was learned."""

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Give the model a result that was learned before."""


@dataclass(frozen=True)
class TrainingLearner:
    """A stage that the loop trains; its result is what of the model's state it may change."""

    model: nn.Module
    stage_run: StageRun

    def learn(self) -> dict[str, Any]:
        epochs = train(self.model, self.stage_run)
        ends = {"last": epochs[-1]["epoch"], "best": stage_checkpoint.best_epoch(epochs)}
        return {"epochs": epochs, "held_out": {**ends, "selected": ends[self.stage_run.stage.select]}}

    def result(self) -> Mapping[str, Tensor]:
        return dict(stages.learned(self.model, self.stage_run.stage))

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        state = self.result()
        for name, tensor in tensors.items():
            state[name].copy_(tensor)


@dataclass
class CollectionLearner:
    """A stage that collects; its result is a row and the labels of each image, and the model that made the
    rows.
    """

    model: nn.Module
    stage: Collection
    store: Store
    pixels: InputTransform
    title: str
    processes: Processes = SINGLE_PROCESS
    collected: dict[str, Tensor] = field(default_factory=dict, init=False)

    def learn(self) -> dict[str, Any]:
        """Facts: how many images were collected, and the model's mAP (percent) on the held-out ones."""
        rows_ND = collect(self.model, self.stage, self.store, self.pixels, processes=self.processes)
        self.hold(rows_ND)
        logits_NC = predict(self.model, self.store.held_out, self.pixels, processes=self.processes)
        held_out = metrics.evaluate(logits_NC, self.store.held_out.labels_NC)["mAP"]
        facts = {"images": len(rows_ND), "held_out_mAP": held_out if math.isfinite(held_out) else None}
        if self.processes.is_main:
            progress.say(f"{self.title}: {len(rows_ND)} images collected, held-out mAP {held_out:.2f}")
        return {"epochs": [], "collected": facts}

    def hold(self, rows_ND: Tensor) -> None:
        """Give the model what was collected, with the labels of these images."""
        positive_NC = (self.store.train.labels_NC[self.store.fitted] == 1).astype(np.uint8)
        self.take({self.stage.rows: rows_ND, self.stage.labels: torch.from_numpy(positive_NC)})

    def result(self) -> Mapping[str, Tensor]:
        return {**self.collected, **self.model.state_dict()}

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        names = (self.stage.rows, self.stage.labels)
        self.collected = {name: tensors[name] for name in names}
        self.stage.keep(self.model, *(tensors[name].float().to(self.pixels.device) for name in names))


@torch.no_grad()
def collect(
    model: nn.Module,
    stage: Collection,
    store: Store,
    pixels: InputTransform,
    *,
    processes: Processes = SINGLE_PROCESS,
    feed: Callable[..., Iterable[Batch]] = batches.training,
) -> Tensor:
    """rows_ND of the images that are learned from, in memory: the same for any number of processes."""
    processes.same_statistics(model)
    model.eval()
    chosen = np.split(store.fitted, range(stage.batch_size, len(store.fitted), stage.batch_size))
    dealt = []
    for batch in feed(store.train, processes.deal(chosen), stage=stage, seed=0, epoch=1, pixels=pixels):
        with device.autocast(pixels.device):
            dealt.append(stage.row(model, batch.images_BCHW).float())
    return torch.cat(processes.gather([rows_BD.cpu() for rows_BD in dealt]))
