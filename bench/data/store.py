"""Read a prepared store: decoded, resized images in Arrow files, memory-mapped by Hugging Face `datasets`.

A store is a folder with one or more Arrow files for each view, `checksums.bin` and `manifest.json`, which is
written last. Views: `train` (all training images, larger, for random crops), `held_out` (those of them that
are used for validation, at the test size) and `test`.
Shapes: N images of a view, B of a batch, C labels, S side in pixels.
"""

import hashlib
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import InputError
from bench.data import arrow_files, stored_images
from bench.data.arrow_files import CHECKSUM_BYTES, PIXEL_CHECKSUM
from bench.data.card_options import Storage
from bench.data.manifest import LAYOUT, MANIFEST, how_to_prepare, how_to_replace, read_manifest
from bench.data.stored_images import NotStored

if TYPE_CHECKING:
    import datasets

CHECKSUMS = "checksums.bin"
SPLITS = {"train": ("train", "held_out"), "test": ("test",)}  # the views of each split, the full one first
SPLIT_OF_VIEW = {view: split for split, views in SPLITS.items() for view in views}
IDENTITY = ("fingerprint", "sources", "libraries")  # entries of a manifest that results repeat
VIEWS = tuple(SPLIT_OF_VIEW)
HELD_OUT_SHARE = 0.05  # of the training images


class Store:
    """A prepared data set: its manifest and its views."""

    def __init__(
        self,
        folder: Path,
        manifest: dict[str, Any],
        *,
        trains_on_all: bool = False,
        ignores_unknown: bool = False,
    ) -> None:
        self.folder, self.manifest = folder, manifest
        self.trains_on_all, self.ignores_unknown = trains_on_all, ignores_unknown
        self.train, self.held_out, self.test = (
            View(
                self.files(name),
                partial(self.checksums, name),
                ignores_unknown=ignores_unknown,
                storage=manifest.get("storage", "pixels"),
            )
            for name in VIEWS
        )
        if trains_on_all:
            self.held_out = View({})

    @cached_property
    def all_in_training(self) -> "Store":
        """The same store without held-out images: `fitted` has all training images."""
        return Store(self.folder, self.manifest, trains_on_all=True, ignores_unknown=self.ignores_unknown)

    @cached_property
    def ignoring_unknown(self) -> "Store":
        """The same store whose labels 0 are not known, and not trained as negatives."""
        return Store(self.folder, self.manifest, trains_on_all=self.trains_on_all, ignores_unknown=True)

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
        if self.trains_on_all:
            return np.arange(len(self.train))
        is_held_out_N = self.train.column("held_out")
        if not np.array_equal(self.train.column("id")[is_held_out_N], self.held_out.column("id")):
            raise InputError(
                f"{self.folder} is damaged: train marks other images as held out than held_out has;"
                f" {how_to_replace(self.folder)}"
            )
        return np.flatnonzero(~is_held_out_N)

    def checksums(self, view: str) -> NDArray[np.uint8]:
        """The checksums (N, CHECKSUM_BYTES) of the view's images; InputError if they are not the store's."""
        start = sum(sum(self.manifest["files"][name]) for name in VIEWS[: VIEWS.index(view)])
        return self._checksums[start : start + sum(self.manifest["files"][view])]

    @cached_property
    def _checksums(self) -> NDArray[np.uint8]:
        path = self.folder / CHECKSUMS
        content = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(content).hexdigest() != self.fingerprint:
            reason = f"does not match the fingerprint in {MANIFEST}; {how_to_replace(self.folder)}"
            raise InputError(f"{path} {reason}")
        return np.frombuffer(content, np.uint8).reshape(-1, CHECKSUM_BYTES)


