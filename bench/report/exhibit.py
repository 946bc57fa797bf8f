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

from bench.files import write_atomically
from bench.report.paper import INK, STYLE, WIDE, Paper

QUESTIONS = ("Where does it help?", "Why?", "How was it trained?")


@dataclass(frozen=True)
class Exhibit:
    """A figure: which of the questions it answers, what to see in it, and the numbers that it draws.

    alt: what it shows, for who does not see it. facts: single numbers. rows: one for each thing drawn; NaN is
    written as nothing.
    """

    name: str
    question: str
    title: str
    caption: str
    alt: str
    draw: Callable[[Paper], Figure]
    facts: Mapping[str, Any] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()


def write(exhibit: Exhibit, folder: Path) -> None:
    """The figure's files in the folder."""
    write_atomically(folder / f"{exhibit.name}.svg", render(exhibit, WIDE, "svg", transparent=False))
    write_atomically(folder / f"{exhibit.name}.png", render(exhibit, WIDE, "png", transparent=False))
    rows = [_known(row) for row in exhibit.rows]
    content = {"title": exhibit.title, "caption": exhibit.caption, **_known(exhibit.facts), "rows": rows}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(folder / f"{exhibit.name}.json", text + "\n")
    write_atomically(folder / f"{exhibit.name}.csv", _csv(rows))


def inline(exhibit: Exhibit, paper: Paper) -> str:
    """The figure as an SVG element of a page, in the colour of the page's text and on its ground."""
    svg = render(exhibit, paper, "svg", transparent=True).decode()
    return svg[svg.index("<svg") :].replace(INK, "currentColor").strip()


def render(exhibit: Exhibit, paper: Paper, form: str, *, transparent: bool) -> bytes:
    """The figure's file as bytes; the same numbers give the same bytes."""
    # Salted by the figure's name, no two figures of a page share an id.
    style: Any = STYLE | {"svg.hashsalt": f"{exhibit.name} {paper.name}"}
    with mpl.rc_context(style):
        buffer = io.BytesIO()
        metadata = {"Date": None} if form == "svg" else None
        exhibit.draw(paper).savefig(buffer, format=form, dpi=150, transparent=transparent, metadata=metadata)
    return buffer.getvalue()


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
