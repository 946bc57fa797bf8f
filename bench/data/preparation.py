"""Make the store of a data set from its card and its owner's files: count, resize once, fingerprint.

What was interrupted goes on where it was; a store that is replaced stays until the new one is whole.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bench.base import code_digest
from bench.base.atomic_files import write_atomically
from bench.base.errors import InputError
from bench.base.paths import DATA
from bench.base.processes import cores, each
from bench.base.progress import Meter, say
from bench.data import assembly, cards, shards
from bench.data.assembly import ShardSet
from bench.data.cards import Card
from bench.data.formats import MISSING, PLACEHOLDER, _source
from bench.data.shards import VIEWS, Shard
from bench.data.staging import StagingFolder
from bench.data.store import LAYOUT, MANIFEST, Store, open_store, read_manifest
from bench.data.survey import SplitSurvey, differences, items, store_bytes, survey

SAME = "the test set has the same picture"
ARRIVING = {MISSING, PLACEHOLDER}  # why images are left out that a source may have later


@dataclass(frozen=True)
class Task:
    """What is prepared, from what, and where; allow_partial: what is missing or wrong is left out."""

    card: Card
    source: Path | None
    place: StagingFolder
    allow_partial: bool

    def complain(self, complaint: str) -> None:
        """InputError with the complaint, or where the user wants to go on all the same, a line."""
        if not self.allow_partial:
            raise InputError(f"{complaint}; bench.prepare --allow-partial goes on with what is there")
        say(complaint)


def prepare(
    card: Card, *, source: Path | None = None, data: Path = DATA, allow_partial: bool = False
) -> Store:
    """The data set's store in `data/<name>`: made if it is not there or made from another card or reader.

    source: the owner's files; None: those that `--download` fetched, if there are any. A store that is there
    needs none, and does not read any: where the source may hold something else, a line says so.
    Raises InputError where the source is not what the card says, a file gives no pixels, or a picture is in
    both sets; allow_partial leaves such images out, and the manifest says so. An older store then stays as it
    was.
    """
    place = StagingFolder(data / card.name)
    if source is None and fetched_folder(card, data).exists():
        source = fetched_folder(card, data)
    elif source is not None:
        _source.folder(card, source)  # a wrong one is refused, needed or not
        if _is_ready(card, place.folder):
            _say_if_not_all_is_read(place.folder, source)
    if not _is_ready(card, place.folder):
        with place.alone():
            if not _is_ready(card, place.folder):  # now another process may have made it
                _make(Task(card, source, place, allow_partial))
    return open_store(place.folder)


def fetched_folder(card: Card, data: Path) -> Path:
    """Where `--download` puts the owner's files, unless told otherwise."""
    return data / f"{cards.base(card.name)}.source"


def _made_from(card: Card) -> dict[str, Any]:
    reader = code_digest.digest(f"bench.data.formats.{card.format.replace('-', '_')}")
    facts = {"layout": LAYOUT, "card": cards.store_digest(card), "reader": reader, "options": card.options}
    return dict(json.loads(json.dumps(facts)))


def _is_ready(card: Card, folder: Path) -> bool:
    there = (folder / MANIFEST).exists()
    return there and bool(read_manifest(folder)["made_from"] == _made_from(card))


def _say_if_not_all_is_read(folder: Path, source: Path) -> None:
    """A line where the source may now give other images than those of the store in the folder."""
    manifest = read_manifest(folder)
    gone = {reason for reasons in manifest["left_out"].values() for reason in reasons} & ARRIVING
    if gone or manifest["partial"] or manifest.get("source") != str(source.resolve()):
        say(f"{folder} is there and stays as it is, {source} is not read; to make it anew, delete {folder}")


def _make(task: Task) -> None:
    card, place = task.card, task.place
    found = survey(card, task.source)
    wrong, remarkable = differences(card, found)
    if wrong:
        task.complain(f"{card.name} is not what its card says: {'; '.join(wrong)}")
    images = f"{found['train'].images:,} images for training and {found['test'].images:,} for testing"
    place.begin(store_bytes(found, card.sizes), f"{card.title}: {images}")
    made = _make_shards(task, found, {})
    if unusable := [f"{what} ({reason})" for what, reason in made.unusable().items()]:
        some = f"{len(unusable):,} cannot be used: {place.named(unusable, 'unusable')}"
        task.complain(f"of the images of {card.name}, {some}")
    if both := made.in_both():
        pairs = place.named([f"{one} = {other}" for one, other in both.items()], "in_both")
        task.complain(f"{card.name} has {len(both):,} pictures for training and for testing: {pairs}")
        made = _make_shards(task, found, dict.fromkeys(both, SAME))
    known = assembly.assemble(made)
    if empty := [split for split in VIEWS if not known["counts"][split]["images"]]:
        raise InputError(f"{card.name} has no image left for {' and '.join(empty)}; is its folder complete?")
    assembly.sweep(made)
    partial = bool(wrong or unusable or both)
    manifest = {"dataset": card.name, "made_from": _made_from(card), "partial": partial, **known}
    manifest |= {"expected": {split: vars(getattr(card, split)) for split in found}}  # counts: found
    manifest |= {"labels": list(card.labels), "differences": wrong + remarkable}
    manifest |= {"source": str(task.source.resolve()) if task.source else None}
    write_atomically(place.unfinished / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    place.finish()
    shutil.rmtree(place.folder / shards.FACTS)


def _make_shards(task: Task, found: Mapping[str, SplitSurvey], without: Mapping[str, str]) -> ShardSet:
    """Make all shards, in all cores where files are decoded; training files in `without` are left out."""
    size = shards.size(task.card.sizes)
    numbers = {split: -(-here.items // size) for split, here in found.items()}
    processes = min(cores(), sum(here.files for here in found.values()) // size + 1)
    total = sum(here.items for here in found.values())
    with Meter(f"prepare {task.card.name}", total=total, unit="images") as meter:
        for done in each(shards.make, _shards(task, size, without), processes=processes):
            meter.add(done)
    return ShardSet(task.place.unfinished, numbers)


def _shards(task: Task, size: int, without: Mapping[str, str]) -> Iterator[Shard]:
    for split in VIEWS:
        todo = items(task.card, split, task.source, without if split == "train" else {})
        number = 0
        while some := tuple(islice(todo, size)):
            yield Shard(task.place.unfinished, split, number, some, task.card.sizes, len(task.card.labels))
            number += 1
