"""Say at preparation what a user should know of the labels and pictures of a data set before training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.base.errors import InputError
from bench.base.progress import say
from bench.data.assembly import ShardSet
from bench.data.cards import Card
from bench.data.formats import MISSING, PLACEHOLDER
from bench.data.manifest import read_manifest
from bench.data.staging import StagingFolder
from bench.data.store import SPLITS
from bench.data.survey import SplitSurvey, listing_digest, survey, times_digest

FEW_HELD_OUT = 20  # images
MAY_ARRIVE = {MISSING, PLACEHOLDER}  # reasons for leaving out images that the source may have later


def check_labels(card: Card, surveys: Mapping[str, SplitSurvey]) -> None:
    """Say which labels have no positive image; InputError if no test image has one, or boxes would turn."""
    if card.exif == "turn" and any(counts.boxes for counts in surveys.values()):
        raise InputError(f'{card.file}: exif = "turn" is not possible: boxes refer to the pixels as stored')
    for split, counts in surveys.items():
        if split == "test" and card.evaluation.result_files:
            continue  # the owner keeps these labels
        without = [name for name, n in zip(card.labels, counts.positives_C, strict=True) if not n]
        if split == "test" and counts.images and len(without) == len(card.labels):
            raise no_positives(card)
        if without and counts.images:
            names = ", ".join(without[:10]) + (f" and {len(without) - 10:,} more" if without[10:] else "")
            say(f"{card.name}: {len(without):,} labels have no positive image in {split}: {names}")


def say_if_source_differs(card: Card, folder: Path, source: Path) -> None:
    """Print a line if the source may now hold other images or labels than the store in the folder."""
    manifest = read_manifest(folder)
    incomplete = {reason for reasons in manifest["left_out"].values() for reason in reasons} & MAY_ARRIVE
    if incomplete or manifest["partial"] or manifest.get("source") != str(source.resolve()):
        say(f"{folder} exists already, so {source} was not read; to prepare it again, delete {folder}")
        return
    try:
        surveys = survey(card, source)
    except InputError as error:
        say(f"{folder} exists already and is used, but its source is not what it was: {error}")
        return
    if listing_digest(surveys) != manifest["listed"]:
        say(
            f"{source} has changed: its images or labels are not those of {folder}, which is used as it is;"
            f" to prepare it again, delete {folder}"
        )
    elif times_digest(surveys) != manifest.get("times", times_digest(surveys)):
        say(
            f"{source} has image files that were written after {folder} was prepared from them; it is used as"
            f" it is; if their content changed, delete {folder} to prepare it again"
        )


def say_if_few_are_held_out(card: Card, counts: Mapping[str, int]) -> None:
    """Print a line on what the held-out images do, if there are few; counts: of the training split."""
    if counts["held_out"] < FEW_HELD_OUT:
        say(
            f"{card.name}: {counts['held_out']} of {counts['images']:,} training images are held out: nothing"
            " is trained on them, they decide when the learning rate falls; with so few, much of it is chance"
        )


def no_positives(card: Card) -> InputError:
    """An error that says that nothing can be scored."""
    return InputError(
        f"the test set of {card.name} has no positive label (1): nothing can be scored; check its labels"
    )


def describe_pictures(card: Card, shard_set: ShardSet, staging: StagingFolder) -> dict[str, Any]:
    """Say which pictures are there twice and how many are stored turned; returns that for the manifest."""
    repeated = {split: shard_set.repeated(split) for split in SPLITS}
    turned = shard_set.turned()
    if entries := [f"{split}: {a} = {b}" for split, pairs in repeated.items() for a, b in pairs.items()]:
        shown = staging.list_or_file(entries, "repeated")
        say(f"{len(entries):,} images of {card.name} have the picture of another image:{shown}")
    if turned and card.exif == "ignore":
        say(
            f"{turned:,} images of {card.name} have an EXIF orientation, which is ignored, here and in"
            f' bench.predict; to turn them, write exif = "turn" into {card.file}'
        )
    return {"repeated": {split: len(pairs) for split, pairs in repeated.items()}, "turned": turned}
