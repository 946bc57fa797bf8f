"""Describe a prepared data set: number of images, labels per image, label frequencies, example images.

`python -m bench.data --dataset demo --output sheet.png`
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from bench.base.atomic_files import write_atomically
from bench.base.cli import Parser, add_data, add_dataset, run_command, written
from bench.base.errors import InputError
from bench.data import cards, contact_sheet
from bench.data.store import VIEWS, Store, View, open_store
from bench.data.summary import describe_manifest


def per_image(labels_NC: NDArray[np.int8]) -> dict[int, int]:
    """The number of images with n positive labels, for every n that occurs; a label is positive if it is 1.

    >>> per_image(np.array([[1, 1, 0], [0, 0, -1], [1, 1, -1]], np.int8))
    {0: 1, 2: 2}
    """
    numbers, images = np.unique((labels_NC == 1).sum(axis=1), return_counts=True)
    return dict(zip(numbers.tolist(), images.tolist(), strict=True))


def frequencies(names: list[str], train_NC: NDArray[np.int8], test_NC: NDArray[np.int8]) -> list[list[Any]]:
    """Table rows, one per label, the most frequent in train first.

    A row: name, number and share of positive images in train, number and share in test.
    """
    train_C, test_C = ((labels_NC == 1).sum(axis=0) for labels_NC in (train_NC, test_NC))
    order = np.argsort(-train_C, kind="stable")
    return [[names[c], *_count(train_C[c], train_NC), *_count(test_C[c], test_NC)] for c in order]


def _count(positives: int, labels_NC: NDArray[np.int8]) -> list[str]:
    return [f"{positives:,}", f"{100 * positives / len(labels_NC):.1f} %"]


def describe(store: Store) -> str:
    """The text that the command prints about a store."""
    manifest, train_NC, test_NC = store.manifest, store.train.labels_NC, store.test.labels_NC
    histograms = {"train": per_image(train_NC), "test": per_image(test_NC)}
    columns = sorted({n for images_by_n in histograms.values() for n in images_by_n})
    rows = [
        [view, *(f"{images_by_n.get(n, 0):,}" for n in columns)] for view, images_by_n in histograms.items()
    ]
    parts = [
        f"{manifest['dataset']} in {store.folder}",
        "\n".join(describe_manifest(manifest)),
        f"fingerprint {store.fingerprint}",
        "Images by number of positive labels",
        _table(rows, ["", *map(str, columns)]),
        "Positive images of each label",
        _table(frequencies(manifest["labels"], train_NC, test_NC), ["", "train", "", "test", ""]),
    ]
    # 0 means unspecified only where -1 is used for negative.
    unspecified = [
        f"{int((labels_NC == 0).sum()):,} in {view}"
        for view, labels_NC in (("train", train_NC), ("test", test_NC))
        if (labels_NC == -1).any()
    ]
    if unspecified:
        parts.append(f"Unspecified (neither positive nor negative): {', '.join(unspecified)}")
    return "\n\n".join(parts)


def _table(rows: list[list[Any]], headers: list[str]) -> str:
    align = ["left", *["right"] * (len(headers) - 1)]
    return str(tabulate(rows, headers, "plain", colalign=align, disable_numparse=True))


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    store = open_store(args.data / cards.load_card(args.dataset).name)
    if args.images < 1:
        raise InputError(f"--images {args.images} is too small; give 1 or more")
    if args.seed < 0:
        raise InputError(f"--seed {args.seed} is negative; give 0 or more")
    if args.output and args.output.suffix.lower() != ".png":
        raise InputError(f"--output {args.output} is not a PNG file; give a name that ends in .png")
    print(describe(store))
    if args.output:
        view: View = getattr(store, args.view)
        if not len(view):
            nonempty = ", ".join(name for name in VIEWS if len(getattr(store, name)))
            raise InputError(f"view {args.view} has no images; give --view one of: {nonempty}")
        indices = np.random.default_rng(args.seed).permutation(len(view))[: args.images]
        write_atomically(args.output, contact_sheet.png(view, np.sort(indices), store.manifest["labels"]))
        print(f"\n{written(args.output)} ({len(indices)} images of {args.view})")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.data", description=__doc__)
    add = parser.add_argument
    add_dataset(parser, cards.names())
    add_data(parser)
    add(
        "--output",
        type=Path,
        metavar="FILE",
        help="write random images with their labels to this file (.png)",
    )
    add("--view", choices=VIEWS, default="train", help="choose the images from this view (default: train)")
    add("--images", type=int, default=24, metavar="N", help="number of images in the file (default: 24)")
    add("--seed", type=int, default=0, metavar="N", help="seed of the random choice (default: 0)")
    return parser


if __name__ == "__main__":
    run_command(main)
