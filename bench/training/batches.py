"""Batches of augmented, normalised images and their labels, read from a prepared store.

Every random number depends on (seed, stage, epoch, image) and on nothing else.

Legend: N images of a view, B of a batch, C labels, H = W = side in pixels.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from bench.data.store import View
from bench.training.device import DeviceCopier, Sent
from bench.training.distributed import SINGLE_PROCESS, Processes
from bench.training.random_augment import augment, draw_more, resized_boxes
from bench.training.stages import Augmentation, Collection, Stage

# Places of a crop; (0, 0) is at the left and top: the four corners, the centre.
PLACES = ((0, 0), (1, 0), (0, 1), (1, 1), (0.5, 0.5))
MORE_PLACES = (  # the middles of the sides; halfway between the corners and the centre
    *((0, 0.5), (1, 0.5), (0.5, 1), (0.5, 0)),
    *((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)),
)


@dataclass(frozen=True)
class Batch:
    """Normalised images (B, 3, H, W), channels last in memory; labels (B, C).

    A label is 1.0 positive, 0.0 negative, -1.0 not known: such an entry must not count in a loss.
    """

    images_BCHW: Tensor
    labels_BC: Tensor


@dataclass(frozen=True)
class InputTransform:
    """Turns pixels p from 0 to 255 into the trunk's input, (p / 255 - mean) / std, on a device.

    precision: the type in which the model multiplies matrices; None: the device's usual.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    device: torch.device
    precision: torch.dtype | None = None

    def normalise(self, images_BCHW: Tensor) -> Tensor:
        mean, std = self._constants
        return (images_BCHW / 255 - mean) / std

    @cached_property
    def _constants(self) -> tuple[Tensor, Tensor]:
        """Mean and std as tensors (1, 3, 1, 1), made only once: each copy to a GPU makes CPU and GPU wait."""
        mean, std = (torch.tensor(value, device=self.device) for value in (self.mean, self.std))
        return mean.view(1, -1, 1, 1), std.view(1, -1, 1, 1)


@dataclass(frozen=True)
class Draws:
    """The augmentation of each image of a view in one epoch: its crop, whether it is mirrored, its jitter.

    boxes_N4: left, top, width, height in 1/256 of the image's side; factors_N3: see `jitter`.
    """

    boxes_N4: NDArray[np.float32]
    mirrored_N: NDArray[np.bool_]
    factors_N3: NDArray[np.float32]

    def of(self, indices_B: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
        """The rows of the images with these indices: boxes, mirrored, factors."""
        return self.boxes_N4[indices_B], self.mirrored_N[indices_B], self.factors_N3[indices_B]


def generator(*purpose: object) -> np.random.Generator:
    """A random generator whose seed is the purpose: different purposes give independent generators."""
    digest = hashlib.sha256("/".join(map(str, purpose)).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16])))


def shuffled(indices_N: NDArray[np.int64], *, seed: int, stage: str, epoch: int) -> NDArray[np.int64]:
    """The images in the random order of the epoch."""
    return generator("order", seed, stage, epoch).permutation(indices_N)


def draw(n: int, augmentation: Augmentation, *, seed: int, stage: str, epoch: int) -> Draws:
    """Draw the augmentation of each of a view's n images in one epoch.

    The crop has one of the allowed pairs of width and height and lies at one of the `PLACES`; the three
    jitter factors are uniform in 1 - jitter .. 1 + jitter.
    """
    draws_N3 = generator("crops", seed, stage, epoch).random((n, 3), dtype=np.float32)
    sizes = augmentation.crops or (256,)
    most_apart = len(sizes) if augmentation.max_distort is None else augmentation.max_distort
    pairs = [(w, h) for i, w in enumerate(sizes) for j, h in enumerate(sizes) if abs(i - j) <= most_apart]
    extent_N2 = np.array(pairs, np.float32)[(draws_N3[:, 0] * len(pairs)).astype(int)]
    places = np.array(PLACES + MORE_PLACES if augmentation.more_places else PLACES, np.float32)
    corner_N2 = np.floor((256 - extent_N2) * places[(draws_N3[:, 1] * len(places)).astype(int)])
    mirrored_N = (draws_N3[:, 2] < 0.5) & augmentation.mirror
    factors_N3 = generator("jitter", seed, stage, epoch).random((n, 3), dtype=np.float32) * 2 - 1
    boxes_N4 = np.hstack([corner_N2, extent_N2])
    if augmentation.scale:
        boxes_N4 = resized_boxes(n, augmentation, partial(_generator, seed, stage, epoch))
    return Draws(boxes_N4, mirrored_N, 1 + augmentation.jitter * factors_N3)


def _generator(seed: int, stage: str, epoch: int, purpose: str) -> np.random.Generator:
    return generator(purpose, seed, stage, epoch)


