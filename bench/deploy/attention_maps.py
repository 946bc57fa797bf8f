"""Where a model looked: its attention for the labels it tells, enlarged over the image, as a PNG.

A row a label; from left to right the image, A (attention, 1 in sum over positions) and U (the same times the
confidence at each place). Both are shown in shares of A's highest value, which stands above them.

Legend: B images, C labels, H = W positions along a side of the maps.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bench.base import method_names
from bench.base.atomic_files import write_atomically
from bench.base.errors import InputError
from bench.data.decode import PixelArray
from bench.deploy.answers import Labels
from bench.deploy.load_model import LoadedModel
from bench.training import device, method

SIDE = 256  # pixels of each picture
LINE = 20  # pixels of the words above it
GAP = 4  # pixels between it and the next
COLOURS = "inferno"  # dark to bright, so that it also tells without colour
COVER = 0.65  # how much of the image the colours hide


def require(found: LoadedModel) -> None:
    """InputError unless the model can tell where it looked; lists the methods that can."""
    if not isinstance(found.model, method.Explainable):
        able = [
            name
            for name in method_names.methods_in_order()
            if hasattr(method.load_method(name).Model, "explain")
        ]
        mine, *theirs = map(method_names.display_name, [found.facts["method"], *able])
        raise InputError(f"--maps: {mine} has no attention maps; methods that have: {', '.join(theirs)}")


@torch.no_grad()
def write(told: Sequence[tuple[Path, Labels]], found: LoadedModel, images_BHWC: PixelArray) -> None:
    """A picture for each image of a batch: its file, and the labels that it shows."""
    with device.autocast(found.pixels.device):
        explanation = found.model.explain(found.prepared(images_BHWC))  # type: ignore[operator]
    attention_BCHW, weighted_BCHW = (
        maps.float().cpu().numpy() for maps in (explanation.attention_BCHW, explanation.weighted_BCHW)
    )
    for (path, labels), image_HWC, attention_CHW, weighted_CHW in zip(
        told, images_BHWC, attention_BCHW, weighted_BCHW, strict=True
    ):
        places = [found.labels.index(name) for name, _ in labels]
        rows = [
            _row(image_HWC, attention_CHW[c], weighted_CHW[c], label)
            for c, label in zip(places, labels, strict=True)
        ]
        write_atomically(path, _png(np.concatenate(rows) if rows else enlarge(image_HWC)))


def _row(
    image_HWC: PixelArray,
    attention_HW: NDArray[np.float32],
    weighted_HW: NDArray[np.float32],
    label: tuple[str, float],
) -> PixelArray:
    highest = float(attention_HW.max())
    name, confidence = label
    captions = (f"{name} {confidence:.3f}", f"A, at most {highest:.3f}", "U = A x confidence there")
    shown = (
        enlarge(image_HWC),
        *(overlay(image_HWC, maps / highest) for maps in (attention_HW, weighted_HW)),
    )
    return np.concatenate([_captioned(*pair) for pair in zip(shown, captions, strict=True)], axis=1)


def overlay(image_HWC: PixelArray, shares_HW: NDArray[np.float32]) -> PixelArray:
    """Shares in 0..1 as colours over the image, each position a square of its own."""
    colours_HW3 = (mpl.colormaps[COLOURS](shares_HW)[..., :3] * 255).astype(np.uint8)
    blended = (1 - COVER) * enlarge(image_HWC) + COVER * enlarge(colours_HW3)
    return np.rint(blended).astype(np.uint8)


def enlarge(pixels_HWC: PixelArray) -> PixelArray:
    """To SIDE x SIDE pixels by nearest neighbour."""
    return np.asarray(Image.fromarray(pixels_HWC).resize((SIDE, SIDE), Image.Resampling.NEAREST))


def _captioned(picture_HWC: PixelArray, words: str) -> PixelArray:
    canvas = Image.new("RGB", (SIDE + GAP, LINE + SIDE), "white")
    ImageDraw.Draw(canvas).text((4, 4), words, fill="black", font_size=12)
    canvas.paste(Image.fromarray(picture_HWC), (0, LINE))
    return np.asarray(canvas)


def _png(pixels_HWC: PixelArray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels_HWC).save(buffer, "PNG")
    return buffer.getvalue()
