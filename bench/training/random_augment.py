"""Random resized crops, cutout and RandAugment; every draw depends on seed, stage, epoch and image alone.

An operation is applied to all images of a batch that drew it, on the device, by torchvision's functions.

Legend: N images of a view, B of a batch, R rounds of RandAugment, H = W = S the side in pixels.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.training.stages import Augmentation

TRIES = 10  # of a random resized crop; as torchvision's
STEPS = 30  # magnitudes go from 0 to this


@dataclass(frozen=True)
class MoreDraws:
    """What cutout and RandAugment draw for each image.

    centres_N2: of the square, left to right and top to bottom, in shares of the side; colours_N3: of its
    pixels, 0 to 255. operations_NR: indices into `OPERATIONS`; is_negative_NR: the direction of each.
    """

    centres_N2: NDArray[np.float32]
    colours_N3: NDArray[np.float32]
    operations_NR: NDArray[np.int64]
    is_negative_NR: NDArray[np.bool_]


def draw_more(
    n: int, augmentation: Augmentation, generator: Callable[[str], np.random.Generator]
) -> MoreDraws:
    """Draw for each of a view's n images; generator: gives one for a purpose."""
    square_N5 = generator("cutout").random((n, 5), dtype=np.float32)
    operation_NR2 = generator("randaugment").random((n, augmentation.randaugment, 2), dtype=np.float32)
    return MoreDraws(
        square_N5[:, :2],
        np.floor(square_N5[:, 2:] * 256),
        (operation_NR2[..., 0] * len(OPERATIONS)).astype(np.int64),
        operation_NR2[..., 1] < 0.5,
    )


