"""The prepared store: images decoded and resized once, memory-mapped Arrow of Hugging Face `datasets`.

A store is a folder with some Arrow files for each view, `checksums.bin` and `manifest.json`, written last.
Views: `train` (every training image, for crops), `held_out` (the share of them that validates, at the test
size) and `test`. Legend: N images of a view, B of a batch, C labels, S side in pixels.
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
LAYOUT = (
    2  # raised whenever what a store holds changes for the same card and reader: older ones are made anew
)
VIEWS = ("train", "held_out", "test")
HELD_OUT_SHARE = 0.05


class Store:
    """A prepared data set: its manifest and its views."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder, self.manifest = folder, manifest
        self.train, self.held_out, self.test = (View(self.files(name)) for name in VIEWS)

    def files(self, view: str) -> dict[Path, int]:
        """The view's files in order, with the number of images that belong in each."""
        return {
            self.folder / file_name(view, number): images
            for number, images in enumerate(self.manifest["files"][view])
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 over ids, labels and pixels of every view, in order: that of the file of checksums."""
        return str(self.manifest["fingerprint"])

    @cached_property
    def fitted(self) -> NDArray[np.int64]:
        """Indices into `train` of the images that are learned from: all but the held-out ones."""
        return np.flatnonzero(~self.train.column("held_out"))


class View:
    """Images of one size in a fixed order; nothing is read before it is asked for."""

    def __init__(self, files: dict[Path, int]) -> None:
        self.files = files

    @cached_property
    def _dataset(self) -> "datasets.Dataset":
        import datasets  # noqa: PLC0415 (slow to import, and absent where only speed is measured)

        parts = [_open(path, images) for path, images in self.files.items()]
        return datasets.concatenate_datasets(parts).with_format("arrow")

    @cached_property
    def _images(self) -> "datasets.Dataset":
        return self._dataset.select_columns(["image"])

    def __len__(self) -> int:
        return len(self._dataset)

    def column(self, name: str) -> NDArray[Any]:
        """One value for each image: `id`, `held_out`, or `labels` as int8 (N, C)."""
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
        """Pixels (B, S, S, 3) of the images asked for, in that order."""
        column = self._images[indices_B.tolist()].column("image").combine_chunks()
        pixels = np.frombuffer(column.buffers()[1], np.uint8)
        one = column.type.byte_width
        side = round((one / 3) ** 0.5)
        start = column.offset * one
        return pixels[start : start + len(column) * one].reshape(-1, side, side, 3)


def file_name(view: str, number: int) -> str:
    """The name of a view's file in its store."""
    return f"{view}-{number:05d}.arrow"


def _open(path: Path, images: int) -> "datasets.Dataset":
    """One file of a view; InputError where it is not there or does not hold what the manifest says."""
    import datasets  # noqa: PLC0415 (as above)

    try:
        part = datasets.Dataset.from_file(str(path))
    except (OSError, ValueError) as fault:
        raise InputError(f"{path} cannot be read ({fault}); {_again(path.parent)}") from fault
    if len(part) != images:
        raise InputError(f"{path} holds {len(part)} images instead of {images}; {_again(path.parent)}")
    return part


def _again(folder: Path) -> str:
    return f"delete {folder}, prepare again"


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a store's manifest says; InputError says how to make one where there is none."""
    path = folder / MANIFEST
    if not path.exists():
        raise InputError(
            f"{folder} holds no prepared data; run: python -m bench.prepare --dataset {folder.name}"
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as mistake:
        raise InputError(f"{path} is damaged ({mistake}); {_again(folder)}") from mistake
    if not isinstance(manifest, dict) or "made_from" not in manifest:
        raise InputError(f"{path} is no store's manifest; {_again(folder)}")
    return manifest


def open_store(folder: Path) -> Store:
    """The store in a folder; InputError says how to make one where there is none that this suite reads."""
    manifest = read_manifest(folder)
    if manifest["made_from"].get("layout") != LAYOUT:
        raise InputError(
            f"{folder} was made by another version of the suite; run: python -m bench.prepare --dataset"
            f" {folder.name}"
        )
    return Store(folder, manifest)
