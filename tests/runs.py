"""Makes finished runs for tests: trained in a second, and recorded as `bench.run` does it."""

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
    """The path of the record of a short run of a method; its stages and predictions lie beside it."""
    context = StageContext(store, torch.device("cpu"), folder / "stages")
    changes: dict[str, str | bool] = {field: str(value) for field, value in BRIEF.items()}
    reproduce(Run(card, name, changes, 0), context, RunFolder(folder))
    (run,) = [run for run in record.read_folder(folder) if run["method"] == name]
    return folder / record.file_name(run)
