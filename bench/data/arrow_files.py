"""Write and read the Arrow files of a store: one row per image, with a checksum of each row."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import InputError

CHECKSUM_BYTES = 96
PIXEL_CHECKSUM = slice(64, CHECKSUM_BYTES)  # before it: those of the id and the labels
BATCH_ROWS = 64  # rows in memory at a time; 12 MB for images of 256 x 256


@dataclass(frozen=True)
class ImageRow:
    """One image of a store: `image` is its S x S x 3 bytes, `labels` one signed byte for each label."""

    id: str
    image: bytes
    labels: bytes
    held_out: bool

    @property
    def checksum(self) -> bytes:
        """The SHA-256 of the id, that of the labels and that of the pixels; CHECKSUM_BYTES in total."""
        parts = (self.id.encode(), self.labels, self.image)
        return b"".join(hashlib.sha256(part).digest() for part in parts)


def write_image_rows(path: Path, rows: Iterable[ImageRow], *, side: int, labels: int) -> None:
    """Write one Arrow file atomically, holding only BATCH_ROWS rows in memory.

    side: S, in pixels. labels: the number of labels. Raises InputError with path and size if it cannot be
    written.
    """
    import pyarrow as pa  # noqa: PLC0415 (slow to import, needed only where a store is made or checked)

    schema = _schema(side * side * 3, labels)
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
    import pyarrow as pa  # noqa: PLC0415 (as above)

    types = {"id": pa.string(), "image": pa.binary(image_bytes), "labels": pa.list_(pa.int8(), labels)}
    return pa.schema({**types, "held_out": pa.bool_()})


def unlike_a_store(table: Any) -> str:
    """Why an Arrow table that was read from a file is none of a store; "": it is one."""
    types = {field.name: field.type for field in table.schema}
    width, size = (
        getattr(types.get(name), key, 0) for name, key in (("image", "byte_width"), ("labels", "list_size"))
    )
    if not (isinstance(width, int) and table.schema.equals(_schema(max(width, 1), size))):
        return "its columns are not those of a store"
    if width != 3 * round((width / 3) ** 0.5) ** 2:
        return "its images are not square"
    if any(column.null_count for column in table.columns):
        return "values are missing"
    table.validate(full=True)
    return ""


def _batches(rows: Iterable[ImageRow], schema: Any) -> Iterator[Any]:
    """Arrow batches of BATCH_ROWS rows; all share one buffer, so use a batch before taking the next."""
    import pyarrow as pa  # noqa: PLC0415 (as above)

    image, label = schema.field("image").type, schema.field("labels").type
    pixels = np.empty((BATCH_ROWS, image.byte_width), np.uint8)  # one buffer for all batches: much faster
    remaining = iter(rows)
    while batch := [
        _copy_pixels(row, slot) for row, slot in zip(islice(remaining, BATCH_ROWS), pixels, strict=False)
    ]:
        ids, labels, held_out = zip(*batch, strict=True)
        columns = [
            pa.array(ids),
            pa.FixedSizeBinaryArray.from_buffers(image, len(batch), [None, pa.py_buffer(pixels)]),
            pa.FixedSizeListArray.from_arrays(np.frombuffer(b"".join(labels), np.int8), label.list_size),
            pa.array(held_out),
        ]
        yield pa.record_batch(columns, schema=schema)


def _copy_pixels(row: ImageRow, slot: NDArray[np.uint8]) -> tuple[str, bytes, bool]:
    """Copy the row's pixels into a slot of the buffer; returns its other columns."""
    slot[:] = np.frombuffer(row.image, np.uint8)
    return row.id, row.labels, row.held_out


def read_image_rows(path: Path) -> Iterator[ImageRow]:
    """The rows of one Arrow file; raises OSError, ValueError or ArrowException if it cannot be read."""
    import pyarrow as pa  # noqa: PLC0415 (as above)

    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
        for batch in stream:
            batch.validate(full=True)
            for row in batch.to_pylist():
                labels = np.array(row["labels"], np.int8).tobytes()
                yield ImageRow(row["id"], row["image"], labels, row["held_out"])
