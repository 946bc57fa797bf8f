"""A figure with all that belongs to it, and its files: PNG, SVG, and its numbers as JSON and CSV."""

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.base.atomic_files import write_atomically
from bench.report.figure_style import GROUND, INK, NARROW, STYLE, WIDE, Canvas

QUESTIONS = ("Where does it help?", "Why?", "How was it trained?")


@dataclass(frozen=True)
class ReportFigure:
    """A figure: which of the questions it answers, what to see in it, and the numbers that it draws.

    alt: what it shows, for who does not see it. facts: single numbers. rows: one for each thing drawn; NaN is
    written as nothing.
    """

    name: str
    question: str
    title: str
    caption: str
    alt: str
    draw: Callable[[Canvas], Figure]
    facts: Mapping[str, Any] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Drawn:
    """An exhibit's picture for a wide screen, as SVG and PNG, and for a narrow one."""

    exhibit: ReportFigure
    wide: str
    png: bytes
    narrow: str


def draw(exhibit: ReportFigure) -> Drawn:
    """The pictures; the same numbers give the same bytes."""
    (wide, png), (narrow, _) = (_pictures(exhibit, paper) for paper in (WIDE, NARROW))
    return Drawn(exhibit, wide, png, narrow)


def _pictures(exhibit: ReportFigure, paper: Canvas) -> tuple[str, bytes]:
    # Salted by the figure's name, no two figures of a page share an id.
    style: Any = STYLE | {"svg.hashsalt": f"{exhibit.name} {paper.name}"}
    with mpl.rc_context(style):
        figure = exhibit.draw(paper)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out now, once for both files
        svg, png = io.StringIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None})
        if paper is WIDE:
            figure.savefig(png, format="png", dpi=150)
    return svg.getvalue(), png.getvalue()


def inline(svg: str) -> str:
    """An SVG file as an element of a page, in the colour of the page's text and on its ground."""
    themed = svg[svg.index("<svg") :].replace(INK, "currentColor")
    return themed.replace(f"fill: {GROUND}", "fill: none").strip()


def write(drawn: Drawn, folder: Path) -> None:
    """The exhibit's files in the folder."""
    exhibit, path = drawn.exhibit, folder / drawn.exhibit.name
    write_atomically(path.with_suffix(".svg"), drawn.wide)
    write_atomically(path.with_suffix(".png"), drawn.png)
    rows = [_known(row) for row in exhibit.rows]
    content = {"title": exhibit.title, "caption": exhibit.caption, **_known(exhibit.facts), "rows": rows}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path.with_suffix(".json"), text + "\n")
    write_atomically(path.with_suffix(".csv"), _csv(rows))


def _known(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()
    }


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    buffer = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
