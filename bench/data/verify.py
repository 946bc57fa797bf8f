"""A store against its manifest: every id, label and pixel by its checksum, every file by its images."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.base.errors import InputError
from bench.base.processes import cores, each
from bench.base.progress import Meter
from bench.data.arrow_files import CHECKSUM_BYTES, read_image_rows
from bench.data.store import CHECKSUMS, VIEWS, Store

SMALL = 2e9  # bytes that one process checks sooner than several have started
NAMED = 20


@dataclass(frozen=True)
class Part:
    """One file of a view, and the checksums of the rows that belong in it."""

    path: Path
    checksums: bytes

    @property
    def images(self) -> int:
        return len(self.checksums) // CHECKSUM_BYTES


def verify(store: Store) -> str:
    """Check the whole store; returns what was checked, in a line.

    Raises InputError naming the files and images that are not what they were when the store was made.
    """
    parts = list(_parts(store))
    images, wrong = sum(part.images for part in parts), []
    size = sum(part.path.stat().st_size for part in parts if part.path.exists())
    with Meter(f"verify {store.folder.name}", total=images, unit="images") as meter:
        for part, found in each(check, parts, processes=cores() if size > SMALL else 1):
            wrong += found
            meter.add(part.images)
    if wrong:
        named = f"{'; '.join(sorted(wrong)[:NAMED])}{'; and more' if len(wrong) > NAMED else ''}"
        raise InputError(f"{store.folder} is damaged: {named}; delete it, prepare again")
    return f"{store.folder} is whole: {images:,} images in {len(parts)} files are what they were"


def check(part: Part) -> tuple[Part, list[str]]:
    """(the part, what is wrong with it: the file, or the ids of its images)."""
    import pyarrow as pa  # noqa: PLC0415 (slow to import, needed only here)

    try:
        rows = list(_ids_and_checksums(part.path))
    except (OSError, ValueError, pa.ArrowException) as fault:
        return part, [f"{part.path.name} cannot be read ({fault})"]
    if len(rows) != part.images:
        return part, [f"{part.path.name} holds {len(rows)} images instead of {part.images}"]
    starts = range(0, len(part.checksums), CHECKSUM_BYTES)
    return part, [
        f"image {place} of {part.path.name} ({name})"
        for place, ((name, found), start) in enumerate(zip(rows, starts, strict=True))
        if found != part.checksums[start : start + CHECKSUM_BYTES]
    ]


def _ids_and_checksums(path: Path) -> Iterator[tuple[str, bytes]]:
    return ((row.id, row.checksum) for row in read_image_rows(path))


def _parts(store: Store) -> Iterator[Part]:
    """The files of all views with their checksums, which the fingerprint vouches for."""
    path, start = store.folder / CHECKSUMS, 0
    checksums = path.read_bytes() if path.exists() else b""
    if hashlib.sha256(checksums).hexdigest() != store.fingerprint:
        raise InputError(
            f"{path} does not have the fingerprint of the manifest; delete {store.folder}, prepare again"
        )
    for view in VIEWS:
        for file, images in store.files(view).items():
            end = start + images * CHECKSUM_BYTES
            yield Part(file, checksums[start:end])
            start = end
