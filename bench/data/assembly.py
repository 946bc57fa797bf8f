"""Shards -> one store: their facts become checksums, the list of what is left out, and the manifest."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.base.atomic_files import write_atomically
from bench.data.shards import FACTS, VIEWS, Facts, facts_file, read_facts
from bench.data.store import CHECKSUMS, MANIFEST, file_name

LEFT_OUT = "left_out.tsv"
SPLIT = {"train": "train", "held_out": "train", "test": "test"}  # of a view, in the order of fingerprints


@dataclass(frozen=True)
class ShardSet:
    """A folder in which all shards lie, and how many of each split."""

    folder: Path
    shards: Mapping[str, int]

    def facts(self, split: str) -> Iterator[Facts]:
        """The facts of the split's shards, in order."""
        return (read_facts(facts_file(self.folder, split, n)) for n in range(self.shards[split]))

    def unusable(self) -> dict[str, str]:
        """Why, for every file or box that gave no pixels."""
        every = (one for split in VIEWS for facts in self.facts(split) for one in facts.unusable)
        return {what: reason for _, what, reason in every}

    def in_both(self) -> dict[str, str]:
        """The test set's file, for every training file with the same content."""
        test = {known: file for facts in self.facts("test") for known, file in facts.pictures}
        train = (picture for facts in self.facts("train") for picture in facts.pictures)
        return {file: test[known] for known, file in train if known in test}


def assemble(made: ShardSet) -> dict[str, Any]:
    """Write the store's checksums and its list of what is left out; returns what the manifest says of them.

    The fingerprint is the SHA-256 of the file of checksums.
    """
    digest = hashlib.sha256()
    counts: dict[str, dict[str, int]] = {}
    checksums = bytearray()
    for view, split in SPLIT.items():
        found: Counter[str] = Counter(images=0, positives=0, held_out=0)
        for facts in made.facts(split):
            found.update(facts.counts[view])
            checksums += bytes.fromhex(facts.checksums[view])
        counts[view] = dict(found)
    write_atomically(made.folder / CHECKSUMS, bytes(checksums))
    files = {view: [facts.counts[view]["images"] for facts in made.facts(s)] for view, s in SPLIT.items()}
    digest.update(checksums)
    return {"counts": counts, "left_out": _left_out(made), "files": files, "fingerprint": digest.hexdigest()}


def _left_out(made: ShardSet) -> dict[str, dict[str, int]]:
    """How many images are left out of each split, by reason; the file beside the manifest names them."""
    lines, reasons = [], {}
    for split in VIEWS:
        found: Counter[str] = Counter()
        for facts in made.facts(split):
            gone = [*facts.left_out, *((name, reason) for name, _, reason in facts.unusable)]
            lines += [f"{split}\t{name}\t{reason}\n" for name, reason in gone]
            found.update(reason for _, reason in gone)
        reasons[split] = dict(found)
    write_atomically(made.folder / LEFT_OUT, "".join(lines))
    return reasons


def sweep(made: ShardSet) -> None:
    """Remove from the folder what earlier attempts left there."""
    mine = {MANIFEST, CHECKSUMS, LEFT_OUT, FACTS}
    mine |= {file_name(view, n) for view, split in SPLIT.items() for n in range(made.shards[split])}
    for path in made.folder.iterdir():
        if path.name not in mine:
            path.unlink()
