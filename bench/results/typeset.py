"""Format a `Table` for readers, as text, Markdown, LaTeX or HTML.

Values have one decimal, as in the papers. Further lines may follow below a row, such as the standard
deviation ("sd"). A letter behind a value refers to a remark below the table.
"""

import functools
import html
import textwrap
from collections.abc import Callable, Mapping, Sequence

from tabulate import tabulate

from bench.base.protocol import GROUPS, Column
from bench.results.table_model import Table, TableRow

SECTIONS = {
    "paper": "Published",
    "later": "Later papers",
    "others": "Others' reproductions",
    "reproduced": "Reproduced",
    "scored": "Scored",
}
LINES = {  # name of a further line below a row -> its label, and the sign option of its numbers
    "std": ("sd", ""),
    "low": ("2.5 %", ""),
    "high": ("97.5 %", ""),
    "difference": ("diff", "+"),
    "tolerance": ("tol", ""),
    "verdict": ("verdict", ""),
    "best_on_test": ("", ""),
    "best_on_test_difference": ("diff", "+"),
}
NAMED_LINES = {"best_on_test": "  best on test (not comparable)"}  # further lines with a name in front
WIDTH, NAME_WIDTH = (
    118,
    37,
)  # characters of running text and of a name; with 13 metrics a line has less than 140

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
    names = [row.name for row in table.rows] + [
        NAMED_LINES[name] for name in NAMED_LINES if name in table.lines
    ]
    width = max((len(name) for name in names if len(name) <= NAME_WIDTH), default=NAME_WIDTH)
    line = functools.partial(_line, width=width, groups=[group for group, _ in table.columns])
    parts = [*_paragraphs(table.about), "", line(["", "", *_group_headings(table)]), line(_headings(table))]
    rule = "-" * len(parts[-1])
    for section, rows in _sections(table).items():
        parts += [rule, section, *(text for row in rows for text in _text_row(table, row, line))]
    return "".join(f"{part.rstrip()}\n" for part in [*parts, rule, *_paragraphs(_notes(table))])


def _text_row(table: Table, row: TableRow, line: Callable[[list[str]], str]) -> list[str]:
    """The lines of a row; a long name has lines of its own, a row without records shows how to make them."""
    (name, *cells), *further = _cells(table, row)
    name_lines = _paragraphs([name]) if len(name) > NAME_WIDTH else []
    first = line(["" if name_lines else name, *cells]).rstrip()
    remedy = f"  no records; run: {row.remedy}" if row.remedy else ""
    return [*name_lines, first + remedy, *map(line, further)]


def _line(cells: list[str], *, width: int, groups: Sequence[str]) -> str:
    """One line of text: name, n and values, with a gap between the groups of columns."""
    name, n, *numbers = cells
    gaps = ["  " if index and group != groups[index - 1] else "" for index, group in enumerate(groups)]
    return f"{name:<{width}}{n:>8} " + "".join(
        f"{gap}{_with_letter_space(text):>7}" for gap, text in zip(gaps, numbers, strict=True)
    )


def _with_letter_space(text: str) -> str:
    """The text, with a space instead of a remark's letter, so that the decimal points are aligned."""
    return text if text[-1:].isalpha() and text[-2:-1].isdigit() else f"{text} "


def _paragraphs(texts: Sequence[str]) -> list[str]:
    return [
        line
        for text in texts
        for line in textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    ]


def _group_headings(table: Table) -> list[str]:
    """One cell per column: the name of its group above the first column of the group, else empty."""
    groups = [group for group, _ in table.columns]
    return [GROUPS[group] if group not in groups[:index] else "" for index, group in enumerate(groups)]


def _headings(table: Table) -> list[str]:
    seeds = "n" if any(row.n is not None for row in table.rows) else ""
    return ["", seeds, *(metric for _, metric in table.columns)]


def _sections(table: Table) -> dict[str, list[TableRow]]:
    """Heading -> rows: the headings of the rows in their order, or those of the rows' sources."""
    headings = [row.section or SECTIONS[row.source] for row in table.rows]
    names = dict.fromkeys(headings if any(row.section for row in table.rows) else SECTIONS.values())
    by_name = {
        name: [row for heading, row in zip(headings, table.rows, strict=True) if heading == name]
        for name in names
    }
    return {name: rows for name, rows in by_name.items() if rows}


def _cells(table: Table, row: TableRow) -> list[list[str]]:
    """The cells of a row's lines: first name, n and values; then each further line with its label."""
    n = "" if row.n is None else str(row.n)
    absent = "" if row.remedy else "-"
    numbers = [
        _number(row.values.get(column), absent=absent) + _letter(table, row, column)
        for column in table.columns
    ]
    lines = [[row.name, n, *numbers]]
    for name in table.lines:
        label, sign = LINES[name]
        if values := row.lines.get(name):
            lines.append(
                [
                    NAMED_LINES.get(name, ""),
                    label,
                    *(_number(values.get(column), sign=sign) for column in table.columns),
                ]
            )
    return lines


