"""Write and read the Arrow files of a store: one row per image, with a checksum of each row."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import InputError
from bench.data import stored_images
from bench.data.card_options import Storage
from bench.data.manifest import how_to_replace

if TYPE_CHECKING:
    import datasets

CHECKSUM_BYTES = 96
PIXEL_CHECKSUM = slice(64, CHECKSUM_BYTES)  # before it: those of the id and the labels
VARIABLE = -1  # bytes of an image that is a JPEG file; pyarrow's own number for it
BATCH_ROWS = 64  # rows in memory at a time; 12 MB for images of 256 x 256
BLOCK_BATCHES = 64  # 2.5 MB of labels for 600 labels


@dataclass(frozen=True)
class ImageRow:
    """One image of a store: `image` is its S x S x 3 bytes or a JPEG file, `labels` a signed byte each."""

    id: str
    image: bytes
    labels: bytes
    held_out: bool
    storage: Storage = "pixels"

    @property
    def checksum(self) -> bytes:
        """The SHA-256 of the id, that of the labels and that of the pixels; CHECKSUM_BYTES in total.

        NotStored if the image is damaged.
        """
        parts = (self.id.encode(), self.labels, stored_images.pixel_bytes(self.image, self.storage))
        return b"".join(hashlib.sha256(part).digest() for part in parts)


def write_image_rows(
    path: Path, rows: Iterable[ImageRow], *, side: int, labels: int, storage: Storage = "pixels"
) -> None:
    """Write one Arrow file atomically, holding only BATCH_ROWS rows in memory.

    side: S, in pixels. labels: the number of labels. Raises InputError with path and size if it cannot be
    written.
    """
    import pyarrow as pa  # noqa: PLC0415 (slow to import, needed only where a store is made or checked)

    schema = _schema(side * side * 3 if storage == "pixels" else VARIABLE, labels)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            with pa.ipc.new_stream(file, schema) as stream:
                for batch in _batches(rows, schema):
                    stream.write_batch(batch)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        written = temporary.stat().st_size if temporary.exists() else 0
        raise InputError(f"cannot write {path} beyond {written:,} bytes: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _schema(image_bytes: int, labels: int) -> Any:
    """Of a file whose images have so many bytes each, or VARIABLE."""
    import pyarrow as pa  # noqa: PLC0415 (as above)

    types = {"id": pa.string(), "image": pa.binary(image_bytes), "labels": pa.list_(pa.int8(), labels)}
    return pa.schema({**types, "held_out": pa.bool_()})


def unlike_a_store(table: Any, storage: Storage) -> str:
    """Why an Arrow table that was read from a file is none of a store of this kind; "": it is one."""
    import pyarrow as pa  # noqa: PLC0415 (as above)

    types = {field.name: field.type for field in table.schema}
    is_jpeg = types.get("image") == pa.binary()
    width = VARIABLE if is_jpeg else getattr(types.get("image"), "byte_width", 0)
    size = getattr(types.get("labels"), "list_size", 0)
    if not (isinstance(width, int) and table.schema.equals(_schema(width or 1, size))):
        return "its columns are not those of a store"
    if is_jpeg != (storage == "jpeg"):
        return f"its images are stored as {'jpeg' if is_jpeg else 'pixels'}, its manifest says {storage}"
    if not is_jpeg and width != 3 * round((width / 3) ** 0.5) ** 2:
        return "its images are not square"
    if any(column.null_count for column in table.columns):
        return "values are missing"
    table.validate(full=True)
    return ""


def _batches(rows: Iterable[ImageRow], schema: Any) -> Iterator[Any]:
    """Arrow batches of BATCH_ROWS rows; all share one buffer, so use a batch before taking the next."""
    import pyarrow as pa  # noqa: PLC0415 (as above)

    image = schema.field("image").type
    remaining = iter(rows)
    if image == pa.binary():
        while some := [*islice(remaining, BATCH_ROWS)]:
            images = pa.array([row.image for row in some], image)
            yield _record_batch([(row.id, row.labels, row.held_out) for row in some], images, schema)
        return
    pixels = np.empty((BATCH_ROWS, image.byte_width), np.uint8)  # one buffer for all batches: much faster
    while batch := [
        _copy_pixels(row, slot) for row, slot in zip(islice(remaining, BATCH_ROWS), pixels, strict=False)
    ]:
        images = pa.FixedSizeBinaryArray.from_buffers(image, len(batch), [None, pa.py_buffer(pixels)])
        yield _record_batch(batch, images, schema)


def _record_batch(others: Sequence[tuple[str, bytes, bool]], images: Any, schema: Any) -> Any:
    """An Arrow batch of these images; others: their ids, labels and whether they are held out."""
    import pyarrow as pa  # noqa: PLC0415 (as above)

    ids, labels, held_out = zip(*others, strict=True)
    size = schema.field("labels").type.list_size
    labels = pa.FixedSizeListArray.from_arrays(np.frombuffer(b"".join(labels), np.int8), size)
    return pa.record_batch([pa.array(ids), images, labels, pa.array(held_out)], schema=schema)


def _copy_pixels(row: ImageRow, slot: NDArray[np.uint8]) -> tuple[str, bytes, bool]:
    """Copy the row's pixels into a slot of the buffer; returns its other columns."""
    slot[:] = np.frombuffer(row.image, np.uint8)
    return row.id, row.labels, row.held_out


