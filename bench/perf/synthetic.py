"""Random images in memory, in the form of a store, and the batches that measure training on them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.training import batches
from bench.training.batches import Batch

LABELS = 80


@dataclass(frozen=True)
class Size:
    """The size of a measurement.

    stored: side of the training images in pixels. side: that of held-out and test images, and of crops.
    batch: images per batch. steps: per epoch. evaluated: images that are predicted.
    """

    trunk: str
    stored: int
    side: int
    batch: int
    steps: int
    evaluated: int


# As many as in MS-COCO: with a few thousand, starting up would be measured.
FULL = Size("resnet101", stored=256, side=224, batch=96, steps=50, evaluated=40_504)
SMALL = Size("resnet10_narrow", stored=80, side=64, batch=32, steps=6, evaluated=200)


class SyntheticView:
    """Random images with the interface of a store's view.

    number: of images. kept: the number of different images, which are in memory; indices repeat them.
    """

    def __init__(self, number: int, side: int, *, kept: int) -> None:
        rng = np.random.default_rng(0)
        self.number = number
        self.kept_NHWC = rng.integers(0, 256, (min(kept, number), side, side, 3), dtype=np.uint8)
        self.labels_NC = (rng.random((number, LABELS)) < 0.04).astype(np.int8)
        self.labels_NC[0] = 1  # every label has a positive
        self.targets_NC, self.ignores_unknown = self.labels_NC, False

    def __len__(self) -> int:
        return self.number

    def targets(self, indices_B: NDArray[np.int64]) -> NDArray[np.int8]:
        """The labels (B, C) as training takes them."""
        return self.labels_NC[indices_B]

    def images(self, indices_B: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pixels (B, S, S, 3) of an image's side S, copied as from a memory map."""
        return self.kept_NHWC[indices_B % len(self.kept_NHWC)]


class SyntheticStore:
    """Random images with the interface of a store."""

    def __init__(self, size: Size) -> None:
        self.train = SyntheticView(size.batch * size.steps, size.stored, kept=10 * size.batch)
        self.held_out = SyntheticView(size.batch, size.side, kept=size.batch)
        self.test = SyntheticView(size.evaluated, size.side, kept=10 * size.batch)
        self.warm_up = SyntheticView(10 * size.batch, size.side, kept=10 * size.batch)
        self.fitted = np.arange(len(self.train))


class AlternatingFeed:
    """Batches of the real pipeline in odd epochs; in even epochs one batch, kept on the device, repeated.

    first_step_seconds: from the start to the end of the first training step.
    """

    def __init__(self) -> None:
        self.began, self.first_step_seconds = time.monotonic(), 0.0
        self.resident: Batch | None = None

    def __call__(
        self, view: Any, batch_indices: list[NDArray[np.int64]], *, number: int = 0, **options: Any
    ) -> Iterator[Batch]:
        """batch_indices: the images of each batch. number: the epoch, if `options` does not have it.

        options: those of `bench.training.batches.training`.
        """
        if (number or options["epoch"]) % 2 == 0:
            if self.resident is None:
                (self.resident,) = batches.training(view, batch_indices[:1], **options)
            yield from [self.resident] * len(batch_indices)
            return
        for step, batch in enumerate(batches.training(view, batch_indices, **options)):
            if step == 1 and not self.first_step_seconds:
                wait(options["pixels"].device)
                self.first_step_seconds = time.monotonic() - self.began
            yield batch


def wait(target: torch.device) -> None:
    """Wait until the device has done its work."""
    if target.type == "cuda":
        torch.cuda.synchronize(target)
