"""Build the report's page: one HTML file that needs no other, for wide, narrow, light and dark screens."""

from collections.abc import Sequence

from bench.base.html_document import document, escaped
from bench.report.figure import QUESTIONS, DrawnFigure, inline
from bench.results.table_model import Table
from bench.results.typeset import footnotes, html_grid

STYLE = """
.headline li { margin-bottom: .5rem; }
.headline { font-size: 1.1rem; }
figure { margin: 1.5rem 0; }
figure h3 { margin: 0 0 .3rem; font-size: 1.05rem; }
figure svg { width: 100%; height: auto; }
figcaption, .files, details { color: var(--muted); font-size: .95rem; }
figcaption { color: var(--foreground); margin-bottom: .4rem; }
.narrow { display: none; }
@media (max-width: 700px) {
  .wide { display: none; }
  .narrow { display: block; }
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
    parts = [f"<h1>{escaped(title)}</h1>", _list(headline, "headline"), *_table(table)]
    for question in QUESTIONS:
        if answering := [drawn for drawn in drawn_figures if drawn.report_figure.question == question]:
            parts += [f"<h2>{escaped(question)}</h2>", *map(_figure, answering)]
    if missing:
        parts += ["<h2>What is not shown</h2>", _list(missing, "missing")]
    return document(title, parts, style=STYLE)


def _list(lines: Sequence[str], css_class: str) -> str:
    items = "".join(f"<li>{_bold_question(line)}</li>\n" for line in lines)
    return f'<ul class="{css_class}">\n{items}</ul>'


def _bold_question(line: str) -> str:
    """The line as HTML; if it begins with a question, this is bold."""
    question, mark, rest = line.partition("? ")
    return f"<strong>{escaped(question)}?</strong> {escaped(rest)}" if mark else escaped(line)


def _table(table: Table) -> list[str]:
    notes = "".join(f"<p>{escaped(note)}</p>\n" for note in [*table.about[1:], *footnotes(table)])
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
            f"<h3>{escaped(report_figure.title)}</h3>",
            f"<figcaption>{escaped(report_figure.caption)}</figcaption>",
            *pictures,
            f'<div class="files">{files}</div>',
            "</figure>",
        ]
    )


def _with_description(svg: str, alt: str) -> str:
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escaped(alt)}" ', 1)
