"""Train every stage for one epoch on made-up files, and project the time and disk of the whole data set."""

import resource
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from bench.base.progress import say
from bench.base.run_folder import RunFolder
from bench.data import preparation
from bench.data.cards import Card
from bench.data.store import Store
from bench.perf import made_up_files
from bench.training import log, method, reproduce
from bench.training.reproduce import Run
from bench.training.stage_cache import StageContext

ONE_EPOCH = {"epochs": "1", "attention_epochs": "1", "regularization_epochs": "1", "joint_epochs": "1"}


@dataclass(frozen=True)
class Folders:
    """Where a rehearsal works: made-up files, stores and runs, all in one folder that can be deleted."""

    root: Path

    @property
    def source(self) -> Path:
        return self.root / "source"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    def remove(self) -> None:
        """Delete what the rehearsal made, except its page and report."""
        for folder in (self.source, self.data, self.runs):
            shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Measured:
    """What a rehearsal measured: seconds and bytes of its steps, and images a second of each stage.

    rates: method -> stage -> images a second in its one epoch, first steps included. hours: projected for all
    epochs of the whole data set, by method, and for "all", where stages that methods share count once.
    trunks: (name, file of weights or "") that the recipes want when nothing is changed.
    """

    share: float
    seconds: dict[str, float] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    rates: dict[str, dict[str, float]] = field(default_factory=dict)
    hours: dict[str, float] = field(default_factory=dict)
    trunks: set[tuple[str, str]] = field(default_factory=set)
    host_bytes: int = 0
    device_bytes: int = 0


def rehearse(
    full: Card,
    methods: Sequence[tuple[str, dict[str, str]]],
    folders: Folders,
    *,
    share: float,
    target: torch.device,
) -> tuple[Measured, RunFolder]:
    """Make files, prepare, and train each method (name, recipe fields) on a share of the data set."""
    measured = Measured(share)
    folder = RunFolder.of(full.name, folders.runs)
    card, store = make_and_prepare(full, folders, measured)
    train(full, card, methods, StageContext(store, target, folder.stages), folder, measured)
    return measured, folder


def make_and_prepare(card: Card, folders: Folders, measured: Measured) -> tuple[Card, Store]:
    """Make up the files and prepare them; returns the card with their counts, and the store."""
    source: Path | None = None
    if made_up_files.can_make(card):
        began = time.monotonic()
        made = made_up_files.make(card, folders.source, share=measured.share)
        measured.seconds["files"] = time.monotonic() - began
        measured.bytes["files"] = made.bytes
        card, source = made.card, folders.source
    began = time.monotonic()
    store = preparation.prepare(card, source=source, data=folders.data)
    measured.seconds["prepare"] = time.monotonic() - began
    measured.bytes["store"] = _bytes(store.folder)
    return card, store


def train(
    full: Card,
    card: Card,
    methods: Sequence[tuple[str, dict[str, str]]],
    context: StageContext,
    folder: RunFolder,
    measured: Measured,
) -> None:
    """Train each method for one epoch of each stage, predict and record; measures rates and sizes.

    full: the card of the whole data set. card: the one of the made-up files.
    """
    rate_of_key: dict[str, float] = {}
    hours_of_key: dict[str, float] = {}
    for name, changes in methods:
        run = Run(card, name, {**changes, **ONE_EPOCH}, seed=0)
        began = time.monotonic()
        say(reproduce.reproduce(run, context, folder))
        measured.seconds[f"train {name}"] = time.monotonic() - began
        run_name = run.record_name(context)
        rows = log.rows(folder.log(run_name))
        rate_of_key |= {row["key"]: row["images_per_second"] for row in rows if "images_per_second" in row}
        measured.rates[name] = {row["stage"]: rate_of_key[row["key"]] for row in rows}
        measured.device_bytes = max([measured.device_bytes, *(row.get("memory_bytes", 0) for row in rows)])
        keys = {row["stage"]: row["key"] for row in rows}
        module = method.load_method(name)
        usual = method.recipe(module, full.name)
        measured.trunks |= set() if usual.from_scratch else {(usual.trunk, str(usual.trunk_weights))}
        stages = module.stages(method.recipe(module, full.name, changes))
        own = {
            keys[stage.name]: hours(stage.epochs, full.train.images, measured.rates[name][stage.name])
            for stage in stages
            if stage.name in keys
        }
        measured.hours[name] = sum(own.values())
        hours_of_key |= own
        measured.hours["all"] = sum(hours_of_key.values())
    measured.bytes["runs"] = _bytes(folder.path)
    measured.host_bytes = _peak_memory()


def _peak_memory() -> int:
    """The highest memory use of this process, or of one that it started, in bytes."""
    own_and_children = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return 1024 * max(resource.getrusage(who).ru_maxrss for who in own_and_children)


def hours(epochs: int, images: int, rate: float) -> float:
    """Hours of a stage; images: of the training set, of which each epoch passes the held-out ones too.

    >>> hours(epochs=30, images=82783, rate=3000)
    0.22995277777777776
    """
    return epochs * images / rate / 3600


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
