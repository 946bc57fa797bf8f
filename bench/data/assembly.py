"""Assemble shards into one store: checksums, counts, fingerprint, and the list of images left out."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.base.atomic_files import write_atomically
from bench.data.manifest import MANIFEST
from bench.data.shards import FACTS, ShardFacts, facts_file, read_facts
from bench.data.store import CHECKSUMS, SPLIT_OF_VIEW, SPLITS, file_name

LEFT_OUT = "left_out.tsv"
# What messages of the preparation name:
LISTS = ("faults.txt", "shared.txt", "unusable.txt", "in_both.txt", "repeated.txt")


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
        test_files = dict(self._pictures("test"))
        return {
            file: test_files[content] for content, file in self._pictures("train") if content in test_files
        }

    def repeated(self, split: str) -> dict[str, str]:
        """File -> the first file of the split with the same pixels, for every further file that has them."""
        first: dict[str, str] = {}
        return {
            file: first[content]
            for content, file in self._pictures(split)
            if first.setdefault(content, file) != file
        }

    def turned(self) -> int:
        """The number of files with an EXIF orientation."""
        return sum(facts.turned for split in SPLITS for facts in self.facts(split))

    def _pictures(self, split: str) -> Iterator[tuple[str, str]]:
        """(`shards.content`, file) of the split's pictures."""
        return ((content, file) for facts in self.facts(split) for content, file in facts.pictures)


def assemble(shard_set: ShardSet) -> dict[str, Any]:
    """Write the store's checksums and its list of images left out; returns their entries of the manifest.

    The fingerprint is the SHA-256 of the file of checksums, and so of ids, labels and pixels; sources is that
    of what the original files say of each image, and of their bytes.
    """
    counts: dict[str, dict[str, int]] = {}
    files: dict[str, list[int]] = {}
    checksums, sources = bytearray(), hashlib.sha256()
    for split in SPLITS:
        for facts in shard_set.facts(split):
            sources.update(bytes.fromhex("".join(source for _, source, _ in facts.rows)))
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
    digests = {"fingerprint": fingerprint, "sources": sources.hexdigest()}
    return {"counts": counts, "left_out": _left_out(shard_set), "files": files, **digests}


def _left_out(shard_set: ShardSet) -> dict[str, dict[str, int]]:
    """How many images of each split are left out, by reason; writes LEFT_OUT, which lists them."""
    lines, counts = [], {}
    for split in SPLITS:
        reasons: Counter[str] = Counter()
        for facts in shard_set.facts(split):
            entries = [*facts.left_out, *((name, reason) for name, _, reason in facts.unusable)]
            lines += [f"{split}\t{_escaped(name)}\t{reason}\n" for name, reason in entries]
            reasons.update(reason for _, reason in entries)
        counts[split] = dict(reasons)
    write_atomically(shard_set.folder / LEFT_OUT, "".join(lines))
    return counts


def _escaped(name: str) -> str:
    r"""A name without tabs and line ends: those are written as `\t`, `\n` and `\r`, a back-slash as two."""
    codes = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
    return "".join(codes.get(letter, letter) for letter in name)


def remove_leftovers(shard_set: ShardSet) -> None:
    """Delete the files that earlier attempts left in the folder."""
    needed = {MANIFEST, CHECKSUMS, LEFT_OUT, FACTS, *LISTS}
    needed |= {
        file_name(view, n) for view, split in SPLIT_OF_VIEW.items() for n in range(shard_set.shards[split])
    }
    for path in shard_set.folder.iterdir():
        if path.name not in needed:
            path.unlink()
