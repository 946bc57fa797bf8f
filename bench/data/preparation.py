"""Prepare a data set: count the original files, compare with the card, make shards, assemble the store.

An interrupted preparation is resumed. An older store is replaced only when the new one is complete.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from bench.base import code_digest, lists
from bench.base.atomic_files import write_atomically
from bench.base.errors import InputError
from bench.base.paths import DATA
from bench.base.processes import cores, map_unordered
from bench.base.progress import Meter, say
from bench.data import assembly, cards, held_out, hf_snapshot, libraries, overlap, remarks, shards
from bench.data.assembly import ShardSet
from bench.data.cards import Card
from bench.data.decode import RULES
from bench.data.formats import LeftOut, Sample, _source
from bench.data.manifest import LAYOUT, MANIFEST, checksum, read_manifest
from bench.data.shards import Shard
from bench.data.staging import StagingFolder
from bench.data.store import SPLITS, Store, open_store
from bench.data.survey import (
    SplitSurvey,
    differences,
    items,
    listing_digest,
    store_bytes,
    survey,
    times_digest,
)
from bench.data.task import Task


def prepare(
    card: Card,
    *,
    source: Path | None = None,
    data: Path = DATA,
    allow_partial: bool = False,
    overlap: str = "",
) -> Store:
    """The data set's store in `data/<name>`; made if there is none, or one of another card or reader.

    source: the folder of the original files; None: the folder of `--download` or of `bench.card`, if it
    exists. If the store exists already, it is used as it is, and a line says so if the source may differ.
    Raises InputError if the counts are not the card's, a file gives no pixels, or an image is both in the
    training and in the test set; allow_partial leaves such images out instead, and the manifest says so.
    overlap: "drop-train" or "drop-test" leaves images that are in both sets out of this one.
    After an error, an older store is unchanged.
    """
    staging = StagingFolder(data / card.name)
    may_differ = True
    if source is None and fetched_folder(card, data).exists():
        source = fetched_folder(card, data)
        may_differ = not (
            card.archives or card.format == hf_snapshot.FORMAT
        )  # a download stays as it is, and its annotations take long to read
    elif source is not None:
        _source.folder(card, source)  # reports a wrong folder even if it is not needed
    if source is not None and may_differ and _is_ready(card, staging.folder):
        remarks.say_if_source_differs(card, staging.folder, source)
    if not _is_ready(card, staging.folder):
        with staging.locked():
            if not _is_ready(card, staging.folder):  # another process may have made it while we waited
                _make(Task(card, source, staging, allow_partial, overlap))
    elif overlap and read_manifest(staging.folder)["overlap"] != overlap:
        say(f"{staging.folder} exists already, made without --overlap {overlap}; to prepare again, delete it")
    return open_store(staging.folder)


def fetched_folder(card: Card, data: Path) -> Path:
    """Where `--download` puts the original files if no `--source` is given, and `bench.card` its lists."""
    return data / f"{cards.base(card.name)}.source"


def _made_from(card: Card) -> dict[str, Any]:
    """What determines a store besides the original files; a store with other values is made again."""
    reader = code_digest.digest_of_reader(f"bench.data.formats.{card.format.replace('-', '_')}")
    parts = {"layout": LAYOUT, "card": cards.store_digest(card), "reader": reader, "options": card.options}
    return dict(json.loads(json.dumps(parts)))


def _is_ready(card: Card, folder: Path) -> bool:
    """Whether the folder holds a store that was made from this card by this code."""
    exists = (folder / MANIFEST).exists()
    return exists and bool(read_manifest(folder)["made_from"] == _made_from(card))


def _make(task: Task) -> None:
    """Make the store; raises InputError before the old store is touched."""
    card, staging = task.card, task.staging
    surveys = survey(card, task.source)
    faults, wrong, approximate = _problems(task, surveys)
    remarks.check_labels(card, surveys)
    images = f"{surveys['train'].images:,} images for training and {surveys['test'].images:,} for testing"
    staging.begin(store_bytes(surveys, card.sizes, card.storage), f"{card.title}: {images}")
    shard_set, excluded = _make_usable_shards(task, surveys)
    assembled = assembly.assemble(shard_set)
    if empty := [split for split in SPLITS if not assembled["counts"][split]["images"]]:
        raise InputError(
            f"{card.name} has no usable image for {' and '.join(empty)}; complete the source folder"
        )
    if not (assembled["counts"]["test"]["positives"] or card.evaluation.result_files):
        raise remarks.no_positives(card)  # what was left out had them
    assembly.remove_leftovers(shard_set)
    manifest = {
        "dataset": card.name,
        "made_from": _made_from(card),
        "partial": bool(faults or wrong or excluded),
    }
    manifest |= assembled
    made_of = json.dumps([cards.store_digest(card), RULES[card.resample], assembled["sources"]])
    manifest |= {"sources": hashlib.sha256(made_of.encode()).hexdigest(), "resample": card.resample}
    manifest |= {} if card.storage == "pixels" else {"storage": card.storage}
    manifest |= {"libraries": libraries.versions(), "exif": card.exif, "overlap": task.overlap}
    manifest |= {"expected": {split: vars(getattr(card, split)) for split in surveys}}  # actual: "counts"
    manifest |= {"labels": list(card.labels), "differences": wrong + approximate}
    manifest |= remarks.describe_pictures(card, shard_set, staging)
    manifest |= {
        "source": str(task.source.resolve()) if task.source else None,
        "listed": listing_digest(surveys),
        "times": times_digest(surveys),
    }
    manifest["checksum"] = checksum(manifest)
    write_atomically(staging.unfinished / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    staging.finish()
    shutil.rmtree(staging.folder / shards.FACTS)
    remarks.say_if_few_are_held_out(card, assembled["counts"]["train"])


def _problems(task: Task, surveys: Mapping[str, SplitSurvey]) -> tuple[list[str], list[str], list[str]]:
    """(images that must not be there, wrong counts, counts that differ where the card is approximate).

    Raises InputError for the first two unless they may be left out.
    """
    card, staging = task.card, task.staging
    if faults := [fault for counts in surveys.values() for fault in counts.faults]:
        listed = staging.list_or_file(faults, "faults", goes_on=task.allow_partial)
        task.refuse_or_warn(f"{len(faults):,} images of {card.name} cannot be used", listed)
    if shared := [pair for counts in surveys.values() for pair in counts.shared]:
        listed = staging.list_or_file(shared, "shared")
        say(f"{len(shared):,} images of {card.name} are one file under two ids:{listed}")
    wrong, approximate = differences(card, surveys)
    if wrong:
        task.refuse_or_warn(f"the files of {card.name} are not what its card says", lists.as_lines(wrong))
    return faults, wrong, approximate


def _make_usable_shards(task: Task, surveys: Mapping[str, SplitSurvey]) -> tuple[ShardSet, bool]:
    """All shards, and whether an image was excluded as unusable or as one that is in both splits.

    Raises InputError for such images unless they may be left out. Files that are in both splits are found
    first; equal pictures in different files only once all images are decoded: the shards that have some are
    then written again without them.
    """
    name, staging = task.card.name, task.staging
    dropped = task.dropped(overlap.equal_files(surveys["train"].paths, surveys["test"].paths))
    shard_set = _make_shards(task, surveys, dropped)
    if unusable := [f"{file} ({reason})" for file, reason in shard_set.unusable().items()]:
        listed = staging.list_or_file(unusable, "unusable", goes_on=task.allow_partial)
        task.refuse_or_warn(f"{len(unusable):,} images of {name} cannot be used", listed)
    if more := task.dropped(shard_set.in_both()):
        dropped = {split: {**dropped.get(split, {}), **more[split]} for split in SPLITS}
        shard_set = _make_shards(task, surveys, dropped)
    return shard_set, bool(unusable or dropped)


def _make_shards(
    task: Task, surveys: Mapping[str, SplitSurvey], dropped: Mapping[str, Mapping[str, str]]
) -> ShardSet:
    """Make all shards; dropped: by split the files to leave out, with the reason.

    One process is used for images made in memory, several if there are enough image files to decode.
    """
    size = shards.size(task.card.sizes)
    numbers = {split: -(-counts.items // size) for split, counts in surveys.items()}
    processes = min(cores(), sum(counts.files for counts in surveys.values()) // size + 1)
    total = sum(counts.items for counts in surveys.values())
    further: frozenset[str] = frozenset()
    if surveys["train"].images < held_out.SMALL:
        left_out = dropped.get("train", {})
        train = (item for item in items(task.card, "train", task.source) if _file(item) not in left_out)
        further = held_out.further_groups(train)
    with Meter(f"prepare {task.card.name}", total=total, unit="images") as meter:
        for done in map_unordered(shards.make, _shards(task, size, dropped, further), processes=processes):
            meter.add(done)
    return ShardSet(task.staging.unfinished, numbers)


def _shards(
    task: Task, size: int, dropped: Mapping[str, Mapping[str, str]], further: frozenset[str]
) -> Iterator[Shard]:
    """The shards to make, of `size` consecutive items of a split each; further: groups to hold out."""
    card = task.card
    for split in SPLITS:
        remaining, number, files = items(card, split, task.source), 0, dropped.get(split, {})
        while chunk := tuple(islice(remaining, size)):
            yield Shard(
                task.staging.unfinished,
                split,
                number,
                chunk,
                card.sizes,
                len(card.labels),
                exif=card.exif,
                resample=card.resample,
                storage=card.storage,
                dropped={file: files[file] for item in chunk if (file := _file(item)) in files},
                held_out=further if split == "train" else frozenset(),
            )
            number += 1


def _file(item: Sample | LeftOut) -> str:
    return shards.file_of(item) if isinstance(item, Sample) else ""
