"""Train every stage for one epoch on made-up files, and project the time and disk of the whole data set."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from bench.base import locks, processes
from bench.base.atomic_files import write_atomically
from bench.base.errors import InputError
from bench.base.progress import say
from bench.base.run_folder import RunFolder
from bench.data import preparation
from bench.data.cards import Card
from bench.data.store import Store
from bench.perf import made_up_files
from bench.training import log, method, reproduce
from bench.training.reproduce import Run
from bench.training.stage_cache import StageContext

MARK = "made-up"  # a file that says: what lies here was made by a rehearsal, and the next one may delete it
LOCK = ".rehearsing"
ONE_EPOCH = {"epochs": "1", "attention_epochs": "1", "regularization_epochs": "1", "joint_epochs": "1"}


@dataclass(frozen=True)
class Folders:
    """Where a rehearsal works: made-up files, stores and runs, in one folder that holds nothing else."""

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

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Work in the folder: it is new or empty, or what an earlier rehearsal left is deleted first.

        InputError, and nothing is touched, if it holds anything else or another rehearsal works in it.
        """
        self._check()
        with locks.held(self.root / LOCK, waiting=self._refuse_second):
            self._check()
            self.remove()
            write_atomically(self.root / MARK, "made by bench.rehearse, which deletes it when it starts\n")
            yield

    def _check(self) -> None:
        if not self.root.exists() or (self.root.is_dir() and (self.root / MARK).is_file()):
            return
        if not self.root.is_dir() or any(path.name != LOCK for path in self.root.iterdir()):
            holds = f"{self.root} holds files that are not a rehearsal's, or that --keep kept"
            raise InputError(f"{holds}; give another folder: --output DIR, or delete it")

    def _refuse_second(self) -> None:
        raise InputError(f"another rehearsal works in {self.root}; wait for it or give another --output DIR")

    def remove(self) -> None:
        """Delete what a rehearsal made, except its page and report; nothing where `claimed` left no mark."""
        for folder in (self.source, self.data, self.runs):
            if (self.root / MARK).is_file() and folder.exists():
                shutil.rmtree(folder)

    def keep(self) -> None:
        """Let no later rehearsal delete what this one made."""
        (self.root / MARK).unlink()


@dataclass
class Measured:
    """What a rehearsal measured: seconds and bytes of its steps, and images a second of each stage.

    share: of the data set's images that were made up; of a small data set more than was asked for, see
    `made_up_files.FEWEST`. rates: method -> stage -> images a second in its one epoch, first steps included.
    hours: projected for all epochs of the whole data set, by method, and for "all", where stages that methods
    share count once. trunks: (name, file of weights or "") that the recipes want when nothing is changed.
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
        measured.share = _images(made.card) / _images(card)
        card, source = made.card, folders.source
    else:
        measured.share = 1.0  # its reader draws all of it
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
    for label, (name, changes) in zip(labels(methods), methods, strict=True):
        run = Run(card, name, {**changes, **ONE_EPOCH}, seed=0)
        began = time.monotonic()
        say(reproduce.reproduce(run, context, folder))
        measured.seconds[f"train {label}"] = time.monotonic() - began
        run_name = run.record_name(context)
        rows = log.rows(folder.log(run_name))
        rate_of_key |= {row["key"]: row["images_per_second"] for row in rows if "images_per_second" in row}
        measured.rates[label] = {row["stage"]: rate_of_key[row["key"]] for row in rows}
        measured.device_bytes = max([measured.device_bytes, *(row.get("memory_bytes", 0) for row in rows)])
        keys = {row["stage"]: row["key"] for row in rows}
        module = method.load_method(name)
        usual = method.recipe(module, full.name)
        measured.trunks |= set() if usual.from_scratch else {(usual.trunk, str(usual.trunk_weights))}
        stages = module.stages(method.recipe(module, full.name, changes))
        own = {
            keys[stage.name]: hours(stage.epochs, full.train.images, measured.rates[label][stage.name])
            for stage in stages
            if stage.name in keys
        }
        measured.hours[label] = sum(own.values())
        hours_of_key |= own
        measured.hours["all"] = sum(hours_of_key.values())
    measured.bytes["runs"] = _bytes(folder.path)
    measured.host_bytes = processes.peak_memory(with_children=True)


def labels(methods: Sequence[tuple[str, dict[str, str]]]) -> list[str]:
    """The methods' names, with the changes that not all of them have.

    >>> labels([("srn", {"lr": "1"}), ("srn", {"lr": "1", "held_out": "0"})])
    ['srn', 'srn@held_out=0']
    """
    shared = set.intersection(*(set(changes.items()) for _, changes in methods))
    own = [",".join(f"{n}={v}" for n, v in changes.items() if (n, v) not in shared) for _, changes in methods]
    return ["@".join(filter(None, (name, text))) for (name, _), text in zip(methods, own, strict=True)]


def _images(card: Card) -> int:
    return card.train.images + card.test.images


def hours(epochs: int, images: int, rate: float) -> float:
    """Hours of a stage; images: of the training set, of which each epoch passes the held-out ones too.

    >>> hours(epochs=30, images=82783, rate=3000)
    0.22995277777777778
    """
    return epochs * images / rate / 3600


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
