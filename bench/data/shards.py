"""Make one shard of a store: consecutive items of a split, decoded, resized and written by one process.

A finished shard with the right key, a digest of all that it was made from, is not made again.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np

from bench.base import code_digest
from bench.base.atomic_files import write_atomically
from bench.data import libraries, manifest
from bench.data.arrow_files import ImageRow, read_image_rows, write_image_rows
from bench.data.card_options import JPEG, Resample, Storage
from bench.data.cards import Sizes
from bench.data.decode import PixelArray, Unusable, crop, resize
from bench.data.formats import LeftOut, Sample
from bench.data.source_digests import content, image_key, is_turned, source_digest, source_pixels
from bench.data.store import HELD_OUT_SHARE, SPLITS, file_name
from bench.data.stored_images import encode

FACTS = "facts"  # the folder of the files of facts
MAX_ITEMS = 1024
MAY_BE_READ_LATER = "cannot be read"  # how the reason starts if the file itself may be in order
MAX_BYTES = 512 * 256 * 256 * 3  # 100 MB; making a shard takes about a second


@dataclass(frozen=True)
class Shard:
    """What a process needs to make a shard.

    items: in the reader's order. labels: their number. exif, resample, storage: the card's rules. dropped:
    the files to leave out, each with the reason. held_out: groups to hold out besides those of `is_held_out`.
    """

    folder: Path
    split: str
    number: int
    items: tuple[Sample | LeftOut, ...]
    sizes: Sizes
    labels: int
    exif: str = "ignore"
    resample: Resample = "antialiased"
    storage: Storage = "pixels"
    dropped: Mapping[str, str] = field(default_factory=dict)
    held_out: frozenset[str] = frozenset()

    @property
    def kept(self) -> tuple[Sample | LeftOut, ...]:
        """The items, those of dropped files left out."""
        if not self.dropped:
            return self.items
        return tuple(
            LeftOut(item.id, self.dropped[file_of(item)])
            if isinstance(item, Sample) and file_of(item) in self.dropped
            else item
            for item in self.items
        )

    @property
    def files(self) -> dict[str, Path]:
        """The Arrow file for each view of the split."""
        return {view: self.folder / file_name(view, self.number) for view in SPLITS[self.split]}

    @property
    def facts(self) -> Path:
        """The file of the shard's facts."""
        return facts_file(self.folder, self.split, self.number)


@dataclass
class ShardFacts:
    """What is known about a finished shard, as stored in its file of facts.

    left_out: (id, reason) of the items that the reader left out. unusable: (id, file, reason) of the samples
    without pixels; in place of the file the id, if the box is the problem. pictures: (`content`, file) of all
    others, once per file. rows: (file, SHA-256 of its source, held_out) of all images. turned: the number of
    files with an EXIF orientation. counts (images, positives, held_out) and checksums (`ImageRow.checksum` of
    all rows, hexadecimal): by view.
    """

    key: str
    left_out: list[tuple[str, str]] = field(default_factory=list)
    unusable: list[tuple[str, str, str]] = field(default_factory=list)
    pictures: list[tuple[str, str]] = field(default_factory=list)
    rows: list[tuple[str, str, bool]] = field(default_factory=list)
    turned: int = 0
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)


def facts_file(folder: Path, split: str, number: int) -> Path:
    """The file of a shard's facts, in the folder of an unfinished store."""
    return folder / FACTS / f"{split}-{number:05d}.json"


def read_facts(path: Path) -> ShardFacts:
    """The facts in a file that `make` wrote; OSError, ValueError or TypeError if there are none."""
    return ShardFacts(**json.loads(path.read_text(encoding="utf-8")))


