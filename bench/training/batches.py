"""Store -> batches of tensors. Every random draw depends on (seed, stage, epoch, image) and on nothing else.

Legend: N images of a view, B of a batch, C labels, H = W = S side in pixels.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from bench.data.store import View
from bench.training.device import DeviceCopier, Sent
from bench.training.distributed import SINGLE_PROCESS, Processes
from bench.training.stages import Augmentation, Collection, Stage


@dataclass(frozen=True)
class Batch:
    """Normalised images (B, 3, H, W), channels last in memory, and labels (B, C), 1.0 where positive, else
    0.0.
    """

    images_BCHW: Tensor
    labels_BC: Tensor


@dataclass(frozen=True)
class InputTransform:
    """How uint8 pixels become the trunk's input: p / 255, minus mean, divided by std, on a device."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    device: torch.device

    def normalise(self, images_BCHW: Tensor) -> Tensor:
        mean, std = self._constants
        return (images_BCHW / 255 - mean) / std

    @cached_property
    def _constants(self) -> tuple[Tensor, Tensor]:
        """Made once: to put a number on a GPU makes the process wait for it."""
        mean, std = (torch.tensor(value, device=self.device) for value in (self.mean, self.std))
        return mean.view(1, -1, 1, 1), std.view(1, -1, 1, 1)


@dataclass(frozen=True)
class Draws:
    """What happens to each image of a view in one epoch; every table has a row for every image of the view.

    Boxes are left, top, width, height in 1/256 of the image's side; factors are those of `jitter`.
    """

    boxes_N4: NDArray[np.float32]
    mirrored_N: NDArray[np.bool_]
    factors_N3: NDArray[np.float32]

    def of(self, indices_B: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
        """The rows of some images."""
        return self.boxes_N4[indices_B], self.mirrored_N[indices_B], self.factors_N3[indices_B]


def generator(*what: object) -> np.random.Generator:
    """A counter-based generator of its own for whatever is named: no state is shared, nothing is replayed."""
    digest = hashlib.sha256("/".join(map(str, what)).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16])))


def order(indices_N: NDArray[np.int64], *, seed: int, stage: str, epoch: int) -> NDArray[np.int64]:
    """The epoch's order of the images."""
    return generator("order", seed, stage, epoch).permutation(indices_N)


def draw(n: int, augmentation: Augmentation, *, seed: int, stage: str, epoch: int) -> Draws:
    """The epoch's tables for a view of n images: one of the size pairs, one of five places, mirror or not,
    and three factors, uniform in 1 - jitter .. 1 + jitter.
    """
    draws_N3 = generator("crops", seed, stage, epoch).random((n, 3), dtype=np.float32)
    sizes = augmentation.crops or (256,)
    apart = len(sizes) if augmentation.max_distort is None else augmentation.max_distort
    pairs = [(w, h) for i, w in enumerate(sizes) for j, h in enumerate(sizes) if abs(i - j) <= apart]
    extent_N2 = np.array(pairs, np.float32)[(draws_N3[:, 0] * len(pairs)).astype(int)]
    places = np.array([(0, 0), (1, 0), (0, 1), (1, 1), (0.5, 0.5)], np.float32)
    corner_N2 = np.floor((256 - extent_N2) * places[(draws_N3[:, 1] * len(places)).astype(int)])
    mirrored_N = (draws_N3[:, 2] < 0.5) & augmentation.mirror
    factors_N3 = generator("jitter", seed, stage, epoch).random((n, 3), dtype=np.float32) * 2 - 1
    return Draws(np.hstack([corner_N2, extent_N2]), mirrored_N, 1 + augmentation.jitter * factors_N3)


def crop(images_BCHW: Tensor, boxes_B4: Tensor, mirrored_B: Tensor, size: int) -> Tensor:
    """Each image's box resized to (size, size), bilinear without antialias, then mirrored where asked.

    images_BCHW: float; boxes_B4: left, top, width, height in pixels. Output pixel i of n samples the box at
    (i + 0.5) * extent / n - 0.5, clamped to the box, as OpenCV's INTER_LINEAR does on the box alone.
    """
    side = images_BCHW.shape[-1]
    steps_n = _steps(size, images_BCHW.device)
    mirrored_Bn = torch.where(mirrored_B[:, None], steps_n.flip(0), steps_n)
    axes = []
    for axis, steps in ((0, mirrored_Bn), (1, steps_n.expand_as(mirrored_Bn))):
        start, extent = boxes_B4[:, axis, None], boxes_B4[:, axis + 2, None]
        inside = (steps * extent - 0.5).clamp(min=0).minimum(extent - 1)
        axes.append((start + inside) * 2 / (side - 1) - 1)  # -1 and 1 are the centres of the outer pixels
    x_BHW, y_BHW = axes[0][:, None, :].expand(-1, size, -1), axes[1][:, :, None].expand(-1, -1, size)
    grid_BHW2 = torch.stack([x_BHW, y_BHW], dim=-1)
    found = F.grid_sample(images_BCHW, grid_BHW2, mode="bilinear", padding_mode="border", align_corners=True)
    return found.contiguous(memory_format=torch.channels_last)


