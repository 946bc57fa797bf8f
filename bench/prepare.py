"""Make the store of a data set from its card and its owner's files: count, resize once, fingerprint.

`python -m bench.prepare --dataset demo`
"""

import hashlib
import itertools
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench import cards, formats, sources
from bench.cards import Card
from bench.command import Parser, run
from bench.errors import InputError
from bench.files import write_atomically
from bench.paths import DATA
from bench.store import HELD_OUT_SHARE, LAYOUT, MANIFEST, Row, Store, open_store, write_view


def prepare(card: Card, *, source: Path | None = None, data: Path = DATA) -> Store:
    """The data set's store in `data/<name>`: made if it is not there or made from another card or reader.

    Raises InputError where what was counted is not what the card expects; an older store then stays as it
    was.
    """
    folder = data / card.name
    reader = f"bench.formats.{card.format.replace('-', '_')}"
    made_from = {"layout": LAYOUT, "card": cards.digest(card), "reader": sources.digest(reader)}
    if (folder / MANIFEST).exists():
        store = open_store(folder)
        if store.manifest["made_from"] == made_from:
            return store
    unfinished = folder.with_name(f"{card.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    manifest = {
        "dataset": card.name,
        "made_from": made_from,
        "partial": False,
        **_write(card, source, unfinished),
    }
    _believe(card, manifest["counts"])
    write_atomically(unfinished / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    return open_store(folder)


def held_out(group: str) -> bool:
    """Whether a training image validates instead: decided by a hash of its group, the same for every seed."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8]) < HELD_OUT_SHARE * 2**64


def resize(pixels_HWC: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The image at (side, side, 3): PIL's BILINEAR (antialiased), the aspect squashed as in the paper."""
    if pixels_HWC.shape[:2] == (side, side):
        return pixels_HWC
    return np.asarray(Image.fromarray(pixels_HWC).resize((side, side), Image.Resampling.BILINEAR))


def _write(card: Card, source: Path | None, folder: Path) -> dict[str, Any]:
    """Write the three views; returns what the manifest says of them: counts and fingerprint."""
    read = formats.reader(card.format)
    digest = hashlib.sha256()
    counts: dict[str, dict[str, int]] = {}
    for view, split, side in (
        ("train", "train", card.sizes.train),
        ("held_out", "train", card.sizes.test),
        ("test", "test", card.sizes.test),
    ):
        found: Counter[str] = Counter()
        rows = _rows(
            read(card, split, source), found, side=side, split=split, only_held_out=view == "held_out"
        )
        write_view(
            folder / f"{view}.arrow", _counted(rows, found, digest), side=side, labels=len(card.labels)
        )
        counts[view] = dict(found)
    return {"counts": counts, "labels": list(card.labels), "fingerprint": digest.hexdigest()}


def _rows(
    samples: Iterator[formats.Sample | formats.LeftOut],
    found: Counter[str],
    *,
    side: int,
    split: str,
    only_held_out: bool,
) -> Iterator[Row]:
    """A row for every sample that the view takes; what the reader leaves out is counted by its reason."""
    for sample in samples:
        if isinstance(sample, formats.LeftOut):
            found[f"left out: {sample.reason}"] += 1
            continue
        validates = split == "train" and held_out(sample.group or sample.id)
        if only_held_out and not validates:
            continue
        pixels = sample.image if isinstance(sample.image, np.ndarray) else _decode(sample.image, sample.box)
        image = np.ascontiguousarray(resize(pixels, side)).tobytes()
        yield {"id": sample.id, "image": image, "labels": sample.labels_C.tolist(), "held_out": validates}


def _decode(path: Path, box: tuple[float, float, float, float] | None) -> NDArray[np.uint8]:
    """The file's pixels in RGB, its EXIF orientation ignored: all, or what of the box lies inside."""
    try:
        with Image.open(path) as image:
            pixels_HWC = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as fault:
        raise InputError(f"{path} is missing or no whole image: {fault}") from fault
    if box is None:
        return pixels_HWC
    height, width = pixels_HWC.shape[:2]
    left, top = max(0, round(box[0])), max(0, round(box[1]))
    right, bottom = min(width, round(box[0] + box[2])), min(height, round(box[1] + box[3]))
    if right <= left or bottom <= top:
        raise InputError(f"{path}: nothing of the box {box} lies inside its {width} x {height} pixels")
    return pixels_HWC[top:bottom, left:right]


def _counted(rows: Iterator[Row], found: Counter[str], digest: Any) -> Iterator[Row]:
    """The same rows, counted and hashed on their way."""
    for row in rows:
        found["images"] += 1
        found["positives"] += row["labels"].count(1)
        found["held_out"] += row["held_out"]
        for part in (row["id"].encode(), bytes(label & 0xFF for label in row["labels"]), row["image"]):
            digest.update(hashlib.sha256(part).digest())
        yield row


def _believe(card: Card, counts: dict[str, dict[str, int]]) -> None:
    expected = {
        view: split for view, split in (("train", card.train), ("test", card.test)) if not split.approximate
    }
    wrong = [
        f"{view}: {number} {what} expected, {counts[view].get(what, 0)} found"
        for view, what in itertools.product(expected, ("images", "positives"))
        if (number := getattr(expected[view], what)) and number != counts[view].get(what, 0)
    ]
    if wrong:
        raise InputError(f"{card.name} is not what its card says: {'; '.join(wrong)}")


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m bench.prepare", description=__doc__)
    parser.add_argument(
        "--dataset", required=True, metavar="NAME", help=f"one of: {', '.join(cards.names())}"
    )
    parser.add_argument("--source", type=Path, metavar="DIR", help="the owner's files, in the owner's layout")
    parser.add_argument(
        "--data", type=Path, default=DATA, metavar="DIR", help="where stores lie (default: data)"
    )
    args = parser.parse_args(argv)
    store = prepare(cards.load(args.dataset), source=args.source, data=args.data)
    for view, found in store.manifest["counts"].items():
        print(f"{view:>9}: {found['images']:,} images, {found['positives']:,} positive labels")
        for reason in [name for name in found if name.startswith("left out")]:
            print(f"{'':>11}{found[reason]:,} {reason}")
    print(f"ready in {store.folder}")
    return 0


if __name__ == "__main__":
    run(main)
