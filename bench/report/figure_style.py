"""Figure widths and a colour-blind-safe palette.

The first six colours are from Okabe and Ito (2008), without black and yellow; colour-blind readers can tell
them apart. Grey and colours of Tol (2021) follow; scatter plots also give each thing its own marker.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

FOREGROUND, BACKGROUND = "#1f1f1f", "#ffffff"  # an HTML page replaces them by its own colours
TRUE_LABEL = "#D55E00"  # labels that are in the image: vermilion, the red of this palette
COLOURS: tuple[str, ...] = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
COLOURS += ("#8C8C8C", "#882255", "#999933", "#44AA99")
COLOUR_MAP = "cividis"
STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.prop_cycle": f"cycler('color', {COLOURS})",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#b0b0b0",
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "figure.facecolor": BACKGROUND,
    "axes.facecolor": BACKGROUND,
    "svg.fonttype": "none",
} | dict.fromkeys(
    ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), FOREGROUND
)


@dataclass(frozen=True)
class Canvas:
    """A figure width in inches, and the number of images that fit side by side."""

    name: str
    width: float
    columns: int

    @property
    def is_wide(self) -> bool:
        return self is WIDE

    def figure(self, height: float) -> Figure:
        """An empty figure of this width; height in inches."""
        return Figure(figsize=(self.width, height), layout="constrained")

    def panels(self, number: int, height: float, **options: Any) -> tuple[Figure, Any]:
        """A figure and its panels, side by side if wide, else one below the other; height: of one panel.

        options: those of matplotlib's `subplots`.
        """
        rows, columns = (1, number) if self.is_wide else (number, 1)
        figure = self.figure(height * rows)
        return figure, np.atleast_1d(figure.subplots(rows, columns, **options))


class Mosaic:
    """Images and text on a grid of squares, on one axis: an axis for each image would take seconds to draw.

    Positions are (down, across) in squares from the top left corner. rows: height in squares. margin: inches
    to the left of the grid. step: side of a square in inches, with the gap to the next image.
    """

    def __init__(self, canvas: Canvas, rows: float, *, margin: float = 0.0) -> None:
        self.figure = Figure(figsize=(canvas.width, rows * (canvas.width - margin) / canvas.columns))
        self.step = (canvas.width - margin) / canvas.columns
        self.axis = self.figure.add_axes((margin / canvas.width, 0, 1 - margin / canvas.width, 1))
        self.axis.set_axis_off()
        self.limits = (0, canvas.columns), (rows, 0)

    def draw_image(self, pixels: Any, down: float, across: float, **options: Any) -> None:
        """Draw an image in a square, its top left corner at the position; options: of matplotlib's imshow."""
        extent = (across, across + TILE, down + TILE, down)
        self.axis.imshow(pixels, extent=extent, interpolation="nearest", **options)

    def draw_text(self, text: str, down: float, across: float, **options: Any) -> None:
        """Draw text, centred at the position; options: of matplotlib's text."""
        self.axis.text(across, down, text, **{"ha": "center", "fontsize": 8, **options})

    def finish(self) -> Figure:
        """The figure; call it when everything is drawn."""
        self.axis.set(xlim=self.limits[0], ylim=self.limits[1], aspect="auto")
        return self.figure


TILE = 0.94  # side of an image in squares; the rest is the gap
WIDE, NARROW = Canvas("wide", 9.0, 6), Canvas("narrow", 4.0, 4)


def shorten(text: str, limit: int = 22) -> str:
    """A label or id, cut to fit beside an axis."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def legend_names(names: Iterable[str], limit: int = 34) -> list[str]:
    """Names that fit into a legend; one that is cut gets its number, so that all stay different."""
    return [
        name if len(name) <= limit else f"{shorten(name, limit - 4)} ({number})"
        for number, name in enumerate(names, start=1)
    ]


def p_value(p: float) -> str:
    """A p-value as text: `p = 0.03`, `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
