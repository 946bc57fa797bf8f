"""Pixels of original images with digests: of the file's bytes, of a sample, and of the picture itself."""

import hashlib
import json
from pathlib import Path

import numpy as np

from bench.data import orientation
from bench.data.decode import PixelArray
from bench.data.formats import Sample


def source_pixels(image: Path | PixelArray, exif: str) -> tuple[PixelArray, str]:
    """(the pixels, the SHA-256 of the file or of the pixels made in memory)."""
    if not isinstance(image, Path):
        encoded = encoded_file(image)
        pixels = image if encoded is None else orientation.read(encoded, exif)
        return pixels, hashlib.sha256(image.tobytes()).hexdigest()
    pixels = orientation.read(image, exif)
    with image.open("rb") as file:
        return pixels, hashlib.file_digest(file, "sha256").hexdigest()


def encoded_file(image: Path | PixelArray) -> Path | bytes | None:
    """The file that is to be decoded, or its bytes; None for pixels made in memory."""
    if isinstance(image, Path):
        return image
    return image.tobytes() if image.ndim == 1 else None


def is_turned(image: Path | PixelArray) -> bool:
    """Whether the image is a file with an EXIF orientation."""
    encoded = encoded_file(image)
    return encoded is not None and orientation.find(encoded)[0] != 1


def source_digest(sample: Sample, source: str) -> str:
    """SHA-256 of all that the original files say of an image: id, labels, group, box, the file's bytes."""
    parts = [sample.id, source, sample.labels_C.tolist(), sample.group, sample.box]
    parts += ["square"] if sample.square else []
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def content(pixels_HWC: PixelArray) -> str:
    """A digest that is equal for equal pictures: of the shape, the sum of all 64-bit words, and some lines.

    At least sixteen lines are used, or all. A SHA-256 of all pixels would take a quarter of the time that
    making a shard takes.
    """
    flat = np.ascontiguousarray(pixels_HWC).reshape(-1)
    words = np.pad(flat, (0, -flat.size % 8)).view(np.uint64) if flat.size % 8 else flat.view(np.uint64)
    summary = f"{pixels_HWC.shape} {int(words.sum())} ".encode()
    lines = pixels_HWC[:: max(1, len(pixels_HWC) // 16)]
    return hashlib.sha256(summary + lines.tobytes()).hexdigest()[:32]


def image_key(image: Path | PixelArray) -> list[object]:
    """What stands for an image in the key of its shard: of a file its size and time, not its content."""
    if not isinstance(image, Path):
        return [image.shape, hashlib.sha256(image.tobytes()).hexdigest()]
    try:
        status = image.stat()
    except OSError:
        return [str(image)]
    return [str(image), status.st_size, status.st_mtime_ns]
