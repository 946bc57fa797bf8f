"""What a reader finds in the owner's files, counted before any image is opened, and what the card expects."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.data import formats
from bench.data.cards import Card, Sizes, Split
from bench.data.formats import LeftOut, Sample
from bench.data.shards import VIEWS, file_of, held_out

ROW_BYTES = 300  # of an image in the store beside its pixels: id, labels, checksum


@dataclass
class SplitSurvey:
    """What one split has: images, positive labels, images in files, those held out, what is left out and
    why.
    """

    images: int = 0
    positives: int = 0
    files: int = 0
    held_out: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def items(self) -> int:
        """Images, and what is left out in their place."""
        return self.images + self.left_out.total()


def items(
    card: Card, split: str, source: Path | None, without: Mapping[str, str] | None = None
) -> Iterator[Sample | LeftOut]:
    """The reader's items; images with a file in `without` are left out, for the reason given there."""
    for item in formats.reader(card.format)(card, split, source):
        reason = (without or {}).get(file_of(item)) if isinstance(item, Sample) else None
        yield LeftOut(item.id, reason) if reason else item


def survey(card: Card, source: Path | None) -> dict[str, SplitSurvey]:
    """What is there, by split; raises the reader's InputError."""
    found = {split: SplitSurvey() for split in VIEWS}
    for split, here in found.items():
        for item in items(card, split, source):
            if isinstance(item, LeftOut):
                here.left_out[item.reason] += 1
            else:
                here.images += 1
                here.positives += int((item.labels_C == 1).sum())
                here.files += isinstance(item.image, Path)
                here.held_out += split == "train" and held_out(item.group or item.id)
    return found


def store_bytes(found: Mapping[str, SplitSurvey], sizes: Sizes) -> int:
    """What the store will take on the disk."""
    large, small = 3 * sizes.train**2 + ROW_BYTES, 3 * sizes.test**2 + ROW_BYTES
    return found["train"].images * large + (found["train"].held_out + found["test"].images) * small


def differences(card: Card, found: Mapping[str, SplitSurvey]) -> tuple[list[str], list[str]]:
    """(what contradicts the card, what differs from a count that is approximate), in words."""
    wrong: list[str] = []
    remarkable: list[str] = []
    for split, expected in (("train", card.train), ("test", card.test)):
        (remarkable if expected.approximate else wrong).extend(_differences(split, expected, found[split]))
    return wrong, remarkable


def _differences(split: str, expected: Split, found: SplitSurvey) -> list[str]:
    wanted = {name: dataclasses.asdict(expected)[name] for name in ("images", "positives")}
    return [
        f"{split}: {number:,} {name} expected, {getattr(found, name):,} found"
        for name, number in wanted.items()
        if number not in (0, getattr(found, name))
    ]
