"""Show what a prepared data set holds: counts, labels per image, label frequencies, a sheet of images.

`python -m bench.data --dataset demo --output sheet.png`
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from bench.base.atomic_files import write_atomically
from bench.base.cli import Parser, add_data, add_dataset, run_command
from bench.base.errors import InputError
from bench.data import cards, contact_sheet
from bench.data.store import VIEWS, Store, View, open_store
from bench.data.summary import describe_manifest


def per_image(labels_NC: NDArray[np.int8]) -> dict[int, int]:
    """How many images have so many positive labels, for every number that occurs.

    >>> per_image(np.array([[1, 1, 0], [0, 0, -1], [1, 1, -1]], np.int8))
    {0: 1, 2: 2}
    """
    numbers, images = np.unique((labels_NC == 1).sum(axis=1), return_counts=True)
    return dict(zip(numbers.tolist(), images.tolist(), strict=True))


def frequencies(names: list[str], train_NC: NDArray[np.int8], test_NC: NDArray[np.int8]) -> list[list[Any]]:
    """For each label, the most frequent first: its name, and its positives in train and test with their
    share.
    """
    train_C, test_C = ((labels_NC == 1).sum(axis=0) for labels_NC in (train_NC, test_NC))
    order = np.argsort(-train_C, kind="stable")
    return [[names[c], *_count(train_C[c], train_NC), *_count(test_C[c], test_NC)] for c in order]


def _count(positives: int, labels_NC: NDArray[np.int8]) -> list[str]:
    return [f"{positives:,}", f"{100 * positives / len(labels_NC):.1f} %"]


def describe(store: Store) -> str:
    """Everything but the pixels, in lines."""
    manifest, train_NC, test_NC = store.manifest, store.train.labels_NC, store.test.labels_NC
    numbers = {"train": per_image(train_NC), "test": per_image(test_NC)}
    columns = sorted({number for found in numbers.values() for number in found})
    rows = [[name, *(f"{found.get(number, 0):,}" for number in columns)] for name, found in numbers.items()]
    parts = [
        f"{manifest['dataset']} in {store.folder}",
        "\n".join(describe_manifest(manifest)),
        f"fingerprint {store.fingerprint}",
        "Images with so many positive labels",
        _table(rows, ["", *map(str, columns)]),
        "Positives of each label",
        _table(frequencies(manifest["labels"], train_NC, test_NC), ["", "train", "", "test", ""]),
    ]
    if unspecified := [f"{int((a == 0).sum()):,} in {b}" for a, b in _with_negatives(store)]:
        parts.append(f"Unspecified (neither positive nor negative): {', '.join(unspecified)}")
    return "\n\n".join(parts)


def _with_negatives(store: Store) -> list[tuple[NDArray[np.int8], str]]:
    """The views in which -1 is negative, so that 0 is unspecified."""
    views = ((store.train.labels_NC, "train"), (store.test.labels_NC, "test"))
    return [(labels_NC, name) for labels_NC, name in views if (labels_NC == -1).any()]


def _table(rows: list[list[Any]], heads: list[str]) -> str:
    align = ["left", *["right"] * (len(heads) - 1)]
    return str(tabulate(rows, heads, "plain", colalign=align, disable_numparse=True))


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    store = open_store(args.data / cards.load_card(args.dataset).name)
    if args.images < 1:
        raise InputError(f"--images {args.images}: at least one is needed")
    if args.seed < 0:
        raise InputError(f"--seed {args.seed}: give 0 or more")
    if args.output and args.output.suffix.lower() != ".png":
        raise InputError(f"--output {args.output}: the sheet is a PNG image; give a name that ends in .png")
    print(describe(store))
    if args.output:
        view: View = getattr(store, args.view)
        if not len(view):
            others = ", ".join(name for name in VIEWS if len(getattr(store, name)))
            raise InputError(f"{args.view} has no image to draw; those that have some: {others}")
        chosen = np.random.default_rng(args.seed).permutation(len(view))[: args.images]
        write_atomically(args.output, contact_sheet.png(view, np.sort(chosen), store.manifest["labels"]))
        print(f"\n{len(chosen)} images of {args.view} in {args.output}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.data", description=__doc__)
    add = parser.add_argument
    add_dataset(parser, cards.names())
    add_data(parser)
    add("--output", type=Path, metavar="FILE", help="write a sheet of random images with labels (.png)")
    add("--view", choices=VIEWS, default="train", help="whose images (default: train)")
    add("--images", type=int, default=24, metavar="N", help="how many (default: 24)")
    add("--seed", type=int, default=0, metavar="N", help="another seed, other images (default: 0)")
    return parser


if __name__ == "__main__":
    run_command(main)
