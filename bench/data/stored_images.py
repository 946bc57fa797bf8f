"""Turn an image's pixels into the bytes that a store holds, and back: as they are, or as a JPEG file.

Legend: B images of a batch, S side in pixels.
"""

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.base.processes import cores
from bench.data import libraries, manifest
from bench.data.card_options import JPEG, Storage
from bench.data.decode import DECODING_ERRORS, PixelArray

# What Pillow raises for damaged files, and for one that claims too many pixels.
ERRORS = (*DECODING_ERRORS, Image.DecompressionBombError, Image.DecompressionBombWarning)


class NotStored(ValueError):  # noqa: N818 (it describes an image)
    """Bytes that are no image of a store; position: of the image among those that were to be decoded."""

    def __init__(self, reason: str, position: int = 0) -> None:
        super().__init__(reason)
        self.position = position


def encode(pixels_SS3: PixelArray, storage: Storage) -> bytes:
    """The bytes that a store of this kind holds for an image."""
    if storage == "pixels":
        return pixels_SS3.tobytes()
    file = io.BytesIO()
    Image.fromarray(pixels_SS3).save(file, "JPEG", **JPEG)
    return file.getvalue()


def decode(jpeg: Any) -> PixelArray:
    """The pixels (S, S, 3) of a JPEG file in memory; NotStored if it is damaged, not RGB or not square."""
    try:
        with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
            if image.mode != "RGB" or image.width != image.height:
                raise NotStored("not a square image in colours")
            return np.asarray(image)
    except NotStored:
        raise
    except ERRORS as error:
        raise NotStored("damaged") from error


def as_stored(pixels_SS3: PixelArray, storage: Storage) -> PixelArray:
    """The pixels that a store of this kind gives back for these."""
    return pixels_SS3 if storage == "pixels" else decode(encode(pixels_SS3, storage))


def decode_all(jpegs: Sequence[Any]) -> PixelArray:
    """The pixels (B, S, S, 3) of JPEG files in memory, decoded by `threads` threads.

    NotStored, for the first image, if one is damaged or has another side than the first one.
    """
    first_SS3 = decode(jpegs[0])
    images_BSS3 = np.empty((len(jpegs), *first_SS3.shape), np.uint8)

    def fill(position: int) -> NotStored | None:
        try:
            pixels_SS3 = decode(jpegs[position]) if position else first_SS3
        except NotStored as error:
            return NotStored(str(error), position)
        if pixels_SS3.shape != first_SS3.shape:
            return NotStored("another size", position)
        images_BSS3[position] = pixels_SS3
        return None

    with ThreadPoolExecutor(max_workers=threads()) as pool:
        for error in pool.map(fill, range(len(jpegs))):
            if error:
                raise error
    return images_BSS3


def threads() -> int:
    """The number of threads that decode: one for each core, which the machine's processes share."""
    processes = os.environ.get("LOCAL_WORLD_SIZE", "")  # set by torchrun
    return max(1, cores() // int(processes)) if processes.isdecimal() and int(processes) else cores()


def other_decoder(folder: Path) -> str:
    """A remark for a message about pixels of a JPEG that changed; "": the same libraries made the store."""
    content = manifest.read_manifest(folder)
    made, here = content["libraries"], libraries.versions()
    names = [name for name in ("Pillow", "libjpeg-turbo") if made.get(name) != here.get(name)]
    if content.get("storage", "pixels") == "pixels" or not names:
        return ""
    before, now = (", ".join(f"{name} {of.get(name, 'none')}" for name in names) for of in (made, here))
    return f" (or is decoded to other pixels by {now}: it was made with {before})"


def pixel_bytes(image: bytes, storage: Storage) -> bytes:
    """What the checksum of a stored image covers: its pixels. NotStored if they cannot be decoded."""
    return image if storage == "pixels" else decode(image).tobytes()
