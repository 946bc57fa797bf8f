"""A `Table` for readers: text, Markdown, LaTeX, HTML.

One decimal, as the paper prints. Below a row's values may stand further lines, such as their standard
deviation ("sd"); a letter behind a number leads to a remark below the table.
"""

import functools
import html
import textwrap
from collections.abc import Callable, Mapping, Sequence

from tabulate import tabulate

from bench.base.protocol import GROUPS, Column
from bench.results.table_model import Table, TableRow

SECTIONS = {"paper": "Published", "reproduced": "Reproduced", "scored": "Scored"}
LINES = {  # label and sign of what stands below a row's values
    "std": ("sd", ""),
    "low": ("2.5 %", ""),
    "high": ("97.5 %", ""),
    "difference": ("diff", "+"),
    "tolerance": ("tol", ""),
    "verdict": ("verdict", ""),
}
WIDTH, NAME_WIDTH = 118, 37  # columns of running text and of a name in text; 13 metrics then end before 140

MARKDOWN: dict[str, str] = {mark: f"\\{mark}" for mark in "\\|*`<"}
LATEX: dict[str, str] = {mark: f"\\{mark}" for mark in "&%$#_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def as_text(table: Table) -> str:
    """The table for a terminal of 140 columns."""
    width = max((len(row.name) for row in table.rows if len(row.name) <= NAME_WIDTH), default=NAME_WIDTH)
    line = functools.partial(_line, width=width, groups=[group for group, _ in table.columns])
    parts = [*_paragraphs(table.about), "", line(["", "", *_group_heads(table)]), line(_heads(table))]
    rule = "-" * len(parts[-1])
    for section, rows in _sections(table).items():
        parts += [rule, section, *(text for row in rows for text in _text_row(table, row, line))]
    return "".join(f"{part.rstrip()}\n" for part in [*parts, rule, *_paragraphs(_notes(table))])


def _text_row(table: Table, row: TableRow, line: Callable[[list[str]], str]) -> list[str]:
    """A row's lines; a long name gets lines of its own, a row without records says how to make them."""
    (name, *cells), *more = _cells(table, row)
    own = _paragraphs([name]) if len(name) > NAME_WIDTH else []
    first = line(["" if own else name, *cells]).rstrip()
    lack = f"  no records; run: {row.remedy}" if row.remedy else ""
    return [*own, first + lack, *map(line, more)]


def _line(cells: list[str], *, width: int, groups: Sequence[str]) -> str:
    """Name, n and numbers in columns of their own, a gap between the groups."""
    name, n, *numbers = cells
    gaps = ["  " if place and group != groups[place - 1] else "" for place, group in enumerate(groups)]
    return f"{name:<{width}}{n:>8} " + "".join(
        f"{gap}{_at_the_point(text):>7}" for gap, text in zip(gaps, numbers, strict=True)
    )


def _at_the_point(text: str) -> str:
    """With room for a letter behind a number, so that the numbers stand below each other."""
    return text if text[-1:].isalpha() and text[-2:-1].isdigit() else f"{text} "


def _paragraphs(texts: Sequence[str]) -> list[str]:
    return [
        line
        for text in texts
        for line in textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    ]


def _group_heads(table: Table) -> list[str]:
    """The group's name above its first column."""
    groups = [group for group, _ in table.columns]
    return [GROUPS[group] if group not in groups[:place] else "" for place, group in enumerate(groups)]


def _heads(table: Table) -> list[str]:
    seeds = "n" if any(row.n is not None for row in table.rows) else ""
    return ["", seeds, *(metric for _, metric in table.columns)]


def _sections(table: Table) -> dict[str, list[TableRow]]:
    found = {name: [row for row in table.rows if row.source == source] for source, name in SECTIONS.items()}
    return {name: rows for name, rows in found.items() if rows}


def _cells(table: Table, row: TableRow) -> list[list[str]]:
    """The row's lines of text cells: name, n, numbers; then what stands below them, each with its label."""
    n = "" if row.n is None else str(row.n)
    absent = "" if row.remedy else "-"
    numbers = [_number(row.values.get(it), absent=absent) + _letter(table, row, it) for it in table.columns]
    lines = [[row.name, n, *numbers]]
    for name in table.lines:
        label, sign = LINES[name]
        if values := row.lines.get(name):
            lines.append(["", label, *(_number(values.get(it), sign=sign) for it in table.columns)])
    return lines


def _number(value: float | str | None, *, sign: str = "", absent: str = "") -> str:
    if value is None or isinstance(value, str):
        return value or absent
    return f"{round(value, 1) + 0.0:{sign}.1f}"  # + 0.0: no "-0.0"


def _letter(table: Table, row: TableRow, column: Column) -> str:
    return table.letters.get(row.remarks.get(column, ""), "")


def as_markdown(table: Table) -> str:
    """The table in GitHub's Markdown."""
    at3 = ["@3" if group == "top3" else "" for group, _ in table.columns]
    heads = [head + suffix for head, suffix in zip(_heads(table), ["", "", *at3], strict=True)]
    grid = [heads, *([_escape(cell, MARKDOWN) for cell in line] for line in _flat(table))]
    # the heading goes in as a first line, for tabulate would pad every column below a heading by two
    rule, head, *lines = _tabulate(table, grid, (), "pipe").splitlines()
    title, *about = (_escape(line, MARKDOWN) for line in table.about)
    notes = [f"- {_escape(note, MARKDOWN)}" for note in [*footnotes(table), *_legend(table)]]
    return "\n".join([f"**{title}**", "", "  \n".join(about), "", head, rule, *lines, "", *notes, ""])


def _legend(table: Table) -> list[str]:
    return ["@3: top-3"] if any(group == "top3" for group, _ in table.columns) else []


def as_latex(table: Table) -> str:
    """The table as a `table*` of LaTeX; it needs the package booktabs."""
    over = " & ".join(rf"\multicolumn{{{n}}}{{c}}{{{group}}}" for group, _, n in _spans(table))
    rules = "".join(rf"\cmidrule(lr){{{first}-{first + n - 1}}}" for _, first, n in _spans(table))
    inner = _tabulate(table, _flat(table), _heads(table), "latex_booktabs")
    inner = inner.replace(r"\toprule", f"\\toprule\n & & {over} \\\\\n{rules}", 1)
    title, *about = (_escape(line, LATEX) for line in table.about)
    notes = [_escape(note, LATEX) + r"\par" for note in footnotes(table)]
    start = [r"\begin{table*}", r"\centering\small", rf"\caption{{{title}. {' '.join(about)}}}"]
    return "\n".join([*start, inner, r"\par\raggedright", *notes, r"\end{table*}", ""])


def as_html(table: Table) -> str:
    """The table as a page that opens from the disk."""
    title, *about = (html.escape(line) for line in table.about)
    head = (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n<h1>{title}</h1>'
    )
    notes = [f"<p>{html.escape(note)}</p>" for note in footnotes(table)]
    return "\n".join([head, *(f"<p>{line}</p>" for line in about), html_grid(table), *notes, "</html>", ""])


def html_grid(table: Table) -> str:
    """The element `table` alone, for a page that has more on it."""
    over = "".join(f'<th colspan="{n}">{group}</th>' for group, _, n in _spans(table))
    inner = _tabulate(table, _flat(table), _heads(table), "html")
    return inner.replace("<thead>", f'<thead>\n<tr><th colspan="2"></th>{over}</tr>', 1)


def _spans(table: Table) -> list[tuple[str, int, int]]:
    """(group's name, its first column counted from 1, how many it has); name and n come before."""
    groups = [group for group, _ in table.columns]
    return [(GROUPS[group], groups.index(group) + 3, groups.count(group)) for group in dict.fromkeys(groups)]


def _flat(table: Table) -> list[list[str]]:
    """All lines, a heading before each section, for forms in which a sentence cannot span the columns."""
    lines = []
    for section, rows in _sections(table).items():
        lines.append([section, *[""] * (len(table.columns) + 1)])
        for row in rows:
            (name, *cells), *more = _cells(table, row)
            lines += [[f"{name}: no records" if row.remedy else name, *cells], *more]
    return lines


def footnotes(table: Table) -> list[str]:
    """What stands below the table: the notes, after the commands that text has in the rows themselves."""
    return [*(f"{row.name}: run {row.remedy}" for row in table.rows if row.remedy), *_notes(table)]


def _notes(table: Table) -> list[str]:
    return [*(f"{letter}: {remark}." for remark, letter in table.letters.items()), *table.notes]


def _tabulate(table: Table, lines: list[list[str]], heads: Sequence[str], form: str) -> str:
    align = ["left", *["right"] * (len(table.columns) + 1)]
    return str(tabulate(lines, heads, form, colalign=align, disable_numparse=True))


def _escape(text: str, rules: Mapping[str, str]) -> str:
    return "".join(rules.get(mark, mark) for mark in text)
