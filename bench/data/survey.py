"""Count what is in the original files, before any image is opened, and compare it with the card."""

import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data import formats
from bench.data.card_options import Storage
from bench.data.cards import Card, Sizes, Split
from bench.data.formats import LeftOut, Sample
from bench.data.known_labels import Known, is_known
from bench.data.shards import is_held_out
from bench.data.store import SPLITS

PIXEL_BYTES: dict[Storage, float] = {"pixels": 3, "jpeg": 0.6}  # JPEG: photographs 0.5, noise 0.9
ROW_BYTES = 300  # of an image in the store besides its pixels: id, labels, checksum


@dataclass
class SplitSurvey:
    """The counts of one split.

    positives_C: images of each label that is 1. paths: images in files, not made in memory. boxes: images
    that are a box in a file. encoded: images given as the bytes of a file. held_out: images for validation.
    left_out: items left out, by reason. digest: of all items in order, with labels and the size of each file.
    times: a digest of when each file was last written. faults: items left out that must not be there. shared:
    images of one file under two ids.
    """

    positives_C: NDArray[np.int64]
    images: int = 0
    paths: list[str] = field(default_factory=list)
    boxes: int = 0
    encoded: int = 0
    held_out: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    digest: Any = field(default_factory=hashlib.sha256)
    times: Any = field(default_factory=hashlib.sha256)
    faults: list[str] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)

    @property
    def positives(self) -> int:
        """Labels that are 1, of all images."""
        return int(self.positives_C.sum())

    @property
    def files(self) -> int:
        """The number of images to decode: in files, or in the bytes of files."""
        return len(self.paths) + self.encoded

    @property
    def items(self) -> int:
        """The number of images and of items left out."""
        return self.images + self.left_out.total()


def items(card: Card, split: str, source: Path | None) -> Iterator[Sample | LeftOut]:
    """The items of a split from the card's reader, with the labels that the card's variant knows."""
    original = formats.reader(card.format)(card, split, source)
    if not card.known or split == "test":
        return original
    return (_partly_known(item, card.known, card.labels) for item in original)


def _partly_known(item: Sample | LeftOut, known: Known, labels: Sequence[str]) -> Sample | LeftOut:
    """The item with the labels of a variant: 1, -1, and 0 for those that are not known."""
    if isinstance(item, LeftOut):
        return item
    spelled_C = np.where(item.labels_C == 0, np.int8(known.zero), item.labels_C)
    labels_C = np.where(is_known(item.id, labels, known), spelled_C, np.int8(0))
    return dataclasses.replace(item, labels_C=labels_C)


def survey(card: Card, source: Path | None) -> dict[str, SplitSurvey]:
    """The counts of each split; raises the reader's InputError."""
    surveys = {split: SplitSurvey(np.zeros(len(card.labels), np.int64)) for split in SPLITS}
    for split, counts in surveys.items():
        ids: dict[str, str] = {}  # of the files that are whole images
        for item in items(card, split, source):
            if isinstance(item, LeftOut):
                counts.left_out[item.reason] += 1
                counts.digest.update(f"{item.id!r} {item.reason}\n".encode())
                if item.reason in formats.FAULTS:
                    counts.faults.append(f"{split}: {item.id} ({item.reason})")
            else:
                if isinstance(item.image, Path) and not item.box:
                    first = ids.setdefault(os.path.normpath(item.image), item.id)
                    if first != item.id:
                        counts.shared.append(f"{split}: {first} and {item.id}")
                _count(counts, item, source)
                counts.held_out += split == "train" and is_held_out(item.group or item.id)
    return surveys


def _count(counts: SplitSurvey, sample: Sample, source: Path | None) -> None:
    counts.images += 1
    counts.positives_C += sample.labels_C == 1
    counts.boxes += sample.box is not None
    facts: list[Any] = [sample.id, sample.labels_C.tolist(), sample.group, sample.box]
    if isinstance(sample.image, Path):
        counts.paths.append(str(sample.image))
        inside = source and sample.image.is_relative_to(source)
        facts += [str(sample.image.relative_to(source) if source and inside else sample.image)]
        size, time = _size_and_time(sample.image)
        facts += [size]
        counts.times.update(f"{time}\n".encode())
    elif sample.image.ndim == 1:
        counts.encoded += 1
        facts += [sample.image.size]
    counts.digest.update(json.dumps(facts).encode())


def _size_and_time(path: Path) -> tuple[int, int]:
    """Bytes, and nanoseconds of the last writing; -1 if there is no such file."""
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return -1, -1
    return facts.st_size, facts.st_mtime_ns


def listing_digest(surveys: Mapping[str, SplitSurvey]) -> str:
    """A digest of what the original files list: images, labels, groups, boxes, sizes of image files."""
    digests = "".join(counts.digest.hexdigest() for counts in surveys.values())
    return hashlib.sha256(digests.encode()).hexdigest()


def times_digest(surveys: Mapping[str, SplitSurvey]) -> str:
    """A digest of the times at which the image files were last written."""
    digests = "".join(counts.times.hexdigest() for counts in surveys.values())
    return hashlib.sha256(digests.encode()).hexdigest()


def store_bytes(surveys: Mapping[str, SplitSurvey], sizes: Sizes, storage: Storage) -> int:
    """The estimated size of the store on disk."""
    large, small = (round(PIXEL_BYTES[storage] * side**2) + ROW_BYTES for side in (sizes.train, sizes.test))
    return surveys["train"].images * large + (surveys["train"].held_out + surveys["test"].images) * small


def differences(card: Card, surveys: Mapping[str, SplitSurvey]) -> tuple[list[str], list[str]]:
    """(differences to the card's counts, differences to counts that the card calls approximate), as text."""
    wrong: list[str] = []
    approximate: list[str] = []
    for split, expected in (("train", card.train), ("test", card.test)):
        lines = approximate if expected.approximate else wrong
        lines.extend(_split_differences(split, expected, surveys[split]))
    return wrong, approximate


def _split_differences(split: str, expected: Split, counts: SplitSurvey) -> list[str]:
    expected_counts = {name: dataclasses.asdict(expected)[name] for name in ("images", "positives")}
    return [
        f"{split}: {number:,} {name} expected, {getattr(counts, name):,} found"
        for name, number in expected_counts.items()
        if number not in (0, getattr(counts, name))  # 0: the card does not know it
    ]
