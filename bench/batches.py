"""Store -> batches of tensors. Every random draw depends on (seed, stage, epoch, image) and on nothing else.

Legend: N images of a view, B of a batch, C labels, H = W = S side in pixels.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from bench.device import Courier, Sent
from bench.distribute import ALONE, Crew
from bench.stages import Augmentation, Collection, Stage
from bench.store import View

WHOLE = Augmentation(crops=(), mirror=False)


@dataclass(frozen=True)
class Batch:
    """Normalised images (B, 3, H, W), channels last in memory, and labels (B, C), 1.0 where positive, else
    0.0.
    """

    images_BCHW: Tensor
    labels_BC: Tensor


@dataclass(frozen=True)
class Pixels:
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
class Crops:
    """What happens to each image of a view in one epoch: box (left, top, width, height) and mirroring.

    Boxes are in 1/256 of the image's side; both tables have a row for every image of the view.
    """

    boxes_N4: NDArray[np.float32]
    mirrored_N: NDArray[np.bool_]


def generator(*what: object) -> np.random.Generator:
    """A counter-based generator of its own for whatever is named: no state is shared, nothing is replayed."""
    digest = hashlib.sha256("/".join(map(str, what)).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16])))


def order(indices_N: NDArray[np.int64], *, seed: int, stage: str, epoch: int) -> NDArray[np.int64]:
    """The epoch's order of the images."""
    return generator("order", seed, stage, epoch).permutation(indices_N)


def draw_crops(n: int, augmentation: Augmentation, *, seed: int, stage: str, epoch: int) -> Crops:
    """The epoch's table of crops for a view of n images: one of the size pairs, one of five places, mirror
    or not.
    """
    draws_N3 = generator("crops", seed, stage, epoch).random((n, 3), dtype=np.float32)
    sizes = augmentation.crops or (256,)
    apart = len(sizes) if augmentation.max_distort is None else augmentation.max_distort
    pairs = [(w, h) for i, w in enumerate(sizes) for j, h in enumerate(sizes) if abs(i - j) <= apart]
    extent_N2 = np.array(pairs, np.float32)[(draws_N3[:, 0] * len(pairs)).astype(int)]
    places = np.array([(0, 0), (1, 0), (0, 1), (1, 1), (0.5, 0.5)], np.float32)
    corner_N2 = np.floor((256 - extent_N2) * places[(draws_N3[:, 1] * len(places)).astype(int)])
    return Crops(np.hstack([corner_N2, extent_N2]), (draws_N3[:, 2] < 0.5) & augmentation.mirror)


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
    pixels: Pixels,
) -> Iterator[Batch]:
    """A batch for each list of images, cropped and mirrored as each image is in this epoch."""
    crops = draw_crops(len(view), stage.augmentation, seed=seed, stage=stage.name, epoch=epoch)
    for images_BHWC, labels_BC, boxes_B4, mirrored_B in read_ahead(view, chosen, pixels.device, crops=crops):
        images = images_BHWC.permute(0, 3, 1, 2).float()
        if stage.augmentation != WHOLE or images.shape[-1] != stage.input_size:
            images = crop(images, boxes_B4 * (images.shape[-1] / 256), mirrored_B, stage.input_size)
        yield Batch(pixels.normalise(images), labels_BC)


def evaluation(view: View, *, batch_size: int, pixels: Pixels, crew: Crew = ALONE) -> Iterator[Batch]:
    """Every image of a view once, in the view's order, as it is; the last batch may be smaller.

    Of a crew each process gets whole batches, dealt one by one.
    """
    chosen = crew.deal(np.split(np.arange(len(view)), range(batch_size, len(view), batch_size)))
    for images_BHWC, labels_BC in read_ahead(view, chosen, pixels.device):
        yield Batch(pixels.normalise(images_BHWC.permute(0, 3, 1, 2).float()), labels_BC)


def read_ahead(
    view: View,
    chosen: Sequence[NDArray[np.int64]],
    device: torch.device,
    *,
    crops: Crops | None = None,
    depth: int = 3,
) -> Iterator[list[Tensor]]:
    """[uint8 images, labels] for each list of indices, and with crops [..., boxes, mirrored].

    One thread reads, and copies to the device, `depth` batches ahead.
    """
    positive_NC = (view.labels_NC == 1).astype(np.float32)
    courier = Courier(device)

    def fetch(indices_B: NDArray[np.int64]) -> Sent:
        drawn = () if crops is None else (crops.boxes_N4[indices_B], crops.mirrored_N[indices_B])
        return courier.send(view.images(indices_B), positive_NC[indices_B], *drawn)

    pending: deque[Future[Sent]] = deque()
    with ThreadPoolExecutor(max_workers=1) as thread:
        for indices_B in chosen:
            pending.append(thread.submit(fetch, indices_B))
            if len(pending) > depth:
                yield courier.receive(pending.popleft().result())
        while pending:
            yield courier.receive(pending.popleft().result())
