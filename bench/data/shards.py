"""Make one shard of a store: consecutive items of a split, decoded, resized and written by one process.

Preparation is resumed shard by shard: a file of facts beside a finished shard holds a key, a digest of
everything that the shard was made from; a shard with the right key is not made again.
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
from bench.data.store import HELD_OUT_SHARE, LAYOUT, SPLITS, file_name

FACTS = "facts"  # the folder of the files of facts
MAX_ITEMS = 1024
MAX_BYTES = 512 * 256 * 256 * 3  # 100 MB; making a shard takes about a second


@dataclass(frozen=True)
class Shard:
    """What a process needs to make a shard; items: in the reader's order; labels: their number.

    held_out: groups to hold out besides those that `is_held_out` chooses.
    """

    folder: Path
    split: str
    number: int
    items: tuple[Sample | LeftOut, ...]
    sizes: Sizes
    labels: int
    held_out: frozenset[str] = frozenset()

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
    others, once per file. counts (images, positives, held_out) and checksums (`ImageRow.checksum` of all
    rows, hexadecimal): by view.
    """

    key: str
    left_out: list[tuple[str, str]] = field(default_factory=list)
    unusable: list[tuple[str, str, str]] = field(default_factory=list)
    pictures: list[tuple[str, str]] = field(default_factory=list)
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

    A shard with unusable files is always made again, because the files may have been replaced. Raises
    InputError with path and size if a file cannot be written.
    """
    key = _key(shard)
    if not _is_made(shard, key):
        facts = ShardFacts(key, [(item.id, item.reason) for item in shard.items if isinstance(item, LeftOut)])
        held_out: list[ImageRow] = []
        for view, path in shard.files.items():  # the rows of "train" fill `held_out`, which comes after it
            rows = held_out if view == "held_out" else _rows(shard, facts, held_out)
            write_image_rows(path, _counted(rows, facts, view), side=_side(shard, view), labels=shard.labels)
        write_atomically(shard.facts, json.dumps(dataclasses.asdict(facts)))
    return len(shard.items)


def _is_made(shard: Shard, key: str) -> bool:
    """Whether the shard exists, was made from the same things, and has no unusable files."""
    try:
        facts = read_facts(shard.facts)
    except (OSError, ValueError, TypeError):  # no file, or not one that `make` wrote
        return False
    complete = all(path.exists() for path in shard.files.values())
    return complete and facts.key == key and not facts.unusable


def _key(shard: Shard) -> str:
    """SHA-256 of what determines the shard; for image files, size and time stand for the content."""
    parts: list[object] = [LAYOUT, dataclasses.asdict(shard.sizes), shard.labels]
    parts += [sorted(shard.held_out)] if shard.held_out else []
    for item in shard.items:
        if isinstance(item, LeftOut):
            parts.append([item.id, item.reason])
        else:
            labels = item.labels_C.tolist()
            parts.append([item.id, _image_key(item.image), labels, item.group, item.box])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _image_key(image: Path | PixelArray) -> list[object]:
    if not isinstance(image, Path):
        return [image.shape, hashlib.sha256(image.tobytes()).hexdigest()]
    try:
        status = image.stat()
    except OSError:
        return [str(image)]
    return [str(image), status.st_size, status.st_mtime_ns]


def _side(shard: Shard, view: str) -> int:
    return shard.sizes.train if view == "train" else shard.sizes.test


def _rows(shard: Shard, facts: ShardFacts, held_out: list[ImageRow]) -> Iterator[ImageRow]:
    """The rows of the view named like the split; adds the held-out images, at test size, to `held_out`."""
    for sample, pixels in _pictures(shard.items, facts):
        labels = sample.labels_C.astype(np.int8).tobytes()
        group = sample.group or sample.id
        validates = shard.split == "train" and (is_held_out(group) or group in shard.held_out)
        if validates:
            image = resize(pixels, shard.sizes.test).tobytes()
            held_out.append(ImageRow(sample.id, image, labels, validates))
        yield ImageRow(sample.id, resize(pixels, _side(shard, shard.split)).tobytes(), labels, validates)


def _pictures(items: Iterable[Sample | LeftOut], facts: ShardFacts) -> Iterator[tuple[Sample, PixelArray]]:
    """Each sample with its pixels; a file that several consecutive samples share is decoded once."""
    for file, group in groupby((item for item in items if isinstance(item, Sample)), key=file_of):
        samples = list(group)
        try:
            image = samples[0].image
            pixels = decode(image) if isinstance(image, Path) else image
        except Unusable as reason:
            facts.unusable += [(sample.id, file, str(reason)) for sample in samples]
            continue
        facts.pictures.append((content(pixels), file))
        for sample in samples:
            try:
                part = crop(pixels, sample.box) if sample.box else pixels
            except Unusable as reason:
                facts.unusable.append((sample.id, sample.id, str(reason)))
            else:
                yield sample, part


def file_of(sample: Sample) -> str:
    """The name of the sample's picture in messages: its file, or its id if the pixels come from memory."""
    return str(sample.image) if isinstance(sample.image, Path) else sample.id


def content(pixels_HWC: PixelArray) -> str:
    """A digest that is equal for equal pictures: of the shape, the sum of all 64-bit words, and some lines.

    At least sixteen lines are used, or all. A SHA-256 of all pixels would take a quarter of the time that
    making a shard takes.
    """
    flat = np.ascontiguousarray(pixels_HWC).reshape(-1)
    words = np.pad(flat, (0, -flat.size % 8)).view(np.uint64) if flat.size % 8 else flat.view(np.uint64)
    summary = f"{pixels_HWC.shape} {int(words.sum())} ".encode()
    lines = pixels_HWC[:: max(1, len(pixels_HWC) // 16)]
    return hashlib.sha256(summary + lines.tobytes()).hexdigest()[:32]


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
