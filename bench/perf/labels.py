"""Measure the memory that a large data set's labels take: to prepare it, to train on it, and to score it.

`python -m bench.perf labels` makes lists with made-up labels and a store of them, without pictures, in a
temporary folder. Each step runs in a process of its own; its memory is what the process has of its own at the
peak, without what it shares with other processes (pages of mapped files), and without what the libraries take
before the step begins.

Legend: N images, C labels.
"""

import hashlib
import importlib
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from bench.base.cli import Parser, run_command
from bench.base.errors import InputError
from bench.base.processes import map_unordered
from bench.data import cards, survey
from bench.data.arrow_files import ImageRow, write_image_rows
from bench.data.cards import Card, Split
from bench.data.store import CHECKSUMS, SPLITS, Store, file_name

SIDE = 8  # pixels of the stored images, which nobody looks at
SHARD = 1024  # images of an Arrow file, as in a store
POSITIVES = 5  # of an image, on average
BATCH, BATCHES = 96, 100
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Measured:
    """What a step took: seconds, bytes of memory of its own at the peak, and bytes of its input."""

    step: str
    seconds: float
    bytes: int
    input: int


@dataclass(frozen=True)
class Made:
    """The made-up data: a folder, and the numbers of images and labels."""

    folder: Path
    images: int
    labels: int

    @property
    def card(self) -> Card:
        """The card of the lists."""
        options = {
            f"{split}_{what}": f"{split}-{what}.txt" for split in SPLITS for what in ("list", "labels")
        }
        names = tuple(f"label {number}" for number in range(self.labels))
        split = Split(self.images)
        card = replace(cards.load_card("demo"), name="made-up", format="list-files", labels=names)
        return replace(card, options=options, train=split, test=split, variants=())

    @property
    def store(self) -> Store:
        """The store, opened."""
        manifest: dict[str, Any] = json.loads((self.folder / "facts.json").read_text(encoding="utf-8"))
        return Store(self.folder, manifest | {"labels": list(self.card.labels)})


def blocks(made: Made) -> Iterator[NDArray[np.int8]]:
    """Made-up labels (n, C) of SHARD images at a time; their frequency falls as 1 / rank (Zipf)."""
    rng = np.random.default_rng(0)
    share_C = 1 / np.arange(1, made.labels + 1)
    share_C = np.minimum(POSITIVES * share_C / share_C.sum(), 0.5)
    for start in range(0, made.images, SHARD):
        number = min(SHARD, made.images - start)
        yield (rng.random((number, made.labels), np.float32) < share_C).astype(np.int8)


