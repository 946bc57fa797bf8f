"""What figures are drawn on: two widths, one for a screen and one for a telephone, and colours for everybody.

Colours are those of Okabe and Ito (2008), told apart by colour-blind readers, without black and yellow; of
more than six things the next have grey and colours of Tol (2021), and in scatter plots a mark of their own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

INK, GROUND = "#1f1f1f", "#ffffff"  # on a page they become the page's own
TRUE = "#D55E00"  # what is true in an image: vermilion, the red of this palette
COLOURS: tuple[str, ...] = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
COLOURS += ("#8C8C8C", "#882255", "#999933", "#44AA99")
MAP = "cividis"
STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.prop_cycle": f"cycler('color', {COLOURS})",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#b0b0b0",
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "figure.facecolor": GROUND,
    "axes.facecolor": GROUND,
    "svg.fonttype": "none",
} | dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK)


@dataclass(frozen=True)
class Canvas:
    """A width in inches, and how many images fit beside each other."""

    name: str
    width: float
    columns: int

    @property
    def is_wide(self) -> bool:
        return self is WIDE

    def figure(self, height: float) -> Figure:
        """An empty figure of that height in inches."""
        return Figure(figsize=(self.width, height), layout="constrained")

    def panels(self, number: int, height: float, **more: Any) -> tuple[Figure, Any]:
        """A figure with so many panels, each of that height: beside each other if wide, else below."""
        rows, columns = (1, number) if self.is_wide else (number, 1)
        figure = self.figure(height * rows)
        return figure, np.atleast_1d(figure.subplots(rows, columns, **more))


class Mosaic:
    """Images on one sheet, in rows of squares; an axis of its own for each would take seconds to draw.

    A place is (down, across) in squares; `step` is the side of a square with the gap beside it, in inches.
    """

    def __init__(self, paper: Canvas, rows: float, *, margin: float = 0.0) -> None:
        self.figure = Figure(figsize=(paper.width, rows * (paper.width - margin) / paper.columns))
        self.step = (paper.width - margin) / paper.columns
        self.axis = self.figure.add_axes((margin / paper.width, 0, 1 - margin / paper.width, 1))
        self.axis.set_axis_off()
        self.frame = (0, paper.columns), (rows, 0)

    def put(self, pixels: Any, down: float, across: float, **more: Any) -> None:
        """An image in a square; `more` as matplotlib's imshow has it."""
        extent = (across, across + TILE, down + TILE, down)
        self.axis.imshow(pixels, extent=extent, interpolation="nearest", **more)

    def say(self, text: str, down: float, across: float, **more: Any) -> None:
        """Text at a place, its middle there; `more` as matplotlib's text has it."""
        self.axis.text(across, down, text, **{"ha": "center", "fontsize": 8, **more})

    def framed(self) -> Figure:
        """The figure, once everything is on it."""
        self.axis.set(xlim=self.frame[0], ylim=self.frame[1], aspect="auto")
        return self.figure


TILE = 0.94  # of a square: the rest is the gap
WIDE, NARROW = Canvas("wide", 9.0, 6), Canvas("narrow", 4.0, 4)


def short(text: str, limit: int = 22) -> str:
    """A label or id that fits beside an axis."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def keys(names: Iterable[str], limit: int = 34) -> list[str]:
    """Names that fit into a legend and are still told apart: what is cut gets its number."""
    return [
        name if len(name) <= limit else f"{short(name, limit - 4)} ({number})"
        for number, name in enumerate(names, start=1)
    ]


def share(p: float) -> str:
    """What a test says, in words: `p = 0.03`, `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
