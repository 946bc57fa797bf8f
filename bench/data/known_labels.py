"""Variants of a data set in which only a part of the training labels is known: `coco@known=0.1,known_seed=0`.

Which entries stay known depends on the seed, the image's id and the label's name alone. The training images
of a variant, the held-out ones too, have the labels 1 (positive), -1 (negative) and 0 (not known). The test
images and their evaluation are those of the data set itself.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.base.errors import InputError

if TYPE_CHECKING:
    from bench.data.cards import Card

HIGHEST_SEED = 10**9


@dataclass(frozen=True)
class Known:
    """The share of the training labels that stay known, and the seed of the draw.

    zero: what label 0 means in the data set itself: -1 negative, 0 not known.
    """

    share: float
    seed: int
    zero: int


def with_known(card: "Card", share: str | None, seed: str | None) -> "Card":
    """The card with this share of its training labels known, both as text; None: as it is."""
    if share is None:
        if seed is not None:
            raise InputError(f"data set {card.name}: known_seed needs known: @known=0.1,known_seed=0")
        return card
    known, number = _share(share), seed or "0"
    where = f"data set {card.name}"
    if known is None:
        raise InputError(f"{where}: known={share}: give a number above 0, at most 1, as in known=0.1")
    if not (number.isdecimal() and number.isascii() and int(number) <= HIGHEST_SEED):
        raise InputError(f"{where}: known_seed={number}: give a whole number from 0 to {HIGHEST_SEED}")
    if known == 1:
        return card
    stem, _, changed = card.name.partition("@")
    options = [*filter(None, changed.split(",")), f"known={known!r}"]
    options += [f"known_seed={int(number)}"] if int(number) else []
    return dataclasses.replace(
        card,
        name=f"{stem}@{','.join(sorted(options))}",
        train=dataclasses.replace(card.train, positives=0),  # the draw decides
        known=Known(known, int(number), zero=0 if card.evaluation.unspecified else -1),
    )


def is_zero_unknown(card: "Card") -> bool:
    """Whether label 0 of a training image means that it is not known; if not, it means negative."""
    return card.known is not None or card.evaluation.unspecified is not None


def require_unknown(card: "Card") -> None:
    """InputError where all training labels are known, so that none can be ignored."""
    if not is_zero_unknown(card):
        raise InputError(
            f"unspecified=ignored: {card.name} has no labels that are not known, 0 means negative there;"
            " leave it out, or set unspecified in the card's [evaluation]"
        )


def _share(text: str) -> float | None:
    """The number above 0, at most 1 that the text is, if it is one."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number <= 1 else None


def is_known(name: str, labels: Sequence[str], known: Known) -> list[bool]:
    """Of each label of the image with this id, whether it stays known."""
    start = hashlib.sha256(f"known/{known.seed}/{len(name)}/{name}/".encode())
    below = known.share * 2**64
    numbers = []
    for label in labels:
        digest = start.copy()
        digest.update(label.encode())
        numbers.append(int.from_bytes(digest.digest()[:8]))
    return [number < below for number in numbers]
