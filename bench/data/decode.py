"""Image file -> RGB pixels at the store's size, or the reason why not; every kind of file has its outcome.

| file | outcome |
| --- | --- |
| RGB, grey, CMYK, palette, black and white | as Pillow converts it to RGB |
| transparent | the colours as they are stored; how transparent they are is ignored |
| 16 bits a channel | the upper 8 bits |
| animated, or of several pages | its first picture |
| turned by its EXIF orientation | as it is stored: boxes refer to that |
| missing, empty, cut short, no image, no known range, too large | `Unusable` says so |
"""

import os
import struct
import warnings
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from bench.data.formats import MISSING

PixelArray = NDArray[np.uint8]  # (H, W, 3)

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")  # none of them starts a program
MAX_PIXELS = 50_000_000  # a process then stays under 1 GB, whatever a file of a few kB claims
FAULTS = (OSError, ValueError, SyntaxError, IndexError, TypeError, ArithmeticError, struct.error, zlib.error)


class Unusable(Exception):  # noqa: N818 (it is a verdict about a file)
    """Why a file gives no pixels, in words that can be counted."""


EMPTY = "empty file"
NO_IMAGE = "not an image"
DAMAGED = "cut short or damaged"
TOO_LARGE = f"more than {MAX_PIXELS:,} pixels"
NO_RANGE = "pixels without a known range"
OUTSIDE = "box outside the image"


def decode(path: Path) -> PixelArray:
    """The file's pixels (H, W, 3); Unusable gives the reason where there are none."""
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow finds doubtful is decided in the table above
            return _decode(file)
    except FileNotFoundError as fault:
        raise Unusable(MISSING) from fault
    except UnidentifiedImageError as fault:
        raise Unusable(NO_IMAGE if path.stat().st_size else EMPTY) from fault
    except Image.DecompressionBombError as fault:
        raise Unusable(TOO_LARGE) from fault
    except FAULTS as fault:
        system = isinstance(fault, OSError) and fault.errno  # Pillow's own have no number
        raise Unusable(f"cannot be read: {os.strerror(system)}" if system else DAMAGED) from fault


def _decode(file: BinaryIO) -> PixelArray:
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise Unusable(TOO_LARGE)
    if image.mode.startswith("I;16"):
        upper_HW = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(upper_HW[:, :, None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise Unusable(NO_RANGE)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def crop(pixels_HWC: PixelArray, box: tuple[float, float, float, float]) -> PixelArray:
    """The part of the image that the box (left, top, width, height) touches; Unusable where it has none."""
    left, top, width, height = box
    rows = slice(max(0, int(np.floor(top))), max(0, int(np.ceil(top + height))))
    columns = slice(max(0, int(np.floor(left))), max(0, int(np.ceil(left + width))))
    part = pixels_HWC[rows, columns]
    if not part.size:
        raise Unusable(OUTSIDE)
    return part


def resize(pixels_HWC: PixelArray, side: int) -> PixelArray:
    """The image at (side, side, 3): Pillow's BILINEAR (antialiased), the aspect squashed as in the paper."""
    if pixels_HWC.shape[:2] == (side, side):
        return pixels_HWC
    return np.asarray(Image.fromarray(pixels_HWC).resize((side, side), Image.Resampling.BILINEAR))
