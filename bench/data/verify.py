"""Verify a whole store: ids, labels and pixels against their checksums, files against their image counts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.base import lists
from bench.base.errors import InputError
from bench.base.processes import cores, map_unordered
from bench.base.progress import Meter
from bench.data import stored_images
from bench.data.arrow_files import CHECKSUM_BYTES, read_image_rows
from bench.data.manifest import how_to_replace
from bench.data.store import VIEWS, Store
from bench.data.stored_images import NotStored

SINGLE_PROCESS_BYTES = 2e9  # a smaller store is checked faster by one process: starting several takes time
DAMAGED = "damaged.txt"  # in the store, if a message cannot hold all that has changed


@dataclass(frozen=True)
class Part:
    """One Arrow file, and the checksums that its rows should have."""

    path: Path
    checksums: bytes

    @property
    def images(self) -> int:
        """The number of images that the file should have."""
        return len(self.checksums) // CHECKSUM_BYTES


def verify(store: Store) -> str:
    """Check the whole store; returns a line that says what was checked.

    Raises InputError with the files and images that have changed since the store was made.
    """
    parts = list(_parts(store))
    images, errors = sum(part.images for part in parts), []
    size = sum(part.path.stat().st_size for part in parts if part.path.exists())
    processes = cores() if size > SINGLE_PROCESS_BYTES else 1
    with Meter(f"verify {store.folder.name}", total=images, unit="images") as meter:
        for part, part_errors in map_unordered(check, parts, processes=processes):
            errors += part_errors
            meter.add(part.images)
    if errors:
        listed = lists.as_lines(sorted(errors), all_in=store.folder / DAMAGED)
        raise InputError(f"{store.folder} is damaged; {how_to_replace(store.folder)}{listed}")
    _ = store.fitted  # raises InputError if other images are marked as held out
    return f"{store.folder} is intact: {images:,} images in {len(parts)} files match their checksums"


def check(part: Part) -> tuple[Part, list[str]]:
    """(the part, its errors: one about the file, or one for each image that has changed)."""
    import pyarrow as pa  # noqa: PLC0415 (slow to import, needed only here)

    try:
        rows = list(_ids_and_checksums(part.path))
    except (OSError, ValueError, pa.ArrowException) as error:
        return part, [f"{part.path.name} cannot be read ({error})"]
    if len(rows) != part.images:
        return part, [f"{part.path.name} has {len(rows)} images instead of {part.images}"]
    starts = range(0, len(part.checksums), CHECKSUM_BYTES)
    remark = stored_images.other_decoder(part.path.parent)
    return part, [
        f"image {index} of {part.path.name} ({image_id}){remark}"
        for index, ((image_id, checksum), start) in enumerate(zip(rows, starts, strict=True))
        if checksum != part.checksums[start : start + CHECKSUM_BYTES]
    ]


def _ids_and_checksums(path: Path) -> Iterator[tuple[str, bytes]]:
    """The id and the checksum of each row; b"": the image is damaged."""
    for row in read_image_rows(path):
        try:
            checksum = row.checksum
        except NotStored:
            checksum = b""
        yield row.id, checksum


def _parts(store: Store) -> Iterator[Part]:
    """The Arrow files of all views with their checksums."""
    for view in VIEWS:
        checksums, start = store.checksums(view).tobytes(), 0
        for file, images in store.files(view).items():
            end = start + images * CHECKSUM_BYTES
            yield Part(file, checksums[start:end])
            start = end
