"""Draw JPEG files that look like photographs to a decoder: as large, as detailed, and each one different.

Nobody took these pictures; they only cost as much to read, decode and store as the ones they stand for.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PATTERNS = 8  # of each size; every image is one of them, shifted
CONTRAST = (
    20.0  # of each octave of noise, in grey levels: files of quality 90 then have the size of photographs
)
QUALITY = 90


@dataclass(frozen=True)
class Picture:
    """One file to draw; size: width and height in pixels."""

    path: Path
    size: tuple[int, int]


def draw_all(pictures: Sequence[Picture]) -> tuple[int, int]:
    """Draw the files that are not there yet; returns (number of pictures, bytes of all of them)."""
    total = 0
    for picture in pictures:
        if not picture.path.exists():
            draw(picture)
        total += picture.path.stat().st_size
    return len(pictures), total


def draw(picture: Picture) -> None:
    """Draw a file; its pixels depend on its name and size alone."""
    name = "/".join(picture.path.parts[-3:])  # WIDER has equal names in the folders of its splits
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]))
    pattern_HWC = _pattern(picture.size, int(rng.integers(PATTERNS)))
    shift = tuple(int(rng.integers(side)) for side in pattern_HWC.shape[:2])
    pixels_HWC = np.roll(pattern_HWC, shift, axis=(0, 1)) + np.uint8(rng.integers(16))
    picture.path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = picture.path.with_name(f".{picture.path.name}.part")
    Image.fromarray(pixels_HWC).save(unfinished, format="JPEG", quality=QUALITY)
    unfinished.replace(picture.path)  # a file that exists is complete, also after a kill


@cache
def _pattern(size: tuple[int, int], number: int) -> NDArray[np.uint8]:
    """Noise with equal contrast at every scale, as photographs have it, (height, width, 3)."""
    width, height = size
    rng = np.random.default_rng(number)
    total_HWC = np.full((height, width, 3), 120.0)
    scale = 4
    while scale <= max(size):
        shape = (min(scale, height), min(scale, width), 3)
        octave = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).resize(
            size, Image.Resampling.BICUBIC
        )
        total_HWC += (np.asarray(octave, dtype=np.float64) - 127.5) * (
            CONTRAST / 74
        )  # 74: uniform noise's sd
        scale *= 2
    return total_HWC.clip(0, 240).astype(np.uint8)