def _number(value: float | str | None, *, sign: str = "", absent: str = "") -> str:
    if value is None or isinstance(value, str):
        return value or absent
    return f"{round(value, 1) + 0.0:{sign}.1f}"  # + 0.0 turns -0.0 into 0.0


def _letter(table: Table, row: TableRow, column: Column) -> str:
    return table.letters.get(row.remarks.get(column, ""), "")


def as_markdown(table: Table) -> str:
    """The table in GitHub-flavoured Markdown."""
    at3 = ["@3" if group == "top3" else "" for group, _ in table.columns]
    heads = [head + suffix for head, suffix in zip(_headings(table), ["", "", *at3], strict=True)]
    grid = [heads, *([_escape(cell, MARKDOWN) for cell in line] for line in _all_lines(table))]
    # The headings are given as the first row, as tabulate would widen each column below a heading by two.
    rule, head, *lines = _tabulate(table, grid, (), "pipe").splitlines()
    title, *about = (_escape(line, MARKDOWN) for line in table.about)
    notes = [f"- {_escape(note, MARKDOWN)}" for note in [*footnotes(table), *_legend(table)]]
    return "\n".join([f"**{title}**", "", "  \n".join(about), "", head, rule, *lines, "", *notes, ""])


def _legend(table: Table) -> list[str]:
    return ["@3: top-3"] if any(group == "top3" for group, _ in table.columns) else []


def as_latex(table: Table) -> str:
    """The table as a LaTeX `table*`, which needs the package booktabs."""
    over = " & ".join(rf"\multicolumn{{{n}}}{{c}}{{{group}}}" for group, _, n in _spans(table))
    rules = "".join(rf"\cmidrule(lr){{{first}-{first + n - 1}}}" for _, first, n in _spans(table))
    inner = _tabulate(table, _all_lines(table), _headings(table), "latex_booktabs")
    inner = inner.replace(r"\toprule", f"\\toprule\n & & {over} \\\\\n{rules}", 1)
    title, *about = (_escape(line, LATEX) for line in table.about)
    notes = [_escape(note, LATEX) + r"\par" for note in footnotes(table)]
    start = [r"\begin{table*}", r"\centering\small", rf"\caption{{{title}. {' '.join(about)}}}"]
    return "\n".join([*start, inner, r"\par\raggedright", *notes, r"\end{table*}", ""])


def as_html(table: Table) -> str:
    """The table as a complete HTML page."""
    title, *about = (html.escape(line) for line in table.about)
    head = (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n<h1>{title}</h1>'
    )
    notes = [f"<p>{html.escape(note)}</p>" for note in footnotes(table)]
    return "\n".join([head, *(f"<p>{line}</p>" for line in about), html_grid(table), *notes, "</html>", ""])


def html_grid(table: Table) -> str:
    """The HTML element `table` alone, to be placed in a larger page."""
    over = "".join(f'<th colspan="{n}">{group}</th>' for group, _, n in _spans(table))
    inner = _tabulate(table, _all_lines(table), _headings(table), "html")
    return inner.replace("<thead>", f'<thead>\n<tr><th colspan="2"></th>{over}</tr>', 1)


def _spans(table: Table) -> list[tuple[str, int, int]]:
    """For each group: (name, its first column, its number of columns); columns 1 and 2 are name and n."""
    groups = [group for group, _ in table.columns]
    return [(GROUPS[group], groups.index(group) + 3, groups.count(group)) for group in dict.fromkeys(groups)]


def _all_lines(table: Table) -> list[list[str]]:
    """All lines, with a heading before each section, for formats in which text cannot span the columns."""
    lines = []
    for section, rows in _sections(table).items():
        lines.append([section, *[""] * (len(table.columns) + 1)])
        for row in rows:
            (name, *cells), *further = _cells(table, row)
            lines += [[f"{name}: no records" if row.remedy else name, *cells], *further]
    return lines


def footnotes(table: Table) -> list[str]:
    """The text below the table: commands that make missing records, then remarks and notes."""
    return [*(f"{row.name}: run {row.remedy}" for row in table.rows if row.remedy), *_notes(table)]


def _notes(table: Table) -> list[str]:
    return [*(f"{letter}: {remark}." for remark, letter in table.letters.items()), *table.notes]


def _tabulate(table: Table, lines: list[list[str]], headings: Sequence[str], form: str) -> str:
    align = ["left", *["right"] * (len(table.columns) + 1)]
    return str(tabulate(lines, headings, form, colalign=align, disable_numparse=True))


def _escape(text: str, rules: Mapping[str, str]) -> str:
    return "".join(rules.get(mark, mark) for mark in text)
