"""Fetch the Parquet files of a card of format hf-datasets from the Hugging Face Hub, at its revision."""

import re
from pathlib import Path

from bench.base import hub
from bench.base.errors import InputError
from bench.base.progress import say
from bench.data import formats
from bench.data.cards import Card
from bench.data.formats.hf_datasets import Options, check_pattern

FORMAT = "hf-datasets"
BRANCHES = re.compile(r"main|master|HEAD|refs/.*")


def fetch(card: Card, folder: Path) -> Path:
    """Let the folder be a link to the card's files in the cache of the Hub's client, fetched if need be.

    InputError: a revision that can move, a fault of `hub.download`, or a folder of another kind.
    """
    options = formats.options(Options, card)
    if BRANCHES.fullmatch(options.revision):
        raise InputError(
            f"{card.file}: [options] revision {options.revision!r} moves with each commit; give a commit, "
            "as the page of the data set lists them, or a tag"
        )
    if folder.exists() and not folder.is_symlink():
        raise InputError(f"{folder}: exists; move it away, or prepare from it with --source {folder}")
    there = hub.address(f"{hub.PREFIX}{options.repository}@{options.revision}", "dataset")
    patterns = [*options.train, *options.test]
    for pattern in patterns:
        check_pattern(card, pattern)
    snapshot = hub.download(there, patterns)
    say(f"{there}: commit {snapshot.name}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.link")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(snapshot, target_is_directory=True)
    temporary.replace(folder)
    return folder
