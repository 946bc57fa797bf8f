"""Format digit-scenes: make scenes of handwritten digits in spatial motifs; nothing to download.

A scene is a grid of cells. It contains one or two motifs (three digits in a fixed arrangement) and up to
`max_lone` single digits. Each digit has a random contrast, so a faint digit is best recognized by its place
in a motif. The digit images (glyphs) are scikit-learn's `load_digits` (UCI test set, 1,797 images of 8 x 8);
training and test scenes use different glyphs. The random numbers of a scene depend only on the card's seed,
the split and the number of the scene.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.data import formats
from bench.data.formats import Box, Sample

if TYPE_CHECKING:
    from bench.data.cards import Card

PlacedDigit = tuple[int, int, int]  # digit, row, column


@dataclass(frozen=True)
class Options:
    """The card's [options].

    canvas, cell: the side of a scene and of a cell, in pixels. background, contrasts, noise (its standard
    deviation): grey values, 1 is white. contrast_shares: the probability of each contrast. test_glyphs: the
    share of the glyphs that only test scenes use. motifs: rows of digits, as in "01/2."; a dot is no digit.
    """

    seed: int
    canvas: int
    cell: int
    background: float
    noise: float
    contrasts: list[float]
    contrast_shares: list[float]
    max_lone: int
    test_glyphs: float
    motifs: list[str]


def read(card: "Card", split: str, source: Path | None) -> Iterator[Sample]:  # noqa: ARG001 (there is no source)
    """The split's scenes in order; a label is 1 if that digit occurs in the scene, else 0."""
    options = formats.options(Options, card)
    motifs = [_motif(text) for text in options.motifs]
    glyphs = _glyphs(options, test=split == "test")
    for number in range((card.test if split == "test" else card.train).images):
        rng = _generator(options.seed, split, number)
        places = _places(rng, motifs, options)
        labels_C = np.zeros(len(card.labels), dtype=np.int8)
        labels_C[[digit for digit, _, _ in places]] = 1
        yield Sample(f"{split}-{number:05d}", _draw(rng, places, glyphs, options), labels_C)


def boxes(card: "Card", split: str, source: Path | None) -> Iterator[tuple[str, list[Box]]]:  # noqa: ARG001 (as above)
    """The split's scenes in order: id, and the box of every digit that `read` draws."""
    options = formats.options(Options, card)
    motifs, share = [_motif(text) for text in options.motifs], options.cell / options.canvas
    for number in range((card.test if split == "test" else card.train).images):
        rng = _generator(options.seed, split, number)
        places = _places(rng, motifs, options)
        top, left = (pixels / options.canvas for pixels in _shift(rng, options))
        digits = [Box(digit, left + c * share, top + r * share, share, share) for digit, r, c in places]
        yield f"{split}-{number:05d}", digits


def _motif(text: str) -> list[PlacedDigit]:
    """The digits of a motif with their rows and columns.

    >>> _motif("01/2.")
    [(0, 0, 0), (1, 0, 1), (2, 1, 0)]
    """
    rows = enumerate(text.split("/"))
    return [(int(char), row, column) for row, line in rows for column, char in enumerate(line) if char != "."]


def _generator(seed: int, split: str, number: int) -> np.random.Generator:
    """The random numbers of one scene."""
    digest = hashlib.sha256(f"{seed}/{split}/{number}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16])))


def _glyphs(options: Options, *, test: bool) -> dict[int, NDArray[np.float64]]:
    """The glyphs (n, cell, cell) of each digit for one split, in [0, 1], enlarged bilinearly to a cell.

    A hash of its pixels decides for which split a glyph is used.
    """
    from sklearn.datasets import load_digits  # noqa: PLC0415 (half a second that only this format needs)

    images_N88, digits_N = load_digits(return_X_y=True)
    shares_N = np.array(
        [int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:4]) for image in images_N88]
    )
    in_split_N = (shares_N < options.test_glyphs * 2**32) == test
    enlarge = _enlargement(options.cell, 8)
    return {
        digit: enlarge @ (images_N88[in_split_N & (digits_N == digit)].reshape(-1, 8, 8) / 16) @ enlarge.T
        for digit in range(10)
    }


def _enlargement(size: int, old: int) -> NDArray[np.float64]:
    """The matrix (size, old) that enlarges one axis bilinearly; half-pixel centres, clamped at the border."""
    centres = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
    weights: NDArray[np.float64] = np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(old)))
    return weights


def _places(rng: np.random.Generator, motifs: list[list[PlacedDigit]], options: Options) -> list[PlacedDigit]:
    """The digits of a scene: one or two motifs, then single digits; each is placed where its cells are free.

    A motif or digit that fits nowhere is left out.
    """
    groups = [motifs[i] for i in rng.permutation(len(motifs))[: 1 + int(rng.random() * 2)]]
    groups += [[(int(rng.random() * 10), 0, 0)] for _ in range(int(rng.random() * (options.max_lone + 1)))]
    side = options.canvas // options.cell
    places: list[PlacedDigit] = []
    for group in groups:
        taken = {(row, column) for _, row, column in places}
        free = [
            moved
            for top in range(side)
            for left in range(side)
            if _fits(moved := [(d, top + r, left + c) for d, r, c in group], taken, side)
        ]
        if free:
            places += free[int(rng.random() * len(free))]
    return places


def _fits(places: list[PlacedDigit], taken: set[tuple[int, int]], side: int) -> bool:
    return all(row < side and column < side and (row, column) not in taken for _, row, column in places)


def _shift(rng: np.random.Generator, options: Options) -> tuple[int, int]:
    """The random offset of the grid, down and to the right, in pixels."""
    top, left = (int(draw * (options.canvas % options.cell + 1)) for draw in rng.random(2))
    return top, left


def _draw(
    rng: np.random.Generator,
    places: list[PlacedDigit],
    glyphs: dict[int, NDArray[np.float64]],
    options: Options,
) -> NDArray[np.uint8]:
    """The scene's uint8 pixels (H, W, 3), grey: glyphs on a plain background, plus noise."""
    canvas, cell = options.canvas, options.cell
    scene = np.full((canvas, canvas), options.background)
    top, left = _shift(rng, options)
    for digit, row, column in places:
        y, x = top + row * cell, left + column * cell
        contrast = options.contrasts[np.searchsorted(np.cumsum(options.contrast_shares), rng.random())]
        scene[y : y + cell, x : x + cell] += contrast * glyphs[digit][int(rng.random() * len(glyphs[digit]))]
    # The sum of four uniform numbers, scaled to variance 1: close to normal, and the same on every machine.
    scene += options.noise * np.sqrt(3) * (rng.random((4, canvas, canvas)).sum(axis=0) - 2)
    grey = np.floor(255 * np.clip(scene, 0, 1) + 0.5).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
