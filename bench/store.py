"""The prepared store: images decoded and resized once, memory-mapped Arrow of Hugging Face `datasets`.

A store is a folder with one Arrow file per view and `manifest.json`, written last. Views: `train` (every
training image, for crops), `held_out` (the share of them that validates, at the test size) and `test`.
Legend: N images of a view, B of a batch, C labels, S side in pixels.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError

if TYPE_CHECKING:
    import datasets

MANIFEST = "manifest.json"
LAYOUT = (
    1  # raised whenever what a store holds changes for the same card and reader: older ones are made anew
)
HELD_OUT_SHARE = 0.05
Row = Mapping[str, Any]  # id, image (bytes), labels, held_out


class Store:
    """A prepared data set: its manifest and its views."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        self.train, self.held_out, self.test = (
            View(folder / f"{name}.arrow") for name in ("train", "held_out", "test")
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 over ids, labels and pixels of every view, in order."""
        return str(self.manifest["fingerprint"])

    @cached_property
    def fitted(self) -> NDArray[np.int64]:
        """Indices into `train` of the images that are learned from: all but the held-out ones."""
        return np.flatnonzero(~self.train.column("held_out"))


class View:
    """Images of one size in a fixed order; nothing is read before it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _dataset(self) -> "datasets.Dataset":
        import datasets  # noqa: PLC0415 (slow to import, and absent where only speed is measured)

        return datasets.Dataset.from_file(str(self.path)).with_format("arrow")

    def __len__(self) -> int:
        return len(self._dataset)

    def column(self, name: str) -> NDArray[Any]:
        """One value for each image: `id`, `held_out`, or `labels` as int8 (N, C)."""
        values = self._dataset.data.column(name).combine_chunks()
        if name == "labels":
            flat: NDArray[Any] = values.flatten().to_numpy()
            return flat.reshape(len(self), -1)
        return np.asarray(values.to_numpy(zero_copy_only=False))

    @cached_property
    def labels_NC(self) -> NDArray[np.int8]:
        """The labels of all images, 1, 0 or -1."""
        return self.column("labels")

    def images(self, indices_B: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pixels (B, S, S, 3) of the images asked for, in that order."""
        table = self._dataset.select_columns(["image"])[indices_B.tolist()]
        column = table.column("image").combine_chunks()
        pixels = np.frombuffer(column.buffers()[1], np.uint8)
        one = column.type.byte_width
        side = round((one / 3) ** 0.5)
        start = column.offset * one
        return pixels[start : start + len(column) * one].reshape(-1, side, side, 3)


def write_view(path: Path, rows: Iterable[Row], *, side: int, labels: int) -> int:
    """Write one view; returns the number of images. Memory stays at one write batch whatever the length."""
    import datasets  # noqa: PLC0415 (as above)
    from datasets.arrow_writer import ArrowWriter  # noqa: PLC0415

    features = datasets.Features(
        id=datasets.Value("string"),
        image=datasets.Value(f"fixed_size_binary[{side * side * 3}]"),
        labels=datasets.List(datasets.Value("int8"), length=labels),
        held_out=datasets.Value("bool"),
    )
    with ArrowWriter(path=str(path), features=features, writer_batch_size=256) as writer:
        for row in rows:
            writer.write(dict(row))
        count, _ = writer.finalize()
    return int(count)


def open_store(folder: Path) -> Store:
    """The store in a folder; InputError says how to make one where there is none."""
    if not (folder / MANIFEST).exists():
        raise InputError(
            f"{folder} holds no prepared data; run: python -m bench.prepare --dataset {folder.name}"
        )
    try:
        return Store(folder)
    except (json.JSONDecodeError, UnicodeDecodeError) as mistake:
        raise InputError(
            f"{folder / MANIFEST} is damaged ({mistake}); delete {folder}, prepare again"
        ) from mistake
