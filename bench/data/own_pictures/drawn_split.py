"""Draw the test set of own pictures: decided for each picture, or group of pictures, by a hash of its name.

So the same pictures are drawn on every machine, and pictures that are added later move none of the others.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.base import lists
from bench.base.errors import InputError
from bench.data.own_pictures import TEST, TRAIN
from bench.data.own_pictures.equal_files import equal_files
from bench.data.own_pictures.listed import Listed

SEEDS = 1000  # that are tried for a remedy


def drop_rare(listed: Listed, least: int) -> None:
    """Leave out the labels that fewer than `least` pictures have; the pictures stay."""
    enough_C = (listed.labels_NC == 1).sum(axis=0) >= least
    rare = [label for label, enough in zip(listed.labels, enough_C, strict=True) if not enough]
    if rare:
        listed.said.append(
            f"{len(rare):,} labels of fewer than {least} pictures left out: {lists.in_line(rare)}"
        )
    listed.labels = tuple(label for label, enough in zip(listed.labels, enough_C, strict=True) if enough)
    listed.labels_NC = listed.labels_NC[:, enough_C]
    if not listed.labels:
        raise InputError(f"no label is left with --min-images {least}; give a smaller number")


def split(listed: Listed, root: Path, *, share: float, seed: int) -> None:
    """Fill in the sets of the pictures if none are given, and check that both can be used.

    share: of the test set. Files with the same bytes get one group. InputError if a group is on both sides, a
    side is empty, or a label has no training picture.
    """
    equal = equal_files(root, listed.files)
    if equal:
        pairs = [f"{a} = {b}" for a, b in equal.items()]
        listed.said.append(
            f"{len(equal):,} files are equal to another: they are in the same set:{lists.as_lines(pairs)}"
        )
    units = _units(listed, equal)
    if listed.splits:
        listed.said.append("train and test as given")
        _refuse_both(listed, units)
    else:
        listed.splits = drawn(units, share=share, seed=seed)
        of = "group" if any(listed.groups) else "picture"
        listed.said.append(
            f"test set drawn by a hash of each {of}'s name: --test-share {share:g} --seed {seed}"
        )
    in_train_N = np.array(listed.splits) == TRAIN
    for side, is_empty in ((TRAIN, not in_train_N.any()), (TEST, in_train_N.all())):
        if is_empty:
            raise InputError(
                f"none of the {len(listed.files):,} pictures is in {side}; {_remedy(listed, units, share)}"
            )
    without = _without_training(listed, in_train_N)
    if without:
        raise InputError(
            f"{len(without):,} labels have no picture in train: {lists.in_line(without)};"
            f" {_remedy(listed, units, share)}"
        )
    if not (listed.labels_NC[~in_train_N] == 1).any():
        raise InputError(f"no picture in test has a label; {_remedy(listed, units, share)}")
    listed.groups = [unit if unit != file else "" for unit, file in zip(units, listed.files, strict=True)]


def drawn(units: Sequence[str], *, share: float, seed: int) -> list[str]:
    """The set of each picture, by the name of its unit.

    >>> drawn(["a.jpg", "b.jpg", "c.jpg"], share=0.5, seed=0)
    ['train', 'test', 'train']
    """
    return [TEST if _number(unit, seed) < share * 2**64 else TRAIN for unit in units]


def _number(unit: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"test set/{seed}/{unit}".encode()).digest()[:8])


def _units(listed: Listed, equal: dict[str, str]) -> list[str]:
    """The name of what each picture cannot be separated from: its group, joined with those of equal files."""
    names = [group or file for file, group in zip(listed.files, listed.groups, strict=True)]
    unit = dict(zip(listed.files, names, strict=True))
    parent: dict[str, str] = {}

    def first(name: str) -> str:
        while name in parent:
            name = parent[name]
        return name

    for a, b in equal.items():
        low, high = sorted((first(unit[a]), first(unit[b])))
        if low != high:
            parent[high] = low
    return [first(name) for name in names]


def _refuse_both(listed: Listed, units: Sequence[str]) -> None:
    sides: dict[str, str] = {}
    both = [
        f"{file} ({unit})"
        for file, unit, side in zip(listed.files, units, listed.splits, strict=True)
        if sides.setdefault(unit, side) != side
    ]
    if both:
        raise InputError(
            f"{len(both):,} pictures are in another set than one of the same group, or than the same picture;"
            f" correct the sets, or leave them out to have the test set drawn:{lists.as_lines(both)}"
        )


def _without_training(listed: Listed, in_train_N: NDArray[np.bool_]) -> list[str]:
    has_C = (listed.labels_NC[in_train_N] == 1).any(axis=0)
    return [label for label, has in zip(listed.labels, has_C, strict=True) if not has]


def _remedy(listed: Listed, units: Sequence[str], share: float) -> str:
    """What makes a split possible: a seed, or else more pictures or fewer labels."""
    if len(set(units)) < 2:
        return "give more pictures"
    least = int((listed.labels_NC == 1).sum(axis=0).min())
    for seed in range(SEEDS) if least and listed.splits else ():
        in_train_N = np.array(drawn(units, share=share, seed=seed)) == TRAIN
        is_good = not in_train_N.all() and not _without_training(listed, in_train_N)
        if is_good and (listed.labels_NC[~in_train_N] == 1).any():
            return f"draw again with --seed {seed}, or leave out rare labels with --min-images NUMBER"
    return f"give more pictures, another --test-share, or leave out rare labels: --min-images {least + 1}"
