"""What the measurement of training is fed: made-up images of the store's shape, in memory."""

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
    """What is measured: the trunk, sides of stored and test images, batches of so many, steps of an epoch."""

    trunk: str
    stored: int
    side: int
    batch: int
    steps: int


FULL = Size("resnet101", stored=256, side=224, batch=96, steps=50)
SMALL = Size("resnet10_narrow", stored=80, side=64, batch=32, steps=6)


class View:
    """Images in memory, as the store's views give them; there are few, and every index stands for one."""

    def __init__(self, number: int, side: int, *, kept: int) -> None:
        rng = np.random.default_rng(0)
        self.number = number
        self.kept_NHWC = rng.integers(0, 256, (min(kept, number), side, side, 3), dtype=np.uint8)
        self.labels_NC = (rng.random((number, LABELS)) < 0.04).astype(np.int8)
        self.labels_NC[0] = 1  # every label has a positive

    def __len__(self) -> int:
        return self.number

    def images(self, indices_B: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pixels (B, S, S, 3), copied out as from a memory map."""
        return self.kept_NHWC[indices_B % len(self.kept_NHWC)]


class Made:
    """A store of made-up images."""

    def __init__(self, size: Size) -> None:
        self.train = View(size.batch * size.steps, size.stored, kept=10 * size.batch)
        self.held_out = View(size.batch, size.side, kept=size.batch)
        self.test = View(size.batch * size.steps, size.side, kept=10 * size.batch)
        self.fitted = np.arange(len(self.train))


class InTurn:
    """Batches of the real pipeline in odd epochs; in even ones one batch, on the device, again and again.

    first: seconds from the beginning to the end of the first step.
    """

    def __init__(self) -> None:
        self.began, self.first = time.monotonic(), 0.0
        self.resident: Batch | None = None

    def __call__(
        self, view: Any, chosen: list[NDArray[np.int64]], *, number: int = 0, **how: Any
    ) -> Iterator[Batch]:
        """number: the epoch, where `how` has always the same one."""
        if (number or how["epoch"]) % 2 == 0:
            if self.resident is None:
                (self.resident,) = batches.training(view, chosen[:1], **how)
            yield from [self.resident] * len(chosen)
            return
        for step, batch in enumerate(batches.training(view, chosen, **how)):
            if step == 1 and not self.first:
                wait(how["pixels"].device)
                self.first = time.monotonic() - self.began
            yield batch


def wait(on: torch.device) -> None:
    if on.type == "cuda":
        torch.cuda.synchronize(on)
