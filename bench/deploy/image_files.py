"""Image files of one's own -> batches of pixels, read ahead; a file that gives none is kept with its reason.

Legend: B images of a batch, H = W = the side that the model takes.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.base.errors import InputError
from bench.data import decode, orientation
from bench.data.decode import PixelArray, Unusable

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"}
)
AHEAD = 2  # batches that are read while the model is at another


@dataclass(frozen=True)
class ImageBatch:
    """Some files, the pixels (B, H, W, 3) of those that have any, in order, and of the others why not."""

    paths: tuple[Path, ...]
    images_BHWC: PixelArray
    reasons: dict[Path, str]

    @property
    def usable(self) -> list[Path]:
        """The files of `images_BHWC`."""
        return [path for path in self.paths if path not in self.reasons]


def list_images(given: Sequence[Path]) -> list[Path]:
    """The files that are given, and of a folder the image files at any depth by name; each once.

    A file that is named itself is taken whatever its name ends in; hidden ones are passed over.
    """
    found: dict[Path, None] = {}
    for path in given:
        if not path.exists():
            raise InputError(f"--images {path}: no such file or folder")
        inside = _inside(path) if path.is_dir() else [path]
        if not inside:
            raise InputError(f"--images {path}: no image in this folder ({', '.join(sorted(SUFFIXES))})")
        found |= dict.fromkeys(inside)
    return list(found)


def _inside(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def read_batches(
    paths: Sequence[Path], *, side: int, batch_size: int, exif: str = "ignore"
) -> Iterator[ImageBatch]:
    """The files in batches; one thread decodes and resizes while the model is busy.

    exif: the rule about orientation, as in the data set's card.
    """
    pending: deque[Future[ImageBatch]] = deque()
    with ThreadPoolExecutor(max_workers=1) as thread:
        for start in range(0, len(paths), batch_size):
            pending.append(thread.submit(_read, tuple(paths[start : start + batch_size]), side, exif))
            if len(pending) > AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _read(paths: tuple[Path, ...], side: int, exif: str) -> ImageBatch:
    images, reasons = [], {}
    for path in paths:
        try:
            images.append(decode.resize(orientation.read(path, exif), side))
        except Unusable as reason:
            reasons[path] = str(reason)
    empty = np.empty((0, side, side, 3), np.uint8)
    return ImageBatch(paths, np.stack(images) if images else empty, reasons)
