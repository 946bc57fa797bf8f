"""What tests of the preparation share: a small MS-COCO and its card, and a data set of numbered images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.data import preparation
from bench.data.cards import Card, Sizes
from bench.data.store import Store
from tests import trees

SIZES = Sizes(train=48, test=32)
PARTS = {"train": range(96), "test": range(96, 100)}


def coco(**changes: Any) -> Card:
    """MS-COCO's card for the tree of four training and two test images."""
    return replace(trees.card("coco", sizes=SIZES), **changes)


def go(card: Card, source: Path, tmp_path: Path, **how: Any) -> Store:
    """The card's store in tmp_path/data."""
    return preparation.prepare(card, source=source, data=tmp_path / "data", **how)


def numbered() -> Card:
    """A card for 96 + 4 images of two labels, in lists."""
    options = {f"{split}_list": f"{split}.txt" for split in PARTS}
    options |= {f"{split}_labels": f"{split}_labels.txt" for split in PARTS}
    return coco(name="own", format="list-files", labels=("odd", "all"), options=options)


def numbered_tree(root: Path) -> Path:
    for split, numbers in PARTS.items():
        trees.write(root / f"{split}.txt", (f"{number}.jpg" for number in numbers))
        trees.write(root / f"{split}_labels.txt", (f"{number % 2} 1" for number in numbers))
        for number in numbers:
            trees.jpeg(root / f"{number}.jpg", size=(320, 240))
    return root
