"""Draw the attention maps of predicted labels over their image, as one PNG file per image.

One row per label; from left to right the image, A (attention; its sum over all positions is 1) and U (A times
the confidence at each position). Both maps are drawn as shares of the highest value of A, which is printed
above them.

Legend: B images, C labels, H = W positions along a side of the maps (pixels, for `image_HWC`).
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
from bench.deploy.answers import RankedLabels
from bench.deploy.load_model import LoadedModel
from bench.training import device, method

SIDE = 256  # pixels of each panel
CAPTION_HEIGHT = 20  # pixels of the text above a panel
GAP = 4  # pixels between a panel and the next one
COLOUR_MAP = "inferno"  # from dark to bright, so that it can be read without colour
OPACITY = 0.65  # of the colours over the image


def require_maps(loaded: LoadedModel) -> None:
    """InputError unless the model has attention maps; the message lists the methods that have."""
    if not isinstance(loaded.model, method.Explainable):
        with_maps = [
            name
            for name in method_names.methods_in_order()
            if hasattr(method.load_method(name).Model, "explain")
        ]
        refused, *others = map(method_names.display_name, [loaded.record["method"], *with_maps])
        raise InputError(
            f"--maps: {refused} has no attention maps; use a run of a method that has: {', '.join(others)}"
        )


@torch.no_grad()
def write_maps(
    drawings: Sequence[tuple[Path, RankedLabels]], loaded: LoadedModel, images_BHWC: PixelArray
) -> None:
    """Write one PNG file per image of a batch; drawings: for each image the file, and the labels to draw."""
    with device.autocast(loaded.transform.device):
        explanation = loaded.model.explain(loaded.prepare(images_BHWC))  # type: ignore[operator]
    attention_BCHW, weighted_BCHW = (
        maps.float().cpu().numpy() for maps in (explanation.attention_BCHW, explanation.weighted_BCHW)
    )
    for (path, labels), image_HWC, attention_CHW, weighted_CHW in zip(
        drawings, images_BHWC, attention_BCHW, weighted_BCHW, strict=True
    ):
        indices = [loaded.labels.index(name) for name, _ in labels]
        rows = [
            _row(image_HWC, attention_CHW[c], weighted_CHW[c], label)
            for c, label in zip(indices, labels, strict=True)
        ]
        write_atomically(path, _png(np.concatenate(rows) if rows else enlarge(image_HWC)))


def _row(
    image_HWC: PixelArray,
    attention_HW: NDArray[np.float32],
    weighted_HW: NDArray[np.float32],
    label: tuple[str, float],
) -> PixelArray:
    """The three panels of one label, side by side."""
    highest = float(attention_HW.max())
    name, confidence = label
    captions = (f"{name} {confidence:.3f}", f"A, maximum {highest:.3f}", "U = A x local confidence")
    panels = (
        enlarge(image_HWC),
        *(overlay(image_HWC, maps / highest) for maps in (attention_HW, weighted_HW)),
    )
    return np.concatenate([_with_caption(*pair) for pair in zip(panels, captions, strict=True)], axis=1)


def overlay(image_HWC: PixelArray, shares_HW: NDArray[np.float32]) -> PixelArray:
    """Shares in 0..1 as colours over the image; each position of the map is one square."""
    colours_HW3 = (mpl.colormaps[COLOUR_MAP](shares_HW)[..., :3] * 255).astype(np.uint8)
    blended = (1 - OPACITY) * enlarge(image_HWC) + OPACITY * enlarge(colours_HW3)
    return np.rint(blended).astype(np.uint8)


def enlarge(pixels_HWC: PixelArray) -> PixelArray:
    """The image at SIDE x SIDE pixels, by nearest neighbour."""
    return np.asarray(Image.fromarray(pixels_HWC).resize((SIDE, SIDE), Image.Resampling.NEAREST))


def _with_caption(panel_HWC: PixelArray, caption: str) -> PixelArray:
    canvas = Image.new("RGB", (SIDE + GAP, CAPTION_HEIGHT + SIDE), "white")
    ImageDraw.Draw(canvas).text((4, 4), caption, fill="black", font_size=12)
    canvas.paste(Image.fromarray(panel_HWC), (0, CAPTION_HEIGHT))
    return np.asarray(canvas)


def _png(pixels_HWC: PixelArray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels_HWC).save(buffer, "PNG")
    return buffer.getvalue()