def read_image_rows(path: Path) -> Iterator[ImageRow]:
    """The rows of one Arrow file; raises OSError, ValueError or ArrowException if it cannot be read."""
    import pyarrow as pa  # noqa: PLC0415 (as above)

    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
        storage: Storage = "jpeg" if stream.schema.field("image").type == pa.binary() else "pixels"
        for batch in stream:
            batch.validate(full=True)
            for row in batch.to_pylist():
                labels = np.array(row["labels"], np.int8).tobytes()
                yield ImageRow(row["id"], row["image"], labels, row["held_out"], storage)


def opened(path: Path, images: int, storage: Storage) -> "datasets.Dataset":
    """One Arrow file; InputError if it cannot be read or has another number of images than the manifest."""
    import datasets  # noqa: PLC0415 (slow to import, and not installed where only speed is measured)
    import pyarrow as pa  # noqa: PLC0415 (as above)

    try:
        part = datasets.Dataset.from_file(str(path))
        if reason := unlike_a_store(part.data.table, storage):
            raise ValueError(reason)
    except (OSError, ValueError, TypeError, KeyError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} cannot be read ({reason}); {how_to_replace(path.parent)}") from error
    if len(part) != images:
        raise InputError(f"{path} has {len(part)} images instead of {images}; {how_to_replace(path.parent)}")
    return part


def column(table: Any, name: str) -> NDArray[Any]:
    """A column of a data set or an Arrow table as an array; labels, which it copies, as int8 (N, C)."""
    values = getattr(table, "data", table).column(name).combine_chunks()
    return _labels(values) if name == "labels" else np.asarray(values.to_numpy(zero_copy_only=False))


def _labels(values: Any) -> NDArray[np.int8]:
    flat: NDArray[np.int8] = values.flatten().to_numpy()
    return flat.reshape(len(values), values.type.list_size)


def label_blocks(dataset: "datasets.Dataset") -> Iterator[NDArray[np.int8]]:
    """The labels (n, C) of BLOCK_BATCHES batches of rows at a time."""
    chunks = dataset.data.column("labels").chunks
    for start in range(0, len(chunks), BLOCK_BATCHES):
        yield np.concatenate([_labels(chunk) for chunk in chunks[start : start + BLOCK_BATCHES]])


def ids_and_labels(dataset: "datasets.Dataset") -> Iterator[tuple[bytes, bytes]]:
    """The id and the labels of each image, as its checksum takes them."""
    names, labels = (dataset.data.column(name).chunks for name in ("id", "labels"))
    for some_names, some_labels in zip(names, labels, strict=True):
        for name, labels_C in zip(some_names.to_pylist(), _labels(some_labels), strict=True):
            yield name.encode(), labels_C.tobytes()


def pixels(images: Any) -> NDArray[np.uint8]:
    """The pixels (B, S, S, 3) of some rows of the column `image`; NotStored if a JPEG file is damaged."""
    if images.type == "binary":
        return stored_images.decode_all([value.as_buffer() for value in images])
    values = images.combine_chunks()
    flat, image_bytes = np.frombuffer(values.buffers()[1], np.uint8), values.type.byte_width
    side = round((image_bytes / 3) ** 0.5)
    start = values.offset * image_bytes
    return flat[start : start + len(values) * image_bytes].reshape(-1, side, side, 3)
