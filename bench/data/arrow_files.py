"""Rows of a view in an Arrow file: written whole or not at all, read back with their checksums."""

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
AT_ONCE = 64  # rows in memory; at 256 x 256 they are 12 MB


@dataclass(frozen=True)
class ImageRow:
    """An image in a view: `image` is its S x S x 3 bytes, `labels` one signed byte for each label."""

    id: str
    image: bytes
    labels: bytes
    held_out: bool

    @property
    def checksum(self) -> bytes:
        """SHA-256 of the id, of the labels and of the pixels, CHECKSUM_BYTES in all."""
        parts = (self.id.encode(), self.labels, self.image)
        return b"".join(hashlib.sha256(part).digest() for part in parts)


def write_image_rows(path: Path, rows: Iterable[ImageRow], *, side: int, labels: int) -> None:
    """Write one file of a view, whole or not at all; memory stays at AT_ONCE rows.

    Raises InputError naming path and bytes where it cannot be written.
    """
    import pyarrow as pa  # noqa: PLC0415 (slow to import, needed only where a store is made or checked)

    types = {"id": pa.string(), "image": pa.binary(side * side * 3), "labels": pa.list_(pa.int8(), labels)}
    schema = pa.schema({**types, "held_out": pa.bool_()})
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            with pa.ipc.new_stream(file, schema) as stream:
                for batch in _batches(rows, schema):
                    stream.write_batch(batch)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as fault:
        written = temporary.stat().st_size if temporary.exists() else 0
        raise InputError(f"cannot write {path} beyond {written:,} bytes: {fault.strerror}") from fault
    finally:
        temporary.unlink(missing_ok=True)


def _batches(rows: Iterable[ImageRow], schema: Any) -> Iterator[Any]:
    """Rows as Arrow's columns, AT_ONCE at a time; a batch is good until the next is asked for."""
    import pyarrow as pa  # noqa: PLC0415 (as above)

    image, label = schema.field("image").type, schema.field("labels").type
    pixels = np.empty((AT_ONCE, image.byte_width), np.uint8)  # always the same memory, which is a lot faster
    todo = iter(rows)
    while some := [_keep(row, place) for row, place in zip(islice(todo, AT_ONCE), pixels, strict=False)]:
        ids, labels, held_out = zip(*some, strict=True)
        columns = [
            pa.array(ids),
            pa.FixedSizeBinaryArray.from_buffers(image, len(some), [None, pa.py_buffer(pixels)]),
            pa.FixedSizeListArray.from_arrays(np.frombuffer(b"".join(labels), np.int8), label.list_size),
            pa.array(held_out),
        ]
        yield pa.record_batch(columns, schema=schema)


def _keep(row: ImageRow, place: NDArray[np.uint8]) -> tuple[str, bytes, bool]:
    """Put the row's pixels in their place; returns the rest."""
    place[:] = np.frombuffer(row.image, np.uint8)
    return row.id, row.labels, row.held_out


def read_image_rows(path: Path) -> Iterator[ImageRow]:
    """The rows of one file of a view; pyarrow's errors where it cannot be read."""
    import pyarrow as pa  # noqa: PLC0415 (as above)

    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
        for batch in stream:
            batch.validate(full=True)
            for row in batch.to_pylist():
                labels = np.array(row["labels"], np.int8).tobytes()
                yield ImageRow(row["id"], row["image"], labels, row["held_out"])
