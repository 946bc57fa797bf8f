"""Build the report's page: one HTML file that needs no other, for wide, narrow, light and dark screens."""

import html
from collections.abc import Sequence
from typing import Any

from bench.report.figure import QUESTIONS, DrawnFigure, inline
from bench.results.table_model import Table
from bench.results.typeset import footnotes, html_grid

STYLE = """
:root { color-scheme: light dark;
  --background: #ffffff; --foreground: #1f1f1f; --muted: #5c5c5c; --line: #d0d0d0; }
@media (prefers-color-scheme: dark) {
  :root { --background: #16181b; --foreground: #e8e8e8; --muted: #a8a8a8; --line: #44484d; }
}
body { margin: 0 auto; padding: 1rem; max-width: 60rem;
  background: var(--background); color: var(--foreground); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; }
h2 { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
.headline li { margin-bottom: .5rem; }
.headline { font-size: 1.1rem; }
figure { margin: 1.5rem 0; }
figure h3 { margin: 0 0 .3rem; font-size: 1.05rem; }
figure svg { width: 100%; height: auto; }
figcaption, .files, details { color: var(--muted); font-size: .95rem; }
figcaption { color: var(--foreground); margin-bottom: .4rem; }
.narrow { display: none; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .5rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
a { color: inherit; }
@media (max-width: 700px) {
  .wide { display: none; }
  .narrow { display: block; }
  body { padding: .75rem; }
}
"""


def build(
    title: str,
    *,
    headline: Sequence[str],
    table: Table,
    drawn_figures: Sequence[DrawnFigure],
    missing: Sequence[str],
) -> str:
    """The page's HTML: the headline sentences, the table, and the figures below the question they answer.

    missing: what is not shown, and what to run for it.
    """
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>"
    )
    parts = [head, f"<h1>{_text(title)}</h1>", _list(headline, "headline"), *_table(table)]
    for question in QUESTIONS:
        if answering := [drawn for drawn in drawn_figures if drawn.report_figure.question == question]:
            parts += [f"<h2>{_text(question)}</h2>", *map(_figure, answering)]
    if missing:
        parts += ["<h2>What is not shown</h2>", _list(missing, "missing")]
    return "\n".join([*parts, "</body>", "</html>", ""])


def _list(lines: Sequence[str], css_class: str) -> str:
    items = "".join(f"<li>{_bold_question(line)}</li>\n" for line in lines)
    return f'<ul class="{css_class}">\n{items}</ul>'


def _bold_question(line: str) -> str:
    """The line as HTML; if it begins with a question, this is bold."""
    question, mark, rest = line.partition("? ")
    return f"<strong>{_text(question)}?</strong> {_text(rest)}" if mark else _text(line)


def _table(table: Table) -> list[str]:
    notes = "".join(f"<p>{_text(note)}</p>\n" for note in [*table.about[1:], *footnotes(table)])
    grid = f'<div class="scroll">{html_grid(table)}</div>'
    return ["<h2>Does it help?</h2>", grid, f"<details><summary>About the table</summary>{notes}</details>"]


def _figure(drawn: DrawnFigure) -> str:
    """Both widths of a figure; the style sheet shows the one that fits the screen."""
    report_figure = drawn.report_figure
    pictures = [
        f'<div class="{name}">{_with_description(inline(svg), report_figure.alt)}</div>'
        for name, svg in (("wide", drawn.wide), ("narrow", drawn.narrow))
    ]
    files = " ".join(
        f'<a href="figures/{report_figure.name}.{suffix}">{suffix.upper()}</a>'
        for suffix in ("png", "svg", "csv", "json")
    )
    return "\n".join(
        [
            f'<figure id="{report_figure.name}">',
            f"<h3>{_text(report_figure.title)}</h3>",
            f"<figcaption>{_text(report_figure.caption)}</figcaption>",
            *pictures,
            f'<div class="files">{files}</div>',
            "</figure>",
        ]
    )


def _with_description(svg: str, alt: str) -> str:
    return svg.replace("<svg ", f'<svg role="img" aria-label="{_text(alt)}" ', 1)


def _text(value: Any) -> str:
    return html.escape(str(value))