@cache
def _steps(size: int, device: torch.device) -> Tensor:
    """The centres of `size` pixels along a side of length 1."""
    return (torch.arange(size, device=device) + 0.5) / size


def jitter(images_BCHW: Tensor, factors_B3: Tensor) -> Tensor:
    """RGB images from 0 to 255 in another brightness, then contrast, then saturation, each by its factor f.

    A pixel p becomes f p + (1 - f) q, clipped to 0..255, where q is black, the mean grey of the image, and
    the pixel's grey: torchvision's ColorJitter without a change of hue. There the order is drawn too; without
    the clipping it would not matter.
    """
    brightness, contrast, saturation = factors_B3.T.reshape(3, -1, 1, 1, 1)
    images = _mix(images_BCHW, 0, brightness)
    images = _mix(images, _grey(images).mean(dim=(2, 3), keepdim=True), contrast)
    return _mix(images, _grey(images), saturation)


def _mix(images_BCHW: Tensor, base: Tensor | float, factor: Tensor) -> Tensor:
    return (factor * images_BCHW + (1 - factor) * base).clamp(0, 255)


def _grey(images_BCHW: Tensor) -> Tensor:
    """(B, 1, H, W), in torchvision's shares."""
    red, green, blue = images_BCHW.split(1, dim=1)
    grey_B1HW: Tensor = 0.2989 * red + 0.587 * green + 0.114 * blue
    return grey_B1HW


def plan(indices_N: NDArray[np.int64], *, stage: Stage, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """The images of each of the epoch's batches; the incomplete last batch is dropped."""
    order_N = order(indices_N, seed=seed, stage=stage.name, epoch=epoch)
    whole = len(order_N) // stage.batch_size * stage.batch_size
    return np.split(order_N[:whole], range(stage.batch_size, whole, stage.batch_size))


def training(
    view: View,
    chosen: Sequence[NDArray[np.int64]],
    *,
    stage: Stage | Collection,
    seed: int,
    epoch: int,
    pixels: InputTransform,
) -> Iterator[Batch]:
    """A batch for each list of images, cropped, mirrored and coloured as each image is in this epoch."""
    how = stage.augmentation
    draws = draw(len(view), how, seed=seed, stage=stage.name, epoch=epoch)
    ahead = read_ahead(view, chosen, pixels.device, draws=draws)
    for images_BHWC, labels_BC, boxes_B4, mirrored_B, factors_B3 in ahead:
        images = images_BHWC.permute(0, 3, 1, 2).float()
        if not how.keeps_places or images.shape[-1] != stage.input_size:
            images = crop(images, boxes_B4 * (images.shape[-1] / 256), mirrored_B, stage.input_size)
        if how.jitter:
            images = jitter(images, factors_B3)
        yield Batch(pixels.normalise(images), labels_BC)


def evaluation(
    view: View, *, batch_size: int, pixels: InputTransform, processes: Processes = SINGLE_PROCESS
) -> Iterator[Batch]:
    """Every image of a view once, in the view's order, as it is; the last batch may be smaller.

    Of a processes each process gets whole batches, dealt one by one.
    """
    chosen = processes.deal(np.split(np.arange(len(view)), range(batch_size, len(view), batch_size)))
    for images_BHWC, labels_BC in read_ahead(view, chosen, pixels.device):
        yield Batch(pixels.normalise(images_BHWC.permute(0, 3, 1, 2).float()), labels_BC)


def read_ahead(
    view: View,
    chosen: Sequence[NDArray[np.int64]],
    device: torch.device,
    *,
    draws: Draws | None = None,
    depth: int = 3,
) -> Iterator[list[Tensor]]:
    """[uint8 images, labels] for each list of indices, and with draws [..., boxes, mirrored, factors].

    One thread reads, and copies to the device, `depth` batches ahead.
    """
    positive_NC = (view.labels_NC == 1).astype(np.float32)
    copier = DeviceCopier(device)

    def fetch(indices_B: NDArray[np.int64]) -> Sent:
        drawn = draws.of(indices_B) if draws else ()
        return copier.send(view.images(indices_B), positive_NC[indices_B], *drawn)

    pending: deque[Future[Sent]] = deque()
    with ThreadPoolExecutor(max_workers=1) as thread:
        for indices_B in chosen:
            pending.append(thread.submit(fetch, indices_B))
            if len(pending) > depth:
                yield copier.receive(pending.popleft().result())
        while pending:
            yield copier.receive(pending.popleft().result())
