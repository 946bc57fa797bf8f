"""Count what is in the original files, before any image is opened, and compare it with the card."""

import dataclasses
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.data import formats
from bench.data.cards import Card, Sizes, Split
from bench.data.formats import LeftOut, Sample
from bench.data.shards import file_of, is_held_out
from bench.data.store import SPLITS

ROW_BYTES = 300  # of an image in the store besides its pixels: id, labels, checksum


@dataclass
class SplitSurvey:
    """The counts of one split.

    positives: labels that are 1, of all images. files: images in files, not made in memory. held_out: images
    for validation. left_out: items left out, by reason. faults: those of them that must not be there.
    shared: images of one file under two ids.
    """

    images: int = 0
    positives: int = 0
    files: int = 0
    held_out: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)

    @property
    def items(self) -> int:
        """The number of images and of items left out."""
        return self.images + self.left_out.total()


def items(
    card: Card, split: str, source: Path | None, excluded: Mapping[str, str] | None = None
) -> Iterator[Sample | LeftOut]:
    """The items of a split from the card's reader; excluded: files to leave out too, with the reason."""
    for item in formats.reader(card.format)(card, split, source):
        reason = (excluded or {}).get(file_of(item)) if isinstance(item, Sample) else None
        yield LeftOut(item.id, reason) if reason else item


def survey(card: Card, source: Path | None) -> dict[str, SplitSurvey]:
    """The counts of each split; raises the reader's InputError."""
    surveys = {split: SplitSurvey() for split in SPLITS}
    for split, counts in surveys.items():
        ids: dict[str, str] = {}  # of the files that are whole images
        for item in items(card, split, source):
            if isinstance(item, LeftOut):
                counts.left_out[item.reason] += 1
                if item.reason in formats.FAULTS:
                    counts.faults.append(f"{split}: {item.id} ({item.reason})")
            else:
                if isinstance(item.image, Path) and not item.box:
                    first = ids.setdefault(os.path.normpath(item.image), item.id)
                    if first != item.id:
                        counts.shared.append(f"{split}: {first} and {item.id}")
                counts.images += 1
                counts.positives += int((item.labels_C == 1).sum())
                counts.files += isinstance(item.image, Path)
                counts.held_out += split == "train" and is_held_out(item.group or item.id)
    return surveys


def store_bytes(surveys: Mapping[str, SplitSurvey], sizes: Sizes) -> int:
    """The estimated size of the store on disk."""
    large, small = 3 * sizes.train**2 + ROW_BYTES, 3 * sizes.test**2 + ROW_BYTES
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
