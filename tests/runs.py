"""Finished runs for tests: trained in a second, recorded as bench.run does it."""

from pathlib import Path

import torch

from bench.base.run_folder import RunFolder
from bench.data.cards import Card
from bench.data.store import Store
from bench.results import record
from bench.training.reproduce import Run, reproduce
from bench.training.stage_cache import StageContext
from tests.conftest import SMALL

BRIEF = {**SMALL, "epochs": 1}


def finished(name: str, *, card: Card, store: Store, folder: Path) -> Path:
    """The record of a brief run of a method, its stages and predictions beside it."""
    context = StageContext(store, torch.device("cpu"), folder / "stages")
    changes: dict[str, str | bool] = {field: str(value) for field, value in BRIEF.items()}
    reproduce(Run(card, name, changes, 0), context, RunFolder(folder))
    (made,) = [one for one in record.read_folder(folder) if one["method"] == name]
    return folder / record.file_name(made)
