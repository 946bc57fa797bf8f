"""Image files of one's own -> batches of pixels, read ahead; a file that gives none is kept with its reason.

Legend: B images of a batch, H = W = the side that the model takes.
"""

import os
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from bench.base.errors import InputError
from bench.data import decode
from bench.data.decode import PixelArray, Unusable

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"}
)
# Images that may not be read: they are named with what would read them, not passed over.
OTHERS = frozenset(
    {".avif", ".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k", ".jpx", ".jpf", ".jpc", ".psd", ".svg"}
)
LINKED_FOLDER = "a link to a folder, which is not searched; give the folder itself to --images"
NO_TARGET = "a link to nothing"
CLOSED_FOLDER = "a folder that cannot be read"
ORIENTATION = ExifTags.Base.Orientation
TURNED = range(2, 9)  # orientations that are not as stored
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

    A file that is named itself is taken whatever its name ends in; hidden ones are passed over. What cannot
    be read is in the list too: images of other formats, links to nothing or to a folder, closed folders.
    """
    found: dict[Path, None] = {}
    for path in given:
        if not os.path.exists(path):  # noqa: PTH110 (Path raises where a name is too long)
            raise InputError(f"--images {path}: no such file or folder")
        inside = _inside(path) if path.is_dir() else [path]
        if not inside:
            raise InputError(f"--images {path}: no image in this folder ({', '.join(sorted(SUFFIXES))})")
        found |= dict.fromkeys(inside)
    return list(found)


def _inside(folder: Path) -> list[Path]:
    found: list[Path] = []
    closed = lambda error: found.append(Path(error.filename))  # noqa: E731 (what os.walk calls)
    for where, folders, files in os.walk(folder, onerror=closed):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(where, name) for name in (*folders, *files) if not name.startswith(".")]
        found += [path for path in paths if _is_wanted(path)]
    return sorted(found)


def _is_wanted(path: Path) -> bool:
    """Whether an entry of a folder is an image, or may hide some."""
    if path.is_symlink() and (path.is_dir() or not path.exists()):
        return True
    return not path.is_dir() and path.suffix.lower() in SUFFIXES | OTHERS


def read_batches(paths: Sequence[Path], *, side: int, batch_size: int) -> Iterator[ImageBatch]:
    """The files in batches; one thread decodes and resizes while the model is busy."""
    pending: deque[Future[ImageBatch]] = deque()
    with ThreadPoolExecutor(max_workers=1) as thread:
        for start in range(0, len(paths), batch_size):
            pending.append(thread.submit(_read, tuple(paths[start : start + batch_size]), side))
            if len(pending) > AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _read(paths: tuple[Path, ...], side: int) -> ImageBatch:
    images, reasons = [], {}
    for path in paths:
        try:
            _refuse_links_and_folders(path)
            images.append(decode.resize(_upright(path), side))
        except Unusable as reason:
            reasons[path] = str(reason)
    empty = np.empty((0, side, side, 3), np.uint8)
    return ImageBatch(paths, np.stack(images) if images else empty, reasons)


def _refuse_links_and_folders(path: Path) -> None:
    if path.is_symlink() and not path.exists():
        raise Unusable(NO_TARGET)
    if path.is_dir():
        raise Unusable(LINKED_FOLDER if path.is_symlink() else CLOSED_FOLDER)


def _upright(path: Path) -> PixelArray:
    """The pixels turned as EXIF says; a store keeps them as they lie, as boxes refer to that."""
    stored_HWC = decode.decode(path)
    if (orientation := _orientation(path)) not in TURNED:
        return stored_HWC
    image = Image.fromarray(stored_HWC)
    image.getexif()[ORIENTATION] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def _orientation(path: Path) -> object:
    """What EXIF says, if it can be read: without it the pixels are there all the same."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=decode.FORMATS) as image:
            # Pillow turns a TIFF when it decodes it.
            return None if image.format == "TIFF" else image.getexif().get(ORIENTATION)
    except decode.DECODING_ERRORS:
        return None