class View:
    """Images of one size in a fixed order; files are opened at the first access.

    checksums: gives the checksums (N, CHECKSUM_BYTES) of the images. Ids and labels are compared with them
    when the files are opened, the pixels of an image when it is first read; InputError if they differ. None:
    nothing is compared. ignores_unknown: whether label 0 means that the label is not known. storage: how the
    files hold the images.
    """

    def __init__(
        self,
        files: dict[Path, int],
        checksums: Callable[[], NDArray[np.uint8]] | None = None,
        *,
        ignores_unknown: bool = False,
        storage: Storage = "pixels",
    ) -> None:
        self.files, self.checksums, self.ignores_unknown = files, checksums, ignores_unknown
        self.storage = storage

    @cached_property
    def _dataset(self) -> "datasets.Dataset":
        import datasets  # noqa: PLC0415 (slow to import, and not installed where only speed is measured)

        parts = [arrow_files.opened(*file, self.storage) for file in self.files.items()]
        dataset = datasets.concatenate_datasets(parts).with_format("arrow")
        if self.checksums:
            self._compare_ids_and_labels(dataset)
        return dataset

    @cached_property
    def _images(self) -> "datasets.Dataset":
        return self._dataset.select_columns(["image"])

    @cached_property
    def _labels(self) -> "datasets.Dataset":
        return self._dataset.select_columns(["labels"])

    def __len__(self) -> int:
        return len(self._dataset) if self.files else 0

    def column(self, name: str) -> NDArray[Any]:
        """A column of all images: `id` or `held_out`, shape (N,), or `labels`, int8 (N, C)."""
        return arrow_files.column(self._dataset, name)

    @cached_property
    def labels_NC(self) -> NDArray[np.int8]:
        """The labels of all images, 1, 0 or -1."""
        return self.column("labels")

    def label_blocks(self) -> Iterator[NDArray[np.int8]]:
        """The labels of all images in blocks of some thousand images, read from the files: (n, C) each."""
        return arrow_files.label_blocks(self._dataset)

    @cached_property
    def targets_NC(self) -> NDArray[np.int8]:
        """The labels of all images as training takes them: 1 positive, 0 negative, -1 not known: ignored."""
        return np.concatenate([self._as_targets(labels_BC) for labels_BC in self.label_blocks()])

    def targets(self, indices_B: NDArray[np.int64]) -> NDArray[np.int8]:
        """The rows (B, C) of `targets_NC` of these images, read from the files: it costs no memory."""
        rows = self._labels[indices_B.tolist()]
        return self._as_targets(arrow_files.column(rows, "labels"))

    def _as_targets(self, labels_BC: NDArray[np.int8]) -> NDArray[np.int8]:
        targets_BC: NDArray[np.int8] = (labels_BC == 1).astype(np.int8)
        if self.ignores_unknown:
            targets_BC[labels_BC == 0] = -1
        return targets_BC

    def images(self, indices_B: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pixels uint8 (B, S, S, 3) of the images with these indices, in the order of the indices."""
        column = self._images[indices_B.tolist()].column("image")
        try:
            images_BSS3 = arrow_files.pixels(column)
        except NotStored as error:
            raise self._damaged(int(indices_B[error.position])) from error
        if self.checksums:
            self._compare_new_pixels(indices_B, images_BSS3)
        return images_BSS3

    @cached_property
    def _is_unread_N(self) -> NDArray[np.bool_]:
        """Of each image, whether its pixels have not been compared with their checksum."""
        return np.ones(len(self), np.bool_)

    @cached_property
    def _expected(self) -> NDArray[np.uint8]:
        assert self.checksums is not None
        return self.checksums()

    def _compare_ids_and_labels(self, dataset: "datasets.Dataset") -> None:
        for index, (image_id, labels) in enumerate(arrow_files.ids_and_labels(dataset)):
            digests = b"".join(hashlib.sha256(part).digest() for part in (image_id, labels))
            if digests != self._expected[index, : PIXEL_CHECKSUM.start].tobytes():
                raise self._damaged(index)

    def _compare_new_pixels(self, indices_B: NDArray[np.int64], images_BSS3: NDArray[np.uint8]) -> None:
        for position in np.flatnonzero(self._is_unread_N[indices_B]).tolist():
            index = int(indices_B[position])
            digest = hashlib.sha256(images_BSS3[position]).digest()
            if digest != self._expected[index, PIXEL_CHECKSUM].tobytes():
                raise self._damaged(index)
            self._is_unread_N[index] = False

    def _damaged(self, index: int) -> InputError:
        """An error that names the file of the image with this index."""
        starts = np.cumsum([0, *self.files.values()])
        number = int(np.searchsorted(starts, index, side="right")) - 1
        path, place = list(self.files)[number], index - starts[number]
        return InputError(
            f"{path.parent} is damaged: image {place} of {path.name} is not what its checksum says"
            f"{stored_images.other_decoder(path.parent) if self.storage == 'jpeg' else ''};"
            f" {how_to_replace(path.parent)}"
        )


def file_name(view: str, number: int) -> str:
    """The name of a view's Arrow file with this number."""
    return f"{view}-{number:05d}.arrow"


def open_store(folder: Path) -> Store:
    """The store in a folder; InputError if there is none, or one that another version of the suite made."""
    manifest = read_manifest(folder)
    if manifest["made_from"].get("layout") != LAYOUT:
        raise InputError(f"{folder} was made by another version of the suite; {how_to_prepare(folder)}")
    return Store(folder, manifest)
