"""Decode image files to RGB pixels, crop and resize them; a file without usable pixels raises `Unusable`.

| file | result |
| --- | --- |
| RGB, grey, CMYK, palette, black and white | converted to RGB by Pillow |
| with transparency | the stored colours; the alpha channel is ignored |
| 16 bits per channel | the upper 8 bits |
| animated, or several pages | the first picture |
| with an EXIF orientation | as stored, not rotated, because boxes refer to the stored pixels |
| missing, empty, truncated, not an image, unknown value range, too large | `Unusable` with the reason |
| HEIC, JPEG XL and others that are not read, whatever the file's name | `Unusable`, with what reads them |
"""

import io
import os
import stat
import struct
import warnings
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError, features

from bench.data.card_options import Resample
from bench.data.formats import MISSING

PixelArray = NDArray[np.uint8]  # (H, W, 3)

OPTIONAL = {"AVIF": "avif", "JPEG2000": "jpg_2000"}  # format -> Pillow's name of the library that decodes it


def _built_in() -> list[str]:
    """The optional formats that this Pillow decodes; one that does not know a name of a library warns."""
    with warnings.catch_warnings(action="ignore"):
        return [name for name, library in OPTIONAL.items() if features.check(library)]


# To decode these, Pillow starts no program.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", *_built_in())
RULES: dict[Resample, str] = {
    "antialiased": "Pillow's antialiased BILINEAR, the aspect ratio not kept",
    "bilinear": "bilinear without antialiasing, the aspect ratio not kept",
}
MAX_PIXELS = 50_000_000  # keeps a process under 1 GB: a file of a few kB can claim any size
DECODING_ERRORS = (  # what Pillow raises for damaged files
    OSError,
    ValueError,
    SyntaxError,
    IndexError,
    TypeError,
    ArithmeticError,
    KeyError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
)


class Unusable(Exception):  # noqa: N818 (it describes a file)
    """A file or box without usable pixels; the message is one of a few reasons, which reports count."""


EMPTY = "empty file"
NO_IMAGE = "not an image"
DAMAGED = "cut short or damaged"
TOO_LARGE = f"more than {MAX_PIXELS:,} pixels"
NO_RANGE = "pixels without a known range"
OUTSIDE = "box outside the image"
NO_FILE = "a folder, pipe or device, not a file"
NEWER_PILLOW = "which this Pillow does not read; install Pillow 11.3 or newer from a wheel"
# What is often found under an image's name: (first bytes, from offset) -> what it is, and what reads it.
FOREIGN = {
    (b"ftypavi", 4): f"an AVIF image, {NEWER_PILLOW}",
    (b"jP  \r\n\x87\n", 4): f"a JPEG 2000 image, {NEWER_PILLOW}",
    (b"\xff\x4f\xff\x51", 0): f"a JPEG 2000 image, {NEWER_PILLOW}",
    (b"ftyphe", 4): "an HEIC image; convert it to JPEG or PNG (libheif: heif-convert)",
    (b"ftypmif1", 4): "an HEIC image; convert it to JPEG or PNG (libheif: heif-convert)",
    (b"ftypmsf1", 4): "an HEIC image; convert it to JPEG or PNG (libheif: heif-convert)",
    (b"JXL \r\n\x87\n", 4): "a JPEG XL image; convert it to JPEG or PNG (libjxl: djxl)",
    (b"\xff\x0a", 0): "a JPEG XL image; convert it to JPEG or PNG (libjxl: djxl)",
    (b"ftyp", 4): "a video; take single pictures out of it (ffmpeg)",
    (b"8BPS", 0): "a Photoshop file; export it as JPEG or PNG",
    (b"%PDF", 0): "a PDF file; convert its pages to PNG (pdftoppm)",
    (b"<svg", 0): "an SVG drawing; convert it to PNG (rsvg-convert)",
    (b"<!doctype html", 0): "a web page, not an image; download the image again",
    (b"<html", 0): "a web page, not an image; download the image again",
    (b"version https://git-lfs", 0): "a pointer of Git LFS; fetch the image: git lfs pull",
}


