"""How each kind of stage is learned: trained by the loop, or collected in one pass over the images.

Legend: N training images without the held-out ones, B of a batch, D numbers kept of an image, C labels.
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
from bench.training import batches, best_on_test, device, stage_checkpoint, stages
from bench.training.batches import Batch, InputTransform
from bench.training.distributed import SINGLE_PROCESS, Processes
from bench.training.inference import predict
from bench.training.loop import StageRun, train
from bench.training.stages import Collection
from bench.training.validation import held_out_map


class Learner(Protocol):
    """A model together with the stage that it learns."""

    def learn(self) -> dict[str, Any]:
        """Learn the stage; returns its facts: `epochs` (a row for each) and those of its kind of stage.

        `watched`, where there is one: see `best_on_test`. `held_out` is None where no images are held out.
        """

    def result(self) -> Mapping[str, Tensor]:
        """The tensors that the stage learned, by name."""

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Give the model a result that was learned before."""


@dataclass(frozen=True)
class TrainingLearner:
    """A stage that the loop trains; its result is the part of the model's state that the stage trains."""

    model: nn.Module
    stage_run: StageRun

    def learn(self) -> dict[str, Any]:
        epochs, watched = best_on_test.apart(train(self.model, self.stage_run))
        if epochs[-1]["held_out_loss"] is None:
            return {"epochs": epochs, "held_out": None, **watched}
        ends = {"last": epochs[-1]["epoch"], "best": stage_checkpoint.best_epoch(epochs)}
        stage = self.stage_run.stage
        used = {"weights": stage.weights} if stage.ema else {}
        return {"epochs": epochs, "held_out": {**ends, "selected": ends[stage.select], **used}, **watched}

    def result(self) -> Mapping[str, Tensor]:
        return dict(stages.learned(self.model, self.stage_run.stage))

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        state = self.result()
        for name, tensor in tensors.items():
            state[name].copy_(tensor)


@dataclass
class CollectionLearner:
    """A stage that collects a row of numbers from every image.

    Its result is the row and the labels of each image, unless the stage stores the state alone, and the state
    of the model.
    """

    model: nn.Module
    stage: Collection
    store: Store
    pixels: InputTransform
    title: str
    processes: Processes = SINGLE_PROCESS
    captured: bool = True
    collected: dict[str, Tensor] = field(default_factory=dict, init=False)

    def learn(self) -> dict[str, Any]:
        """Collect; the facts are the number of images, and the mAP in percent on the held-out images."""
        rows_ND = collect(self.model, self.stage, self.store, self.pixels, processes=self.processes)
        self.hold(rows_ND)
        mean_ap = math.nan
        if len(self.store.held_out):
            how: dict[str, Any] = {"processes": self.processes, "captured": self.captured}
            logits_NC = predict(self.model, self.store.held_out, self.pixels, **how)
            mean_ap = held_out_map(logits_NC, self.store.held_out)
        facts = {"images": len(rows_ND), "held_out_mAP": mean_ap if math.isfinite(mean_ap) else None}
        if self.processes.is_main:
            validated = f", held-out mAP {mean_ap:.2f}" if len(self.store.held_out) else ""
            progress.say(f"{self.title}: {len(rows_ND)} images collected{validated}")
        return {"epochs": [], "collected": facts}

    def hold(self, rows_ND: Tensor) -> None:
        """Give the model the rows that were collected, with the labels of their images."""
        targets_NC = self.store.train.targets_NC[self.store.fitted]
        self._keep({self.stage.rows: rows_ND, self.stage.labels: torch.from_numpy(targets_NC)})

    def result(self) -> Mapping[str, Tensor]:
        return {**self.collected, **self.model.state_dict()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        if self.stage.stores == "state":
            self.model.load_state_dict(tensors)
        else:
            self._keep(tensors)

    def _keep(self, tensors: Mapping[str, Tensor]) -> None:
        names = (self.stage.rows, self.stage.labels)
        self.collected = {name: tensors[name] for name in names if self.stage.stores == "rows"}
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
    """The rows (N, D) of the training images, on the CPU; they do not depend on the number of processes."""
    processes.broadcast_buffers(model)
    model.eval()
    batch_indices = np.split(store.fitted, range(stage.batch_size, len(store.fitted), stage.batch_size))
    own_rows = []
    for batch in feed(
        store.train, processes.deal(batch_indices), stage=stage, seed=0, epoch=1, pixels=pixels
    ):
        with device.autocast(pixels.device, pixels.precision):
            own_rows.append(stage.row(model, batch.images_BCHW).float())
    return torch.cat(processes.gather([rows_BD.cpu() for rows_BD in own_rows]))
