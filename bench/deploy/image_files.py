"""Find a user's image files and read them in batches, in a thread; a file that cannot be used gets a reason.

Legend: B images of a batch, H = W = the side in pixels that the model takes.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.base.errors import InputError
from bench.data import decode, orientation, stored_images
from bench.data.card_options import Resample, Storage
from bench.data.decode import PixelArray, Unusable
from bench.data.image_names import OTHER_SUFFIXES, SUFFIXES

LINKED_FOLDER = "a link to a folder, which is not searched; give the folder itself to --images"
BROKEN_LINK = "a link to nothing"
UNREADABLE_FOLDER = "a folder that cannot be read"
BATCHES_AHEAD = 2  # read while the model works on another one


@dataclass(frozen=True)
class ImageBatch:
    """Some image files.

    images_BHWC: the pixels of the usable ones, in order. reasons: why each of the others cannot be used.
    not_turned: those with an EXIF orientation that the rule ignores.
    """

    paths: tuple[Path, ...]
    images_BHWC: PixelArray
    reasons: dict[Path, str]
    not_turned: tuple[Path, ...] = ()

    @property
    def usable(self) -> list[Path]:
        """The files of `images_BHWC`."""
        return [path for path in self.paths if path not in self.reasons]


def list_images(files_and_folders: Sequence[Path]) -> list[Path]:
    """The given files, and the image files at any depth in the given folders, sorted by name; each file once.

    A file that is given itself is taken whatever its name ends in. Hidden files and folders are skipped. What
    cannot be read is in the list too: other formats, broken links, links to folders, closed folders.
    InputError: a path does not exist, or a folder has no image file.
    """
    images: dict[Path, None] = {}  # a dict, not a set, to keep the order
    for path in files_and_folders:
        if not os.path.exists(path):  # noqa: PTH110 (Path.exists raises for a name that is too long)
            raise InputError(f"--images {path}: no such file or folder")
        paths = _images_in(path) if path.is_dir() else [path]
        if not paths:
            suffixes = ", ".join(sorted(SUFFIXES))
            raise InputError(f"--images {path}: no image in this folder; names must end in one of {suffixes}")
        images |= dict.fromkeys(paths)
    return list(images)


def _images_in(folder: Path) -> list[Path]:
    paths: list[Path] = []
    add_unreadable = lambda error: paths.append(Path(error.filename))  # noqa: E731 (os.walk calls it)
    for parent, folders, files in os.walk(folder, onerror=add_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        entries = [Path(parent, name) for name in (*folders, *files) if not name.startswith(".")]
        paths += [path for path in entries if _is_image_or_link(path)]
    return sorted(paths)


def _is_image_or_link(path: Path) -> bool:
    """Whether an entry of a folder has the name of an image, or is a link to a folder or to nothing."""
    if path.is_symlink() and (path.is_dir() or not path.exists()):
        return True
    return not path.is_dir() and path.suffix.lower() in SUFFIXES | OTHER_SUFFIXES


def read_batches(
    paths: Sequence[Path],
    *,
    side: int,
    batch_size: int,
    exif: str = "ignore",
    resample: Resample = "antialiased",
    storage: Storage = "pixels",
) -> Iterator[ImageBatch]:
    """The files in batches; one thread decodes and resizes while the model is busy.

    exif, resample, storage: the rules about orientation, resizing and storage, as in the data set's card.
    """
    pending: deque[Future[ImageBatch]] = deque()
    with ThreadPoolExecutor(max_workers=1) as thread:
        for start in range(0, len(paths), batch_size):
            batch = tuple(paths[start : start + batch_size])
            pending.append(thread.submit(_read, batch, side, exif, resample, storage))
            if len(pending) > BATCHES_AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _read(paths: tuple[Path, ...], side: int, exif: str, resample: Resample, storage: Storage) -> ImageBatch:
    images, reasons = [], {}
    for path in paths:
        try:
            _refuse_links_and_folders(path)
            pixels = decode.resize(orientation.read(path, exif), side, resample)
            images.append(stored_images.as_stored(pixels, storage))
        except Unusable as reason:
            reasons[path] = str(reason)
    empty = np.empty((0, side, side, 3), np.uint8)
    usable = (path for path in paths if path not in reasons and exif == "ignore")
    not_turned = tuple(path for path in usable if orientation.find(path)[0] in orientation.TURNED)
    return ImageBatch(paths, np.stack(images) if images else empty, reasons, not_turned)


def _refuse_links_and_folders(path: Path) -> None:
    if path.is_symlink() and not path.exists():
        raise Unusable(BROKEN_LINK)
    if path.is_dir():
        raise Unusable(LINKED_FOLDER if path.is_symlink() else UNREADABLE_FOLDER)
