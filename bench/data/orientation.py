"""Read image files by one rule about EXIF orientation, which a data set's card states and a model carries."""

import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from bench.data import decode
from bench.data.decode import PixelArray

ORIENTATION = ExifTags.Base.Orientation
TURNED = range(2, 9)  # orientations other than as stored
INVERSE = {6: 8, 8: 6}  # the others undo themselves


def read(path: Path | bytes, exif: str) -> PixelArray:
    """The pixels (H, W, 3) of a file or its bytes, turned as EXIF says if `exif` is "turn", as stored if it
    is "ignore".

    Raises decode.Unusable.
    """
    pixels_HWC = decode.decode(path)
    orientation, is_turned = find(path)
    if orientation not in TURNED or is_turned == (exif == "turn"):
        return pixels_HWC
    return _turn(pixels_HWC, INVERSE.get(orientation, orientation) if is_turned else orientation)


def find(path: Path | bytes) -> tuple[int, bool]:
    """(the EXIF orientation, 1 if there is none that can be read; whether decoding turns the pixels)."""
    try:
        file = path if isinstance(path, Path) else decode.opened(path)
        with warnings.catch_warnings(action="ignore"), Image.open(file, formats=decode.FORMATS) as image:
            # Pillow turns a TIFF when it decodes it.
            return int(image.getexif().get(ORIENTATION, 1)), image.format == "TIFF"
    except decode.DECODING_ERRORS:
        return 1, False


def _turn(pixels_HWC: PixelArray, orientation: int) -> PixelArray:
    image = Image.fromarray(pixels_HWC)
    image.getexif()[ORIENTATION] = orientation
    return np.asarray(ImageOps.exif_transpose(image))
