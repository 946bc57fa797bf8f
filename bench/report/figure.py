"""A figure of the report with its caption and numbers, and its files: PNG, SVG, JSON and CSV."""

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
from bench.base.csv_cells import safe_cell
from bench.report.figure_style import BACKGROUND, FOREGROUND, NARROW, STYLE, WIDE, Canvas

QUESTIONS = ("Where does it help?", "Why?", "How was it trained?")


@dataclass(frozen=True)
class ReportFigure:
    """A figure: the question that it answers, its texts, the numbers in it, and the function that draws it.

    question: one of QUESTIONS. caption: what to see in it. alt: the description for readers who cannot see
    it. facts: single numbers. rows: one for each thing drawn; NaN is written as null or an empty cell.
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
class DrawnFigure:
    """A report figure, drawn for a wide screen as SVG (`wide`) and PNG, and for a narrow screen as SVG."""

    report_figure: ReportFigure
    wide: str
    png: bytes
    narrow: str


def draw(report_figure: ReportFigure) -> DrawnFigure:
    """Draw the figure in both widths; the same numbers give the same bytes."""
    (wide, png), (narrow, _) = (_svg_and_png(report_figure, canvas) for canvas in (WIDE, NARROW))
    return DrawnFigure(report_figure, wide, png, narrow)


def _svg_and_png(report_figure: ReportFigure, canvas: Canvas) -> tuple[str, bytes]:
    # With the figure's name as salt, no two figures of a page have an id in common.
    style: Any = STYLE | {"svg.hashsalt": f"{report_figure.name} {canvas.name}"}
    with mpl.rc_context(style):
        figure = report_figure.draw(canvas)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # the layout is computed now, once for both files
        svg, png = io.StringIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None})
        if canvas is WIDE:
            figure.savefig(png, format="png", dpi=150)
    return svg.getvalue(), png.getvalue()


def inline(svg: str) -> str:
    """An SVG file as an element of a page, in the page's text colour and without a background."""
    themed = svg[svg.index("<svg") :].replace(FOREGROUND, "currentColor")
    return themed.replace(f"fill: {BACKGROUND}", "fill: none").strip()


def write(drawn: DrawnFigure, folder: Path) -> None:
    """Write the figure's four files."""
    report_figure, path = drawn.report_figure, folder / drawn.report_figure.name
    write_atomically(path.with_suffix(".svg"), drawn.wide)
    write_atomically(path.with_suffix(".png"), drawn.png)
    rows = [_nan_to_none(row) for row in report_figure.rows]
    texts = {"title": report_figure.title, "caption": report_figure.caption}
    content = {**texts, **_nan_to_none(report_figure.facts), "rows": rows}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path.with_suffix(".json"), text + "\n")
    write_atomically(path.with_suffix(".csv"), _csv(rows))


def _nan_to_none(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()
    }


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    buffer = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writerow({name: safe_cell(name) for name in names})
    writer.writerows({name: safe_cell(value) for name, value in row.items()} for row in rows)
    return buffer.getvalue()