def decode(path: Path | bytes) -> PixelArray:
    """The pixels (H, W, 3) of a file, or of its bytes; raises Unusable with the reason if there are none."""
    try:
        if isinstance(path, Path) and not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for a writer
            raise Unusable(NO_FILE)
        with opened(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the table above decides what Pillow warns about
            return _decode(file)
    except FileNotFoundError as error:
        raise Unusable(MISSING) from error
    except UnidentifiedImageError as error:
        raise Unusable(_what_it_is(path)) from error
    except Image.DecompressionBombError as error:
        raise Unusable(TOO_LARGE) from error
    except DECODING_ERRORS as error:
        system_error = isinstance(error, OSError) and error.errno  # an OSError of Pillow's has no errno
        reason = f"cannot be read: {os.strerror(system_error)}" if system_error else DAMAGED
        raise Unusable(reason) from error


def opened(image: Path | bytes) -> BinaryIO:
    """The file, or its bytes, to read from."""
    return image.open("rb") if isinstance(image, Path) else io.BytesIO(image)


def _what_it_is(path: Path | bytes) -> str:
    """What a file is that Pillow does not know, by its first bytes."""
    with opened(path) as file:
        head = file.read(64)
    if not head:
        return EMPTY
    same = (what for (mark, at), what in FOREIGN.items() if head[at:].lower().startswith(mark.lower()))
    return next(same, NO_IMAGE)


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


def crop(
    pixels_HWC: PixelArray, box: tuple[float, float, float, float], *, square: bool = False
) -> PixelArray:
    """The pixels that the box (left, top, width, height) touches, also partly; Unusable if there are none.

    square: the shorter side is extended on both ends to the length of the longer one; where this goes beyond
    the image, its outermost pixels are repeated.
    """
    left, top, width, height = box
    rows = slice(max(0, int(np.floor(top))), max(0, int(np.ceil(top + height))))
    columns = slice(max(0, int(np.floor(left))), max(0, int(np.ceil(left + width))))
    part = pixels_HWC[rows, columns]
    if not part.size:
        raise Unusable(OUTSIDE)
    if not square:
        return part
    side, axes = max(part.shape[:2]), []
    for start, length, limit in zip((rows.start, columns.start), part.shape, pixels_HWC.shape, strict=False):
        first = start - (side - length) // 2
        axes.append(np.arange(first, first + side).clip(0, limit - 1))
    extended: PixelArray = pixels_HWC[np.ix_(*axes)]
    return extended


def resize(pixels_HWC: PixelArray, side: int, resample: Resample = "antialiased") -> PixelArray:
    """The image at (side, side, 3), by one of RULES; the aspect ratio is not kept, as in the paper."""
    if pixels_HWC.shape[:2] == (side, side):
        return pixels_HWC
    if resample == "bilinear":
        return _interpolate(pixels_HWC, side)
    return np.asarray(Image.fromarray(pixels_HWC).resize((side, side), Image.Resampling.BILINEAR))


def _interpolate(pixels_HWC: PixelArray, side: int) -> PixelArray:
    """Pixel i samples (i + 0.5) * extent / side - 0.5, clamped to the image: OpenCV's INTER_LINEAR."""
    values: NDArray[np.float32] = pixels_HWC.astype(np.float32)
    for axis in (0, 1):
        extent = values.shape[axis]
        places = ((np.arange(side) + 0.5) * extent / side - 0.5).clip(0, extent - 1)
        before = np.floor(places).astype(int)
        shares = (places - before).astype(np.float32).reshape((side, 1, 1) if axis == 0 else (side, 1))
        after = (before + 1).clip(max=extent - 1)
        values = values.take(before, axis) * (1 - shares) + values.take(after, axis) * shares
    rounded: PixelArray = np.floor(values + 0.5).astype(np.uint8)
    return rounded
