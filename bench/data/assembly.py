"""Assemble shards into one store: checksums, counts, fingerprint, and the list of images left out."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.base.atomic_files import write_atomically
from bench.data.shards import FACTS, ShardFacts, facts_file, read_facts
from bench.data.store import CHECKSUMS, MANIFEST, SPLIT_OF_VIEW, SPLITS, file_name

LEFT_OUT = "left_out.tsv"


@dataclass(frozen=True)
class ShardSet:
    """All shards of an unfinished store: their folder, and the number of shards of each split."""

    folder: Path
    shards: Mapping[str, int]

    def facts(self, split: str) -> Iterator[ShardFacts]:
        """The facts of the split's shards, in order."""
        return (read_facts(facts_file(self.folder, split, n)) for n in range(self.shards[split]))

    def unusable(self) -> dict[str, str]:
        """The reason for every file or box that gave no pixels."""
        entries = (entry for split in SPLITS for facts in self.facts(split) for entry in facts.unusable)
        return {file: reason for _, file, reason in entries}

    def in_both(self) -> dict[str, str]:
        """Training file -> test file, for every training file with the same pixels as a test file."""
        test_files = {content: file for facts in self.facts("test") for content, file in facts.pictures}
        train_pictures = (picture for facts in self.facts("train") for picture in facts.pictures)
        return {file: test_files[content] for content, file in train_pictures if content in test_files}


def assemble(shard_set: ShardSet) -> dict[str, Any]:
    """Write the store's checksums and its list of images left out; returns their entries of the manifest.

    The fingerprint is the SHA-256 of the file of checksums.
    """
    counts: dict[str, dict[str, int]] = {}
    files: dict[str, list[int]] = {}
    checksums = bytearray()
    for view, split in SPLIT_OF_VIEW.items():  # the order in which the fingerprint covers the views
        totals: Counter[str] = Counter(images=0, positives=0, held_out=0)
        files[view] = []
        for facts in shard_set.facts(split):
            totals.update(facts.counts[view])
            files[view].append(facts.counts[view]["images"])
            checksums += bytes.fromhex(facts.checksums[view])
        counts[view] = dict(totals)
    write_atomically(shard_set.folder / CHECKSUMS, bytes(checksums))
    fingerprint = hashlib.sha256(checksums).hexdigest()
    return {"counts": counts, "left_out": _left_out(shard_set), "files": files, "fingerprint": fingerprint}


def _left_out(shard_set: ShardSet) -> dict[str, dict[str, int]]:
    """How many images of each split are left out, by reason; writes LEFT_OUT, which lists them."""
    lines, counts = [], {}
    for split in SPLITS:
        reasons: Counter[str] = Counter()
        for facts in shard_set.facts(split):
            entries = [*facts.left_out, *((name, reason) for name, _, reason in facts.unusable)]
            lines += [f"{split}\t{name}\t{reason}\n" for name, reason in entries]
            reasons.update(reason for _, reason in entries)
        counts[split] = dict(reasons)
    write_atomically(shard_set.folder / LEFT_OUT, "".join(lines))
    return counts


def remove_leftovers(shard_set: ShardSet) -> None:
    """Delete the files that earlier attempts left in the folder."""
    needed = {MANIFEST, CHECKSUMS, LEFT_OUT, FACTS}
    needed |= {
        file_name(view, n) for view, split in SPLIT_OF_VIEW.items() for n in range(shard_set.shards[split])
    }
    for path in shard_set.folder.iterdir():
        if path.name not in needed:
            path.unlink()
