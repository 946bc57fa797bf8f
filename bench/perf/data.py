"""Measure how fast a store is made and read, compared with Pillow alone and Pillow in a DataLoader.

`python -m bench.perf data` makes JPEG files, as large as those of MS-COCO in pixels and in bytes, and a store
of them, in a temporary folder. The rates are images per second. Everything runs on one core, except for the
DataLoader and the store of JPEG files, which use all cores; their rates are per core too.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tabulate import tabulate
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bench.base.cli import Parser, run_command
from bench.base.errors import InputError
from bench.base.processes import cores
from bench.data import decode, shards, stored_images
from bench.data.arrow_files import ImageRow, write_image_rows
from bench.data.card_options import Storage
from bench.data.cards import Sizes
from bench.data.formats import Sample
from bench.data.shards import Shard
from bench.data.store import View
from bench.perf.metrics import best_seconds
from bench.training import batches
from bench.training.stages import Augmentation

BATCH, BATCHES, STORED, SIDE, LABELS = 96, 8, 256, 224, 80
Files = list[Path]


@dataclass(frozen=True)
class Rate:
    """Images per second per core: `rate` of this suite, and `alternative` in the same run.

    what: the work of this suite that is measured. beside: the program that it is compared with.
    goal: the lowest `rate` that is good enough (0: no goal).
    """

    what: str
    rate: float
    beside: str
    alternative: float
    goal: int = 0

    @property
    def is_met(self) -> bool:
        return self.rate >= self.goal


def write_photographs(folder: Path, number: int) -> Files:
    """Write JPEG files like MS-COCO's: 640 x 480 pixels, 160 kB on average, coarse and fine structure."""
    rng = np.random.default_rng(0)
    for name in range(number):
        pixels = np.zeros((480, 640, 3))
        for columns in (5, 20, 80, 320):
            small = rng.integers(0, 256, (columns * 3 // 4, columns, 3), dtype=np.uint8)
            pixels += np.asarray(Image.fromarray(small).resize((640, 480), Image.Resampling.BICUBIC))
        Image.fromarray((pixels / 4).astype(np.uint8)).save(folder / f"{name}.jpg", quality=90)
    return sorted(folder.glob("*.jpg"))


class PillowDataset(Dataset[Tensor]):
    """The plain alternative: each epoch opens, crops, resizes and mirrors the files with Pillow."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        rng = np.random.default_rng(index)
        with Image.open(self.files[index]) as opened:
            image = opened.convert("RGB")
        extent = rng.uniform(0.5, 1, 2) * image.size
        left, top = rng.uniform(0, 1, 2) * (image.size - extent)
        box = (left, top, left + extent[0], top + extent[1])
        image = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box)
        if rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def resize_with_pillow(path: Path) -> bytes:
    """The pixels of a file at the store's size, by Pillow alone."""
    with Image.open(path) as image:
        return image.convert("RGB").resize((STORED, STORED), Image.Resampling.BILINEAR).tobytes()


def _each(work: Callable[[Path], object], files: Files) -> None:
    for path in files:
        work(path)


def _save_as_png(files: Files, folder: Path) -> None:
    for path in files:
        image = Image.frombytes("RGB", (STORED, STORED), resize_with_pillow(path))
        image.save(folder / f"{path.stem}.png", compress_level=1)


def _make_shard(files: Files, folder: Path, storage: Storage = "pixels") -> View:
    """Make a shard of the files, anew each time; returns its images."""
    samples = tuple(Sample(path.name, path, np.ones(LABELS, np.int8)) for path in files)
    number = ("pixels", "jpeg").index(storage)
    shard = Shard(folder, "train", number, samples, Sizes(STORED, SIDE), LABELS, storage=storage)
    shard.facts.unlink(missing_ok=True)
    shards.make(shard)
    return View({shard.files["train"]: len(files)}, storage=storage)


def _read(view: View, batches_of_indices: list[NDArray[np.int64]]) -> None:
    for indices_B in batches_of_indices:
        view.images(indices_B)


def _read_and_crop(view: View, batches_of_indices: list[NDArray[np.int64]]) -> None:
    draws = batches.draw(len(view), Augmentation(), seed=0, stage="main", epoch=1)
    for indices_B in batches_of_indices:
        images_BCHW = torch.from_numpy(view.images(indices_B)).permute(0, 3, 1, 2).float()
        boxes_B4, mirrored_B = (
            torch.from_numpy(drawn_N[indices_B]) for drawn_N in (draws.boxes_N4, draws.mirrored_N)
        )
        batches.crop(images_BCHW, boxes_B4, mirrored_B, SIDE)


def _epoch(loader: DataLoader[Tensor]) -> None:
    for _ in loader:
        pass


def _loader(files: Files, workers: int) -> DataLoader[Tensor]:
    """Pillow in worker processes, which are kept from epoch to epoch."""
    return DataLoader(
        PillowDataset(files),
        batch_size=BATCH,
        num_workers=workers,
        persistent_workers=bool(workers),
        multiprocessing_context="spawn" if workers else None,
    )


def measure(images: int, *, repeat: int, workers: int) -> list[Rate]:
    """All rates; the programs that are compared take turns, and the best of `repeat` rounds counts."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as name:
            files = write_photographs(Path(name), images)
            seconds_of = best_seconds(_programs(files, workers), repeat=repeat)
    finally:
        torch.set_num_threads(threads)
    images_in_batches = BATCHES * min(BATCH, images)
    counts = {"read": images_in_batches, "crops": images_in_batches, "loader": images / max(workers, 1)}
    counts |= {"jpegs": images_in_batches / stored_images.threads()}  # these decode, on a core each
    rate = {name: counts.get(name, images) / seconds for name, seconds in seconds_of.items()}
    loader = f"DataLoader, Pillow, {workers} workers"
    return [
        Rate("decode and resize a JPEG", rate["decode"], "Pillow", rate["pillow"]),
        Rate("decode, resize, checksum, write", rate["shard"], "Pillow, a PNG each", rate["png"], goal=500),
        Rate("of which checksum and write", rate["rows"], "Pillow, a PNG each", rate["png"], goal=500),
        Rate(f"read batches of {BATCH}", rate["read"], loader, rate["loader"], goal=50_000),
        Rate("the same, pixels against JPEG", rate["read"], "a store of JPEG", rate["jpegs"]),
        Rate("read and crop them", rate["crops"], loader, rate["loader"]),
    ]


def _programs(files: Files, workers: int) -> dict[str, Callable[[], object]]:
    """The programs to measure, by name, after making a shard and starting the loader's workers."""
    folder = files[0].parent
    view, jpegs = (_make_shard(files, folder, storage) for storage in ("pixels", "jpeg"))
    batches_of_indices = [np.random.default_rng(k).permutation(len(files))[:BATCH] for k in range(BATCHES)]
    rows = [ImageRow(path.name, resize_with_pillow(path), bytes(LABELS), held_out=False) for path in files]
    loader = _loader(files, workers)
    _epoch(loader)
    return {
        "decode": partial(_each, lambda path: decode.resize(decode.decode(path), STORED), files),
        "pillow": partial(_each, resize_with_pillow, files),
        "shard": partial(_make_shard, files, folder),
        "png": partial(_save_as_png, files, folder),
        "rows": lambda: write_image_rows(
            folder / "rows.arrow", _with_checksums(rows), side=STORED, labels=LABELS
        ),
        "read": partial(_read, view, batches_of_indices),
        "jpegs": partial(_read, jpegs, batches_of_indices),
        "crops": partial(_read_and_crop, view, batches_of_indices),
        "loader": partial(_epoch, loader),
    }


def _with_checksums(rows: list[ImageRow]) -> Iterator[ImageRow]:
    for row in rows:
        row.checksum  # noqa: B018 (computed on first use, as for a shard)
        yield row


def as_text(rates: list[Rate]) -> str:
    lines = [
        [
            rate.what,
            f"{rate.rate:,.0f}",
            rate.beside,
            f"{rate.alternative:,.0f}",
            f"{rate.rate / rate.alternative:.1f} x",
        ]
        + ([f">= {rate.goal:,}", "met" if rate.is_met else "missed"] if rate.goal else ["", ""])
        for rate in rates
    ]
    headers = ["images per second per core", "", "alternative", "", "ratio", "goal", ""]
    alignment = ("left", "right", "left", "right", "right", "right", "left")
    return str(tabulate(lines, headers, "simple", colalign=alignment, disable_numparse=True))


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m bench.perf data", description=__doc__)
    parser.add_argument(
        "--images", type=int, default=192, metavar="N", help="number of JPEG files (default: 192)"
    )
    parser.add_argument(
        "--repeat", type=int, default=5, metavar="N", help="rounds; the best one counts (default: 5)"
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="worker processes of the DataLoader (default: one per core)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON with every digit, for programs")
    args = parser.parse_args(argv)
    if min(args.images, args.repeat) < 1:
        raise InputError("--images and --repeat must be at least 1")
    workers = cores() if args.workers is None else args.workers
    rates = measure(args.images, repeat=args.repeat, workers=workers)
    print(json.dumps([asdict(rate) for rate in rates], indent=1) if args.json else as_text(rates))
    return 0


if __name__ == "__main__":
    run_command(main)