def resized_boxes(
    n: int, augmentation: Augmentation, generator: Callable[[str], np.random.Generator]
) -> NDArray[np.float32]:
    """A box (N, 4) for each image as torchvision's RandomResizedCrop draws it: left, top, width, height.

    In 1/256 of the side. Its area is a share from `scale` of the image's, its width / height is from `ratio`;
    of ten draws the first that fits counts, and if none does, the largest box in the middle with the ratio
    that is nearest to 1.
    """
    draws_NT4 = generator("resized crops").random((n, TRIES, 4))
    (smallest, largest), (narrowest, widest) = augmentation.scale, augmentation.ratio
    areas_NT = 256**2 * (smallest + (largest - smallest) * draws_NT4[..., 0])
    low, high = math.log(narrowest), math.log(widest)
    ratios_NT = np.exp(low + (high - low) * draws_NT4[..., 1])
    widths_NT, heights_NT = np.sqrt(areas_NT * ratios_NT).round(), np.sqrt(areas_NT / ratios_NT).round()
    fits_NT = (widths_NT > 0) & (widths_NT <= 256) & (heights_NT > 0) & (heights_NT <= 256)
    rows_N, first_N = np.arange(n), fits_NT.argmax(axis=1)
    extent_N2 = np.stack([widths_NT, heights_NT], axis=2)[rows_N, first_N]
    corner_N2 = np.floor((256 - extent_N2 + 1) * draws_NT4[rows_N, first_N, 2:])
    nearest = min(max(1.0, narrowest), widest)
    whole_2 = np.array([256 * min(1.0, nearest), 256 * min(1.0, 1 / nearest)]).round()
    any_fits_N1 = fits_NT.any(axis=1, keepdims=True)
    extent_N2 = np.where(any_fits_N1, extent_N2, whole_2)
    corner_N2 = np.where(any_fits_N1, corner_N2, (256 - whole_2) // 2)
    return np.hstack([corner_N2, extent_N2]).astype(np.float32)


def augment(
    images_BCHW: Tensor, augmentation: Augmentation, draws: MoreDraws, indices_B: NDArray[np.int64]
) -> Tensor:
    """The images, from 0 to 255, with cutout, then RandAugment, where the stage has them."""
    if augmentation.cutout:
        drawn = (draws.centres_N2[indices_B], draws.colours_N3[indices_B])
        centres_B2, colours_B3 = (torch.from_numpy(values).to(images_BCHW.device) for values in drawn)
        images_BCHW = cut_out(images_BCHW, centres_B2, colours_B3, augmentation.cutout)
    if augmentation.randaugment:
        operations_BR, is_negative_BR = draws.operations_NR[indices_B], draws.is_negative_NR[indices_B]
        return apply_operations(images_BCHW, operations_BR, is_negative_BR, augmentation.magnitude)
    return images_BCHW


def cut_out(images_BCHW: Tensor, centres_B2: Tensor, colours_B3: Tensor, share: float) -> Tensor:
    """The images with a square of one colour each, of this share of the side, where it lies inside."""
    side = images_BCHW.shape[-1]
    centre_of_pixel_S = (torch.arange(side, device=images_BCHW.device) + 0.5) / side
    is_near_B2S = (centre_of_pixel_S - centres_B2[:, :, None]).abs() < share / 2
    is_cut_B1HW = (is_near_B2S[:, 1, :, None] & is_near_B2S[:, 0, None, :])[:, None]
    return torch.where(is_cut_B1HW, colours_B3[:, :, None, None], images_BCHW)


def apply_operations(
    images_BCHW: Tensor,
    operations_BR: NDArray[np.int64],
    is_negative_BR: NDArray[np.bool_],
    magnitude: int,
) -> Tensor:
    """RandAugment (Cubuk et al. 2020) as torchvision has it; pixels are rounded to whole numbers first."""
    images = images_BCHW.round().clamp(0, 255).to(torch.uint8)
    for operations_B, is_negative_B in zip(operations_BR.T, is_negative_BR.T, strict=True):
        choices_B = operations_B * 2 + is_negative_B
        for choice in np.unique(choices_B).tolist():
            chosen = torch.from_numpy(np.flatnonzero(choices_B == choice)).to(images.device)
            operation = OPERATIONS[choice // 2]
            images[chosen] = operation(images[chosen], magnitude / STEPS, -1.0 if choice % 2 else 1.0)
    return images.float().contiguous(memory_format=torch.channels_last)


def _functional() -> Any:
    from torchvision.transforms.v2 import functional  # type: ignore[import-untyped]  # noqa: PLC0415 (slow to import)

    return functional


def _warped(images: Tensor, strength: float, sign: float, *, kind: str, axis: int, most: float) -> Tensor:
    """Sheared by up to `most`, or moved by up to this share of the side, along an axis."""
    amount, vector = sign * strength * most, [0.0, 0.0]
    given: dict[str, Any] = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": vector}
    if kind == "shear":
        vector[axis] = math.degrees(math.atan(amount))
        given["center"] = [0.0, 0.0]
    else:
        given["translate"][axis] = int(amount * images.shape[-1])
    warped: Tensor = _functional().affine(images, **given)
    return warped


def _coloured(images: Tensor, strength: float, sign: float, *, name: str) -> Tensor:
    changed: Tensor = getattr(_functional(), f"adjust_{name}")(images, 1.0 + sign * 0.9 * strength)
    return changed


def _rotated(images: Tensor, strength: float, sign: float) -> Tensor:
    rotated: Tensor = _functional().rotate(images, sign * 30.0 * strength)
    return rotated


def _posterized(images: Tensor, strength: float, _sign: float) -> Tensor:
    reduced: Tensor = _functional().posterize(images, 8 - round(4 * strength))
    return reduced


def _solarized(images: Tensor, strength: float, _sign: float) -> Tensor:
    inverted: Tensor = _functional().solarize(images, 255.0 * (1 - strength))
    return inverted


def _stretched(images: Tensor, _strength: float, _sign: float, *, name: str) -> Tensor:
    stretched: Tensor = getattr(_functional(), name)(images)
    return stretched


def _unchanged(images: Tensor, _strength: float, _sign: float) -> Tensor:
    return images


OPERATIONS: tuple[Callable[[Tensor, float, float], Tensor], ...] = (  # in torchvision's order
    _unchanged,
    partial(_warped, kind="shear", axis=0, most=0.3),
    partial(_warped, kind="shear", axis=1, most=0.3),
    partial(_warped, kind="move", axis=0, most=150 / 331),
    partial(_warped, kind="move", axis=1, most=150 / 331),
    _rotated,
    partial(_coloured, name="brightness"),
    partial(_coloured, name="saturation"),
    partial(_coloured, name="contrast"),
    partial(_coloured, name="sharpness"),
    _posterized,
    _solarized,
    partial(_stretched, name="autocontrast"),
    partial(_stretched, name="equalize"),
)
