"""The report's page: one HTML file that opens from the disk, for wide and narrow screens, light and dark."""

import html
from collections.abc import Sequence
from typing import Any

from bench.report.figure import QUESTIONS, Drawn, inline
from bench.results.table_model import Table
from bench.results.typeset import footnotes, html_grid

STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1f1f1f; --soft: #5c5c5c; --line: #d0d0d0; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #16181b; --ink: #e8e8e8; --soft: #a8a8a8; --line: #44484d; }
}
body { margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; }
h2 { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
.answer li { margin-bottom: .5rem; }
.answer { font-size: 1.1rem; }
figure { margin: 1.5rem 0; }
figure h3 { margin: 0 0 .3rem; font-size: 1.05rem; }
figure svg { width: 100%; height: auto; }
figcaption, .files, details { color: var(--soft); font-size: .95rem; }
figcaption { color: var(--ink); margin-bottom: .4rem; }
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
    title: str, *, answer: Sequence[str], table: Table, drawn: Sequence[Drawn], lacking: Sequence[str]
) -> str:
    """The page: the answer, the table, and the figures under the question that each one answers.

    lacking: what is not shown, and what to run for it.
    """
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>"
    )
    parts = [head, f"<h1>{_text(title)}</h1>", _list(answer, "answer"), *_table(table)]
    for question in QUESTIONS:
        if mine := [one for one in drawn if one.exhibit.question == question]:
            parts += [f"<h2>{_text(question)}</h2>", *map(_figure, mine)]
    if lacking:
        parts += ["<h2>What is not shown</h2>", _list(lacking, "lacking")]
    return "\n".join([*parts, "</body>", "</html>", ""])


def _list(lines: Sequence[str], kind: str) -> str:
    items = "".join(f"<li>{_led(line)}</li>\n" for line in lines)
    return f'<ul class="{kind}">\n{items}</ul>'


def _led(line: str) -> str:
    """The line, with its question, if it begins with one, in bold."""
    question, mark, rest = line.partition("? ")
    return f"<strong>{_text(question)}?</strong> {_text(rest)}" if mark else _text(line)


def _table(table: Table) -> list[str]:
    notes = "".join(f"<p>{_text(note)}</p>\n" for note in [*table.about[1:], *footnotes(table)])
    grid = f'<div class="scroll">{html_grid(table)}</div>'
    return ["<h2>Does it help?</h2>", grid, f"<details><summary>About the table</summary>{notes}</details>"]


def _figure(drawn: Drawn) -> str:
    """Both pictures of an exhibit, of which the style sheet shows one."""
    exhibit = drawn.exhibit
    pictures = [
        f'<div class="{name}">{_described(inline(svg), exhibit.alt)}</div>'
        for name, svg in (("wide", drawn.wide), ("narrow", drawn.narrow))
    ]
    files = " ".join(
        f'<a href="figures/{exhibit.name}.{kind}">{kind.upper()}</a>'
        for kind in ("png", "svg", "csv", "json")
    )
    return "\n".join(
        [
            f'<figure id="{exhibit.name}">',
            f"<h3>{_text(exhibit.title)}</h3>",
            f"<figcaption>{_text(exhibit.caption)}</figcaption>",
            *pictures,
            f'<div class="files">{files}</div>',
            "</figure>",
        ]
    )


def _described(svg: str, alt: str) -> str:
    return svg.replace("<svg ", f'<svg role="img" aria-label="{_text(alt)}" ', 1)


def _text(value: Any) -> str:
    return html.escape(str(value))