def size(sizes: Sizes) -> int:
    """The number of items in a shard: as many as fit in MAX_BYTES, at most MAX_ITEMS.

    >>> size(Sizes(train=256)), size(Sizes(train=64))
    (512, 1024)
    """
    return max(1, min(MAX_ITEMS, MAX_BYTES // (3 * sizes.train**2)))


def is_held_out(group: str) -> bool:
    """Whether a training image is held out for validation: decided by a hash of its group, not by a seed."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8]) < HELD_OUT_SHARE * 2**64


def make(shard: Shard) -> int:
    """Write the shard's Arrow files, then its facts, unless they exist; returns its number of items.

    If all of it exists and files are to be dropped, the other images are copied, not decoded again. A shard
    with files that could not be read is always made again. Raises InputError with path and size if a file
    cannot be written.
    """
    key = _key(shard, shard.kept)
    if not _is_made(shard, key):
        facts = ShardFacts(key, [(item.id, item.reason) for item in shard.kept if isinstance(item, LeftOut)])
        if shard.dropped and _is_made(shard, _key(shard, shard.items)):
            _copy_kept(shard, facts)
        else:
            held_out: list[ImageRow] = []
            for view in shard.files:  # the rows of "train" fill `held_out`, which comes after it
                rows = held_out if view == "held_out" else _rows(shard, facts, held_out)
                _write(shard, facts, view, rows)
        write_atomically(shard.facts, json.dumps(dataclasses.asdict(facts)))
    return len(shard.items)


def _write(shard: Shard, facts: ShardFacts, view: str, rows: Iterable[ImageRow]) -> None:
    counted = _counted(rows, facts, view)
    side, storage = _side(shard, view), shard.storage
    write_image_rows(shard.files[view], counted, side=side, labels=shard.labels, storage=storage)


def _copy_kept(shard: Shard, facts: ShardFacts) -> None:
    """Write the shard's files again without the dropped files; fills the facts."""
    complete = read_facts(shard.facts)
    shard.facts.unlink()  # if this is interrupted, the shard has to be made from the sources
    facts.unusable = [entry for entry in complete.unusable if entry[1] not in shard.dropped]
    facts.pictures = [entry for entry in complete.pictures if entry[1] not in shard.dropped]
    facts.rows = [row for row in complete.rows if row[0] not in shard.dropped]
    facts.turned = complete.turned
    for view, path in shard.files.items():
        stored = [row for row in complete.rows if view != "held_out" or row[2]]
        pairs = zip(stored, read_image_rows(path), strict=True)
        _write(shard, facts, view, (row for (file, _, _), row in pairs if file not in shard.dropped))


def _is_made(shard: Shard, key: str) -> bool:
    """Whether the shard exists, was made from the same things, and every file could be read."""
    try:
        facts = read_facts(shard.facts)
    except (OSError, ValueError, TypeError):  # no file, or not one that `make` wrote
        return False
    complete = all(path.exists() for path in shard.files.values())
    unread = any(reason.startswith(MAY_BE_READ_LATER) for _, _, reason in facts.unusable)
    return complete and facts.key == key and not unread


def _key(shard: Shard, items: Iterable[Sample | LeftOut]) -> str:
    """SHA-256 of what determines the shard; for image files, size and time stand for the content.

    Code and libraries count too: an interrupted preparation that is resumed with others starts again.
    """
    code = code_digest.digest("bench.data.decode", "bench.data.orientation")
    parts: list[object] = [manifest.LAYOUT, dataclasses.asdict(shard.sizes), shard.labels, shard.exif]
    parts += [shard.resample, code, libraries.versions()]
    parts += [sorted(shard.held_out)] if shard.held_out else []
    parts += [] if shard.storage == "pixels" else [shard.storage, JPEG]
    for item in items:
        if isinstance(item, LeftOut):
            parts.append([item.id, item.reason])
        else:
            labels = item.labels_C.tolist()
            parts.append([item.id, image_key(item.image), labels, item.group, item.box, item.square])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _side(shard: Shard, view: str) -> int:
    return shard.sizes.train if view == "train" else shard.sizes.test


def _rows(shard: Shard, facts: ShardFacts, held_out: list[ImageRow]) -> Iterator[ImageRow]:
    """The rows of the view named like the split; adds the held-out images, at test size, to `held_out`."""
    for sample, pixels, source in _pictures(shard, facts):
        labels = sample.labels_C.astype(np.int8).tobytes()
        group = sample.group or sample.id
        validates = shard.split == "train" and (is_held_out(group) or group in shard.held_out)
        facts.rows.append((file_of(sample), source_digest(sample, source), validates))
        if validates:
            image = encode(resize(pixels, shard.sizes.test, shard.resample), shard.storage)
            held_out.append(ImageRow(sample.id, image, labels, validates, shard.storage))
        image = encode(resize(pixels, _side(shard, shard.split), shard.resample), shard.storage)
        yield ImageRow(sample.id, image, labels, validates, shard.storage)


def _pictures(shard: Shard, facts: ShardFacts) -> Iterator[tuple[Sample, PixelArray, str]]:
    """Each sample, its pixels and the digest of its file; a file that consecutive samples share is decoded
    once.
    """
    for file, group in groupby((item for item in shard.kept if isinstance(item, Sample)), key=file_of):
        samples = list(group)
        try:
            pixels, source = source_pixels(samples[0].image, shard.exif)
        except Unusable as reason:
            facts.unusable += [(sample.id, file, str(reason)) for sample in samples]
            continue
        facts.pictures.append((content(pixels), file))
        facts.turned += is_turned(samples[0].image)
        for sample in samples:
            try:
                part = crop(pixels, sample.box, square=sample.square) if sample.box else pixels
            except Unusable as reason:
                facts.unusable.append((sample.id, sample.id, str(reason)))
            else:
                yield sample, part, source


def file_of(sample: Sample) -> str:
    """The name of the sample's picture in messages: its file, or its id if the pixels come from memory."""
    return str(sample.image) if isinstance(sample.image, Path) else sample.id


def _counted(rows: Iterable[ImageRow], facts: ShardFacts, view: str) -> Iterator[ImageRow]:
    """The same rows; after the last one, their counts and checksums are added to the facts."""
    counts, checksums = {"images": 0, "positives": 0, "held_out": 0}, []
    for row in rows:
        counts["images"] += 1
        counts["positives"] += row.labels.count(1)
        counts["held_out"] += row.held_out
        checksums.append(row.checksum)
        yield row
    facts.counts[view], facts.checksums[view] = counts, b"".join(checksums).hex()
