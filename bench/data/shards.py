"""A shard: some consecutive items of a split, made into rows of the store by one process.

It is the unit of resuming: beside its files lies what is known of it, under a key of all that it was made of.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np

from bench.base.atomic_files import write_atomically
from bench.data.arrow_files import ImageRow, write_image_rows
from bench.data.cards import Sizes
from bench.data.decode import PixelArray, Unusable, crop, decode, resize
from bench.data.formats import LeftOut, Sample
from bench.data.store import HELD_OUT_SHARE, LAYOUT, file_name

VIEWS = {"train": ("train", "held_out"), "test": ("test",)}  # of a split, its own first
FACTS = "facts"
ITEMS = 1024
BYTES = 512 * 256 * 256 * 3  # 100 MB; a shard is then made in about a second


@dataclass(frozen=True)
class Shard:
    """What a process needs to make one: where it goes, and its items in the reader's order."""

    folder: Path
    split: str
    number: int
    items: tuple[Sample | LeftOut, ...]
    sizes: Sizes
    labels: int

    @property
    def files(self) -> dict[str, Path]:
        """Where the rows of each view go."""
        return {view: self.folder / file_name(view, self.number) for view in VIEWS[self.split]}

    @property
    def facts(self) -> Path:
        return facts_file(self.folder, self.split, self.number)


@dataclass
class Facts:
    """What is known of a shard once it is made.

    left_out: (id, reason) of items that the reader gave as such. unusable: (id, file or box, reason) of
    samples without pixels. pictures: (content, file) of all others, once for samples of the same file. counts
    and checksums (hexadecimal, `Row.checksum` of each row) by view.
    """

    key: str
    left_out: list[tuple[str, str]] = field(default_factory=list)
    unusable: list[tuple[str, str, str]] = field(default_factory=list)
    pictures: list[tuple[str, str]] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)


def facts_file(folder: Path, split: str, number: int) -> Path:
    """Where the facts of a shard lie in the folder of an unfinished store."""
    return folder / FACTS / f"{split}-{number:05d}.json"


def read_facts(path: Path) -> Facts:
    """The facts in a file that `make` wrote."""
    return Facts(**json.loads(path.read_text(encoding="utf-8")))


def size(sizes: Sizes) -> int:
    """How many items make a shard of about BYTES.

    >>> size(Sizes(train=256)), size(Sizes(train=64))
    (512, 1024)
    """
    return max(1, min(ITEMS, BYTES // (3 * sizes.train**2)))


def held_out(group: str) -> bool:
    """Whether a training image validates instead: decided by a hash of its group, the same for every seed."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8]) < HELD_OUT_SHARE * 2**64


def make(shard: Shard) -> int:
    """Write the shard's files and its facts, last, unless they are there; returns how many items it has.

    A shard with unusable files is made again: they may have been replaced. Raises InputError naming path and
    bytes where a file cannot be written.
    """
    key = _key(shard)
    if not _is_made(shard, key):
        facts = Facts(key, [(item.id, item.reason) for item in shard.items if isinstance(item, LeftOut)])
        validating: list[ImageRow] = []
        for view, path in shard.files.items():
            rows = validating if view == "held_out" else _rows(shard, facts, validating)
            write_image_rows(path, _counted(rows, facts, view), side=_side(shard, view), labels=shard.labels)
        write_atomically(shard.facts, json.dumps(dataclasses.asdict(facts)))
    return len(shard.items)


def _is_made(shard: Shard, key: str) -> bool:
    try:
        known = read_facts(shard.facts)
    except (OSError, ValueError, TypeError):  # not there, or not what `make` writes
        return False
    whole = all(path.exists() for path in shard.files.values())
    return whole and known.key == key and not known.unusable


def _key(shard: Shard) -> str:
    """SHA-256 of what determines the shard; of an image file its size and time stand for the content."""
    facts: list[object] = [LAYOUT, dataclasses.asdict(shard.sizes), shard.labels]
    for item in shard.items:
        if isinstance(item, LeftOut):
            facts.append([item.id, item.reason])
        else:
            labels = item.labels_C.tolist()
            facts.append([item.id, _state(item.image), labels, item.group, item.box])
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _state(image: Path | PixelArray) -> list[object]:
    if not isinstance(image, Path):
        return [image.shape, hashlib.sha256(image.tobytes()).hexdigest()]
    try:
        found = image.stat()
    except OSError:
        return [str(image)]
    return [str(image), found.st_size, found.st_mtime_ns]


def _side(shard: Shard, view: str) -> int:
    return shard.sizes.train if view == "train" else shard.sizes.test


def _rows(shard: Shard, facts: Facts, validating: list[ImageRow]) -> Iterator[ImageRow]:
    """The rows of the split's own view; those that validate are added to `validating` at the test size."""
    for sample, pixels in _pictures(shard.items, facts):
        labels, validates = sample.labels_C.astype(np.int8).tobytes(), False
        if shard.split == "train" and held_out(sample.group or sample.id):
            validates = True
            image = resize(pixels, shard.sizes.test).tobytes()
            validating.append(ImageRow(sample.id, image, labels, validates))
        yield ImageRow(sample.id, resize(pixels, _side(shard, shard.split)).tobytes(), labels, validates)


def _pictures(items: Iterable[Sample | LeftOut], facts: Facts) -> Iterator[tuple[Sample, PixelArray]]:
    """Each sample with its pixels; a photograph is decoded once for all persons in it."""
    for file, group in groupby((item for item in items if isinstance(item, Sample)), key=file_of):
        samples = list(group)
        try:
            image = samples[0].image
            whole = decode(image) if isinstance(image, Path) else image
        except Unusable as reason:
            facts.unusable += [(sample.id, file, str(reason)) for sample in samples]
            continue
        facts.pictures.append((content(whole), file))
        for sample in samples:
            try:
                part = crop(whole, sample.box) if sample.box else whole
            except Unusable as reason:
                facts.unusable.append((sample.id, sample.id, str(reason)))
            else:
                yield sample, part


def file_of(sample: Sample) -> str:
    """What messages call the sample's picture: its file, or where there is none, its id."""
    return str(sample.image) if isinstance(sample.image, Path) else sample.id


def content(pixels_HWC: PixelArray) -> str:
    """What tells pictures apart: shape, a sum over all 64-bit words, and SHA-256 of sixteen lines or more.

    SHA-256 of all pixels would take a quarter of the time in which a shard is made.
    """
    flat = np.ascontiguousarray(pixels_HWC).reshape(-1)
    words = np.pad(flat, (0, -flat.size % 8)).view(np.uint64) if flat.size % 8 else flat.view(np.uint64)
    known = f"{pixels_HWC.shape} {int(words.sum())} ".encode()
    some = pixels_HWC[:: max(1, len(pixels_HWC) // 16)]
    return hashlib.sha256(known + some.tobytes()).hexdigest()[:32]


def _counted(rows: Iterable[ImageRow], facts: Facts, view: str) -> Iterator[ImageRow]:
    """The same rows, counted and summed up on their way."""
    counts, checksums = {"images": 0, "positives": 0, "held_out": 0}, []
    for row in rows:
        counts["images"] += 1
        counts["positives"] += row.labels.count(1)
        counts["held_out"] += row.held_out
        checksums.append(row.checksum)
        yield row
    facts.counts[view], facts.checksums[view] = counts, b"".join(checksums).hex()
