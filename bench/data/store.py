"""Read a prepared store: decoded, resized images in Arrow files, memory-mapped by Hugging Face `datasets`.

A store is a folder with one or more Arrow files for each view, `checksums.bin` and `manifest.json`, which is
written last. Views: `train` (all training images, larger, for random crops), `held_out` (those of them that
are used for validation, at the test size) and `test`.
Shapes: N images of a view, B of a batch, C labels, S side in pixels.
"""

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import InputError

if TYPE_CHECKING:
    import datasets

MANIFEST = "manifest.json"
CHECKSUMS = "checksums.bin"
LAYOUT = 2  # raise it when the content of stores changes for the same card and reader: all are made again
SPLITS = {"train": ("train", "held_out"), "test": ("test",)}  # the views of each split, the full one first
SPLIT_OF_VIEW = {view: split for split, views in SPLITS.items() for view in views}
VIEWS = tuple(SPLIT_OF_VIEW)
HELD_OUT_SHARE = 0.05  # of the training images


class Store:
    """A prepared data set: its manifest and its views."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder, self.manifest = folder, manifest
        self.train, self.held_out, self.test = (View(self.files(name)) for name in VIEWS)

    def files(self, view: str) -> dict[Path, int]:
        """The view's Arrow files in order, each with the number of its images."""
        return {
            self.folder / file_name(view, number): images
            for number, images in enumerate(self.manifest["files"][view])
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the file of checksums, and so of the ids, labels and pixels of all views in order."""
        return str(self.manifest["fingerprint"])

    @cached_property
    def fitted(self) -> NDArray[np.int64]:
        """Indices into `train` of the images used for training: all but the held-out ones."""
        return np.flatnonzero(~self.train.column("held_out"))


class View:
    """Images of one size in a fixed order; files are opened at the first access."""

    def __init__(self, files: dict[Path, int]) -> None:
        self.files = files

    @cached_property
    def _dataset(self) -> "datasets.Dataset":
        import datasets  # noqa: PLC0415 (slow to import, and not installed where only speed is measured)

        parts = [_open(path, images) for path, images in self.files.items()]
        return datasets.concatenate_datasets(parts).with_format("arrow")

    @cached_property
    def _images(self) -> "datasets.Dataset":
        return self._dataset.select_columns(["image"])

    def __len__(self) -> int:
        return len(self._dataset)

    def column(self, name: str) -> NDArray[Any]:
        """A column of all images: `id` or `held_out`, shape (N,), or `labels`, int8 (N, C)."""
        values = self._dataset.data.column(name).combine_chunks()
        if name == "labels":
            flat: NDArray[Any] = values.flatten().to_numpy()
            return flat.reshape(len(self), values.type.list_size)
        return np.asarray(values.to_numpy(zero_copy_only=False))

    @cached_property
    def labels_NC(self) -> NDArray[np.int8]:
        """The labels of all images, 1, 0 or -1."""
        return self.column("labels")

    def images(self, indices_B: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pixels uint8 (B, S, S, 3) of the images with these indices, in the order of the indices."""
        column = self._images[indices_B.tolist()].column("image").combine_chunks()
        pixels = np.frombuffer(column.buffers()[1], np.uint8)
        image_bytes = column.type.byte_width
        side = round((image_bytes / 3) ** 0.5)
        start = column.offset * image_bytes
        return pixels[start : start + len(column) * image_bytes].reshape(-1, side, side, 3)


def file_name(view: str, number: int) -> str:
    """The name of a view's Arrow file with this number."""
    return f"{view}-{number:05d}.arrow"


def _open(path: Path, images: int) -> "datasets.Dataset":
    """One Arrow file; InputError if it cannot be read or has another number of images than the manifest."""
    import datasets  # noqa: PLC0415 (as above)

    try:
        part = datasets.Dataset.from_file(str(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); {how_to_replace(path.parent)}") from error
    if len(part) != images:
        raise InputError(f"{path} has {len(part)} images instead of {images}; {how_to_replace(path.parent)}")
    return part


def how_to_replace(folder: Path) -> str:
    """The end of a message about a damaged store: how to make it again."""
    return f"delete {folder} and {_how_to_prepare(folder)}"


def _how_to_prepare(folder: Path) -> str:
    return f"run: python -m bench.prepare --dataset {folder.name}"


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the store in a folder; InputError if there is none, with the command that makes it."""
    path = folder / MANIFEST
    if not path.exists():
        raise InputError(f"{folder} holds no prepared data; {_how_to_prepare(folder)}")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); {how_to_replace(folder)}") from error
    if not isinstance(manifest, dict) or "made_from" not in manifest:
        raise InputError(f"{path} is not a manifest of a store; {how_to_replace(folder)}")
    return manifest


def open_store(folder: Path) -> Store:
    """The store in a folder; InputError if there is none, or one that another version of the suite made."""
    manifest = read_manifest(folder)
    if manifest["made_from"].get("layout") != LAYOUT:
        raise InputError(f"{folder} was made by another version of the suite; {_how_to_prepare(folder)}")
    return Store(folder, manifest)
