"""What to prepare, and what to do about images that cannot or must not be in the store."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.base.errors import InputError
from bench.base.progress import say
from bench.data.cards import Card
from bench.data.staging import StagingFolder

SAME = {"train": "the test set has the same picture", "test": "the training set has the same picture"}
OVERLAP = ("drop-train", "drop-test")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that prepares: `--source`, `--allow-partial`, `--overlap`."""
    add = parser.add_argument
    add("--source", type=Path, metavar="DIR", help="folder of the original files, in their original layout")
    text = "leave out missing, unreadable and duplicate images instead of stopping; report them"
    add("--allow-partial", action="store_true", help=text)
    add("--overlap", choices=OVERLAP, default="", help="leave pictures that are in both sets out of this one")


@dataclass(frozen=True)
class Task:
    """A data set to prepare.

    allow_partial: leave out missing and wrong images instead of stopping. overlap: from which split to drop
    pictures that are in both, one of OVERLAP; "": stop.
    """

    card: Card
    source: Path | None
    staging: StagingFolder
    allow_partial: bool
    overlap: str = ""

    def refuse_or_warn(self, problem: str, listed: str) -> None:
        """Raise InputError with the problem, or only print it if allow_partial is set; listed: its lines."""
        if not self.allow_partial:
            raise InputError(f"{problem}; to prepare what is usable, add --allow-partial{listed}")
        say(f"{problem}:{listed}")

    def dropped(self, in_both: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """By split the files to drop, with the reason; {} if none is in both splits.

        in_both: training file -> test file. Raises InputError if they may not be dropped.
        """
        if not in_both:
            return {}
        pairs = [f"{train} = {test}" for train, test in in_both.items()]
        problem = f"{len(pairs):,} images of {self.card.name} are both in the training and in the test set"
        goes_on = bool(self.overlap) or self.allow_partial
        shown = self.staging.list_or_file(pairs, "in_both", goes_on=goes_on)
        if not goes_on:
            raise InputError(
                f"{problem}; to leave them out of one, add --overlap drop-train or"
                f" --overlap drop-test:{shown}"
            )
        say(f"{problem}:{shown}")
        split = "test" if self.overlap == "drop-test" else "train"
        files = in_both.values() if split == "test" else in_both.keys()
        return {"train": {}, "test": {}, split: dict.fromkeys(files, SAME[split])}