def make(made: Made) -> None:
    """Write the lists, of which that of the test set is short, and a store whose images are all black."""
    checksums = bytearray()
    files: list[int] = []
    for labels_BC in blocks(made):
        rows = [
            ImageRow(f"{sum(files) + k}", bytes(SIDE * SIDE * 3), labels_C.tobytes(), held_out=False)
            for k, labels_C in enumerate(labels_BC)
        ]
        for split in ("train",) if files else SPLITS:
            _append(made.folder, split, [row.id for row in rows], labels_BC)
        path = made.folder / file_name("train", len(files))
        write_image_rows(path, rows, side=SIDE, labels=made.labels)
        checksums += b"".join(row.checksum for row in rows)
        files.append(len(rows))
    (made.folder / CHECKSUMS).write_bytes(checksums)
    fingerprint = hashlib.sha256(checksums).hexdigest()
    facts = {"files": {"train": files, "held_out": [], "test": []}, "fingerprint": fingerprint}
    (made.folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def _append(folder: Path, split: str, names: list[str], labels_BC: NDArray[np.int8]) -> None:
    """Add lines to the lists of a split."""
    text_BC = np.full((len(names), 2 * labels_BC.shape[1]), ord(" "), np.uint8)
    text_BC[:, ::2] = labels_BC + ord("0")
    text_BC[:, -1] = ord("\n")
    lines = "".join(f"{name}.jpg\n" for name in names).encode()
    for what, content in (("list", lines), ("labels", text_BC.tobytes())):
        with (folder / f"{split}-{what}.txt").open("ab") as file:
            file.write(content)


def count(made: Made) -> int:
    """Read the lists and count, as the preparation does before it decodes pictures; its input's bytes."""
    survey.survey(made.card, made.folder)
    return sum(path.stat().st_size for path in made.folder.glob("*.txt"))


def train(made: Made) -> int:
    """What a training process does with labels: check, count pairs, draw an epoch, read batches."""
    from bench.training import batches, method  # noqa: PLC0415 (torch: not in the processes of other steps)
    from bench.training.stages import Augmentation  # noqa: PLC0415 (as above)

    store = made.store
    store.all_in_training.train.column("held_out")
    method.labels_of(store.all_in_training)
    batches.draw(made.images, Augmentation(), seed=0, stage="main", epoch=1)
    order = batches.shuffled(np.arange(made.images), seed=0, stage="main", epoch=1)
    for indices_B in np.array_split(order[: BATCH * BATCHES], BATCHES):
        store.train.targets(indices_B)
    return made.images * made.labels


def score(made: Made) -> int:
    """Compute all metrics of a profile from logits and labels that are in memory; these are its input."""
    from bench.scoring import metrics  # noqa: PLC0415 (as above)

    labels_NC, logits_NC = _predictions(made)
    _PEAK.start_over()
    metrics.evaluate(logits_NC, labels_NC, profile="srn2017")
    return labels_NC.nbytes + logits_NC.nbytes


def _predictions(made: Made) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    labels_NC = np.concatenate(list(blocks(made)))
    rng, logits_NC = np.random.default_rng(1), np.empty(labels_NC.shape, np.float32)
    for row_C, labels_C in zip(logits_NC, labels_NC, strict=True):
        row_C[:] = rng.standard_normal(made.labels, np.float32) - 2 + 2.5 * labels_C
    return labels_NC, logits_NC


class _Peak:
    """The most memory of its own that this process had since `start_over`; looked at every 5 ms."""

    def __init__(self) -> None:
        self.before, self.most = 0, 0

    def start_over(self) -> None:
        self.before = self.most = own_memory()

    def watch(self, done: threading.Event) -> None:
        while not done.wait(0.005):
            self.most = max(self.most, own_memory())


_PEAK = _Peak()
STEPS: dict[str, Callable[[Made], int]] = {
    "read and count the lists": count,
    "a training process": train,
    "metrics": score,
}


def own_memory() -> int:
    """Bytes of memory that this process shares with no file; needs Linux."""
    lines = STATUS.read_text(encoding="utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def measure(step: str, *, made: Made) -> Measured:
    """Take the step in this process, which is new."""
    _import_all()
    done = threading.Event()
    watcher = threading.Thread(target=_PEAK.watch, args=(done,))
    _PEAK.start_over()
    watcher.start()
    began = time.monotonic()
    try:
        size = STEPS[step](made)
    finally:
        done.set()
        watcher.join()
    return Measured(step, time.monotonic() - began, _PEAK.most - _PEAK.before, size)


def _import_all() -> None:
    """Import before the measurement what the steps import."""
    for name in ("datasets", "bench.scoring.metrics", "bench.training.method"):
        importlib.import_module(name)


def as_text(rows: list[Measured], made: Made) -> str:
    lines = [
        [
            row.step,
            f"{row.bytes / 1e6:,.0f}",
            f"{row.input / 1e6:,.0f}",
            f"{row.bytes / row.input:.2f} x",
            f"{row.seconds:,.0f}",
        ]
        for row in rows
    ]
    headers = [f"{made.images:,} x {made.labels:,}", "memory in MB", "input in MB", "ratio", "seconds"]
    alignment = ("left", *["right"] * 4)
    return str(tabulate(lines, headers, "simple", colalign=alignment, disable_numparse=True))


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m bench.perf labels", description=__doc__)
    for name, usual, what in (("images", 1_000_000, "N"), ("labels", 600, "C")):
        text = f"number of {name} (default: {usual})"
        parser.add_argument(f"--{name}", type=int, default=usual, metavar=what, help=text)
    parser.add_argument("--json", action="store_true", help="print JSON with every digit, for programs")
    args = parser.parse_args(argv)
    if min(args.images, args.labels) < 1:
        raise InputError("--images and --labels must be at least 1")
    if not STATUS.exists():
        raise InputError(f"the memory of a process is read from {STATUS}, which only Linux has")
    with tempfile.TemporaryDirectory() as folder:
        made = Made(Path(folder), args.images, args.labels)
        make(made)
        rows: list[Measured] = []
        for step in STEPS:  # each in a process of its own
            work = partial(measure, made=made)
            rows += map_unordered(work, [step], processes=2)  # 1 would be this process
    print(json.dumps([asdict(row) for row in rows], indent=1) if args.json else as_text(rows, made))
    return 0


if __name__ == "__main__":
    run_command(main)
