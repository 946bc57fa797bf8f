"""Images per second of preparing and reading a store, beside Pillow alone and Pillow in a DataLoader.

`python -m bench.perf data` makes JPEG files of the size and weight of MS-COCO's, and from them a store, in a
temporary folder. Everything is measured on one core, but for the DataLoader, whose worker processes have all
of them; its figures are per core too.
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
from bench.data import decode, shards
from bench.data.arrow_files import ImageRow, write_image_rows
from bench.data.cards import Sizes
from bench.data.formats import Sample
from bench.data.shards import Shard
from bench.data.store import View
from bench.perf.metrics import seconds
from bench.training import batches
from bench.training.stages import Augmentation

BATCH, BATCHES, STORED, SIDE, LABELS = 96, 8, 256, 224, 80
Files = list[Path]


@dataclass(frozen=True)
class Rate:
    """Images per second per core, of this suite and of the alternative in the same run; goal 0: none."""

    what: str
    rate: float
    beside: str
    alternative: float
    goal: int = 0

    @property
    def is_met(self) -> bool:
        return self.rate >= self.goal


def photographs(folder: Path, number: int) -> Files:
    """JPEG files like MS-COCO's: 640 x 480, 160 kB on average, coarse and fine structure."""
    rng = np.random.default_rng(0)
    for name in range(number):
        pixels = np.zeros((480, 640, 3))
        for columns in (5, 20, 80, 320):
            small = rng.integers(0, 256, (columns * 3 // 4, columns, 3), dtype=np.uint8)
            pixels += np.asarray(Image.fromarray(small).resize((640, 480), Image.Resampling.BICUBIC))
        Image.fromarray((pixels / 4).astype(np.uint8)).save(folder / f"{name}.jpg", quality=90)
    return sorted(folder.glob("*.jpg"))


class PillowDataset(Dataset[Tensor]):
    """The obvious way: every epoch opens, crops, resizes and mirrors the files with Pillow."""

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


def pillow(path: Path) -> bytes:
    """The file at the store's size, by Pillow alone."""
    with Image.open(path) as image:
        return image.convert("RGB").resize((STORED, STORED), Image.Resampling.BILINEAR).tobytes()


def _each(work: Callable[[Path], object], files: Files) -> None:
    for path in files:
        work(path)


def _saved_as_png(files: Files, folder: Path) -> None:
    for path in files:
        image = Image.frombytes("RGB", (STORED, STORED), pillow(path))
        image.save(folder / f"{path.stem}.png", compress_level=1)


def _made(files: Files, folder: Path) -> None:
    """A shard of the files, from scratch."""
    samples = tuple(Sample(path.name, path, np.ones(LABELS, np.int8)) for path in files)
    shard = Shard(folder, "train", 0, samples, Sizes(STORED, SIDE), LABELS)
    shard.facts.unlink(missing_ok=True)
    shards.make(shard)


def _read(view: View, chosen: list[NDArray[np.int64]]) -> None:
    for indices_B in chosen:
        view.images(indices_B)


def _cropped(view: View, chosen: list[NDArray[np.int64]]) -> None:
    drawn = batches.draw(len(view), Augmentation(), seed=0, stage="main", epoch=1)
    for indices_B in chosen:
        images_BCHW = torch.from_numpy(view.images(indices_B)).permute(0, 3, 1, 2).float()
        boxes_B4, mirrored_B = (torch.from_numpy(a[indices_B]) for a in (drawn.boxes_N4, drawn.mirrored_N))
        batches.crop(images_BCHW, boxes_B4, mirrored_B, SIDE)


def _epoch(loader: DataLoader[Tensor]) -> None:
    for _ in loader:
        pass


def _loader(files: Files, workers: int) -> DataLoader[Tensor]:
    """Pillow in worker processes that stay from epoch to epoch."""
    return DataLoader(
        PillowDataset(files),
        batch_size=BATCH,
        num_workers=workers,
        persistent_workers=bool(workers),
        multiprocessing_context="spawn" if workers else None,
    )


def measure(images: int, *, repeat: int, workers: int) -> list[Rate]:
    """All rates; the contenders take turns, and the best of `repeat` rounds counts."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as name:
            files = photographs(Path(name), images)
            taken = seconds(_contenders(files, workers), repeat=repeat)
    finally:
        torch.set_num_threads(threads)
    batches_of = BATCHES * min(BATCH, images)
    counts = {"read": batches_of, "crops": batches_of, "loader": images / max(workers, 1)}
    rate = {name: counts.get(name, images) / spent for name, spent in taken.items()}
    loader = f"DataLoader, Pillow, {workers} workers"
    return [
        Rate("decode and resize a JPEG", rate["decode"], "Pillow", rate["pillow"]),
        Rate("decode, resize, sum up, write", rate["shard"], "Pillow, a PNG each", rate["png"], goal=500),
        Rate("of which sum up and write", rate["rows"], "Pillow, a PNG each", rate["png"], goal=500),
        Rate(f"read batches of {BATCH}", rate["read"], loader, rate["loader"], goal=50_000),
        Rate("read and crop them", rate["crops"], loader, rate["loader"]),
    ]


def _contenders(files: Files, workers: int) -> dict[str, Callable[[], None]]:
    """What is measured, by name; a shard of the files is made first, and the loader's workers are started."""
    folder = files[0].parent
    _made(files, folder)
    view = View({folder / "train-00000.arrow": len(files)})
    chosen = [np.random.default_rng(k).permutation(len(files))[:BATCH] for k in range(BATCHES)]
    rows = [ImageRow(path.name, pillow(path), bytes(LABELS), held_out=False) for path in files]
    loader = _loader(files, workers)
    _epoch(loader)
    return {
        "decode": partial(_each, lambda path: decode.resize(decode.decode(path), STORED), files),
        "pillow": partial(_each, pillow, files),
        "shard": partial(_made, files, folder),
        "png": partial(_saved_as_png, files, folder),
        "rows": lambda: write_image_rows(folder / "rows.arrow", _summed(rows), side=STORED, labels=LABELS),
        "read": partial(_read, view, chosen),
        "crops": partial(_cropped, view, chosen),
        "loader": partial(_epoch, loader),
    }


def _summed(rows: list[ImageRow]) -> Iterator[ImageRow]:
    for row in rows:
        row.checksum  # noqa: B018 (as a shard has it computed)
        yield row


def as_text(rates: list[Rate]) -> str:
    lines = [
        [
            one.what,
            f"{one.rate:,.0f}",
            one.beside,
            f"{one.alternative:,.0f}",
            f"{one.rate / one.alternative:.1f} x",
        ]
        + ([f">= {one.goal:,}", "met" if one.is_met else "missed"] if one.goal else ["", ""])
        for one in rates
    ]
    heads = ["images per second per core", "", "beside", "", "ratio", "goal", ""]
    sides = ("left", "right", "left", "right", "right", "right", "left")
    return str(tabulate(lines, heads, "simple", colalign=sides, disable_numparse=True))


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m bench.perf data", description=__doc__)
    parser.add_argument("--images", type=int, default=192, metavar="N", help="JPEG files (default: 192)")
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="rounds, of which the best counts")
    parser.add_argument("--workers", type=int, metavar="N", help="of the DataLoader (default: one per core)")
    parser.add_argument("--json", action="store_true", help="every digit, for programs")
    args = parser.parse_args(argv)
    if min(args.images, args.repeat) < 1:
        raise InputError("--images and --repeat must be at least 1")
    workers = cores() if args.workers is None else args.workers
    rates = measure(args.images, repeat=args.repeat, workers=workers)
    print(json.dumps([asdict(one) for one in rates], indent=1) if args.json else as_text(rates))
    return 0


if __name__ == "__main__":
    run_command(main)