def crop(images_BCHW: Tensor, boxes_B4: Tensor, mirrored_B: Tensor, size: int) -> Tensor:
    """Each image's box resized to (size, size), bilinear without antialiasing, and mirrored where asked for.

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
    crops = F.grid_sample(images_BCHW, grid_BHW2, mode="bilinear", padding_mode="border", align_corners=True)
    return crops.contiguous(memory_format=torch.channels_last)


@cache
def _steps(size: int, device: torch.device) -> Tensor:
    """The centres of `size` pixels along a side of length 1."""
    return (torch.arange(size, device=device) + 0.5) / size


def jitter(images_BCHW: Tensor, factors_B3: Tensor) -> Tensor:
    """Change brightness, then contrast, then saturation of RGB images from 0 to 255, each by its factor f.

    A pixel p becomes f p + (1 - f) q, clipped to 0..255, where q is black for brightness, the mean grey of
    the image for contrast, and the grey of the pixel for saturation. This is torchvision's ColorJitter
    without a change of hue, but in a fixed order: torchvision draws the order too, which makes a difference
    only where values are clipped.
    """
    brightness, contrast, saturation = factors_B3.T.reshape(3, -1, 1, 1, 1)
    images = _mix(images_BCHW, 0, brightness)
    images = _mix(images, _grey(images).mean(dim=(2, 3), keepdim=True), contrast)
    return _mix(images, _grey(images), saturation)


def _mix(images_BCHW: Tensor, base: Tensor | float, factor: Tensor) -> Tensor:
    return (factor * images_BCHW + (1 - factor) * base).clamp(0, 255)


def _grey(images_BCHW: Tensor) -> Tensor:
    """The grey of every pixel, (B, 1, H, W), with torchvision's weights of the colours."""
    red, green, blue = images_BCHW.split(1, dim=1)
    grey_B1HW: Tensor = 0.2989 * red + 0.587 * green + 0.114 * blue
    return grey_B1HW


def plan(indices_N: NDArray[np.int64], *, stage: Stage, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """The indices of the images of each batch of the epoch; the incomplete last batch is dropped."""
    shuffled_N = shuffled(indices_N, seed=seed, stage=stage.name, epoch=epoch)
    used = len(shuffled_N) // stage.batch_size * stage.batch_size
    return np.split(shuffled_N[:used], range(stage.batch_size, used, stage.batch_size))


def training(
    view: View,
    batch_indices: Sequence[NDArray[np.int64]],
    *,
    stage: Stage | Collection,
    seed: int,
    epoch: int,
    pixels: InputTransform,
) -> Iterator[Batch]:
    """A batch of augmented images for each array of indices."""
    augmentation = stage.augmentation
    draws = draw(len(view), augmentation, seed=seed, stage=stage.name, epoch=epoch)
    more = draw_more(len(view), augmentation, partial(_generator, seed, stage.name, epoch))
    tensors = read_ahead(view, batch_indices, pixels.device, draws=draws)
    for indices_B, (images_BHWC, labels_BC, boxes_B4, mirrored_B, factors_B3) in zip(
        batch_indices, tensors, strict=True
    ):
        images = images_BHWC.permute(0, 3, 1, 2).float()
        if not augmentation.keeps_places or images.shape[-1] != stage.input_size:
            images = crop(images, boxes_B4 * (images.shape[-1] / 256), mirrored_B, stage.input_size)
        if augmentation.jitter:
            images = jitter(images, factors_B3)
        images = augment(images, augmentation, more, indices_B)
        yield Batch(pixels.normalise(images), labels_BC)


def evaluation(
    view: View, *, batch_size: int, pixels: InputTransform, processes: Processes = SINGLE_PROCESS
) -> Iterator[Batch]:
    """Every image of a view once, in the view's order, without augmentation; the last batch may be smaller.

    Several processes take whole batches in turn.
    """
    batch_indices = processes.deal(np.split(np.arange(len(view)), range(batch_size, len(view), batch_size)))
    for images_BHWC, labels_BC in read_ahead(view, batch_indices, pixels.device):
        yield Batch(pixels.normalise(images_BHWC.permute(0, 3, 1, 2).float()), labels_BC)


def read_ahead(
    view: View,
    batch_indices: Sequence[NDArray[np.int64]],
    device: torch.device,
    *,
    draws: Draws | None = None,
    depth: int = 3,
) -> Iterator[list[Tensor]]:
    """[uint8 images, labels] for each array of indices, and with `draws` also [boxes, mirrored, factors].

    Meanwhile a thread reads up to `depth` batches ahead and copies them to the device.
    """
    copier = DeviceCopier(device)

    def fetch(indices_B: NDArray[np.int64]) -> Sent:
        augmentation = draws.of(indices_B) if draws else ()
        targets_BC = view.targets(indices_B).astype(np.float32)
        return copier.send(view.images(indices_B), targets_BC, *augmentation)

    pending: deque[Future[Sent]] = deque()
    with ThreadPoolExecutor(max_workers=1) as thread:
        for indices_B in batch_indices:
            pending.append(thread.submit(fetch, indices_B))
            if len(pending) > depth:
                yield copier.receive(pending.popleft().result())
        while pending:
            yield copier.receive(pending.popleft().result())
