"""The table of a data set's page: a plain HTML table, which the page's script makes sortable."""

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from bench.base.html_document import escaped
from bench.base.protocol import Column, column_name
from bench.results.published import EDITED
from bench.results.published_rows import NOT_KNOWN
from bench.results.table_formats import HARMONIC
from bench.site.rows import MAP, Results, SiteRow

UP = "../"  # from a page in a folder to the site's folder
FACTS = ("Trunk", "Size", "Split", "Year", "Pretraining", "Profile", "Selection")
NUMBERS = ("Size", "Year")
OUR_SELECTIONS = {"last": "last epoch", "best": "best epoch on held-out images"}
ABSENT = '<span class="none" title="not stated">–</span>'
NUMBER, WORDS, LONG = ' class="number"', ' class="words"', ' class="long"'
ON_TEST = "best epoch on the test images"


@dataclass(frozen=True)
class Cell:
    """A cell's HTML, the value that it is sorted by ("": none), and further attributes."""

    html: str
    value: str = ""
    attributes: str = ""


def table(results: Results) -> str:
    """The table with all rows, in a frame of its own that scrolls sideways."""
    notes = Notes()
    body = "\n".join(_row(row, results, notes) for row in results.rows)
    label = escaped(f"Results on {results.title}")
    legend = "".join(
        f'<li id="note-{letter}">{letter}: {escaped(text)}.</li>' for letter, text in notes.all()
    )
    return "\n".join(
        [
            f'<div class="scroll frame" tabindex="0" role="region" aria-label="{label}">',
            f'<table id="results"><caption class="hidden">{label}, in percent</caption>',
            f"<thead>{_head(results.columns)}</thead>\n<tbody>\n{body}\n</tbody></table></div>",
            f'<ul class="notes">{legend}</ul>' if legend else "",
        ]
    )


class Notes:
    """The remarks on single values, a letter each."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def letter(self, text: str) -> str:
        if text not in self._texts:
            self._texts.append(text)
        number = self._texts.index(text)
        return string.ascii_lowercase[number % 26] + str(number // 26 or "")

    def all(self) -> list[tuple[str, str]]:
        return [(self.letter(text), text) for text in self._texts]


def _head(columns: Sequence[Column]) -> str:
    cells = [_heading("Method")]
    cells += [_heading("mAP", is_number=True)] if MAP in columns else []
    cells += [_heading(name, is_number=name in NUMBERS) for name in FACTS]
    cells += [_heading(column_name(column), is_number=True) for column in columns if column != MAP]
    return f"<tr>{''.join(cells)}{_heading('Source')}</tr>"


def _heading(name: str, *, is_number: bool = False) -> str:
    kind = "number" if is_number else "text"
    order = ' aria-sort="descending"' if name == "mAP" else ""
    return f'<th scope="col" data-kind="{kind}"{order}>{escaped(name)}</th>'


def _row(row: SiteRow, results: Results, notes: Notes) -> str:
    facts = row.row.facts
    values = {
        "kind": row.kind,
        "trunk": row.trunk,
        "size": facts.get("input_size") or "",
        "year": facts.get("year") or "",
        "profile": facts["profile"],
        "selection": selection(row),
        "images": row.images,
        "group": "|".join(map(str, row.group or ())),
        "name": row.name,
    }
    data = " ".join(f'data-{name}="{escaped(value)}"' for name, value in values.items())
    numbers = {column: _number(row, column, notes) for column in results.columns}
    ours = [numbers.pop(MAP)] if MAP in numbers else []
    cells = [
        *ours,
        *_facts(row),
        *numbers.values(),
        Cell(_source(row, results), row.source, ' class="source"'),
    ]
    inner = "".join(f'<td data-value="{escaped(c.value)}"{c.attributes}>{c.html}</td>' for c in cells)
    inner = f'<th scope="row" data-value="{escaped(row.name)}">{_method(row)}</th>{inner}'
    return f'<tr id="{row.id}" class="{row.kind}" {data}>{inner}</tr>'


def _method(row: SiteRow) -> str:
    badges = "".join(f' <span class="badge {css}">{escaped(text)}</span>' for css, text in badges_of(row))
    name = f'<a href="{UP}{quote(row.page)}">{escaped(row.name)}</a>' if row.files else escaped(row.name)
    return f"{name}{badges}"


def _facts(row: SiteRow) -> Iterator[Cell]:
    facts = row.row.facts
    yield _text(row.trunk)
    yield _fact_number(facts.get("input_size"))
    yield _text(row.images)
    yield _fact_number(facts.get("year"))
    yield _text(facts.get("pretraining") or "")
    yield _text(facts["profile"] if facts["profile"] != NOT_KNOWN else "")
    how = selection(row)
    yield _text(how, LONG if len(how) > 24 else WORDS)


def selection(row: SiteRow) -> str:
    """How the epoch of the row's numbers was chosen; "": not stated."""
    if not row.files:
        return str(row.row.facts["selection"])
    return OUR_SELECTIONS.get(row.files[0].record["recipe"].get("select"), "")


def badges_of(row: SiteRow) -> Iterator[tuple[str, str]]:
    """(class, words) of what must be seen beside a row's name."""
    facts = row.row.facts
    if row.files:
        n = len(row.files)
        kind = "ours" if row.kind == "ours" else "ours, a run"
        yield "own", f"{kind}, {n} seed{'s' if n > 1 else ''}"
    if row.kind == "others":
        yield "warn", "others' reproduction"
    if facts.get("cites"):
        yield "warn", "second-hand"
    if facts.get("selection", "").startswith(ON_TEST):
        yield "warn", "chosen on test"
    for mark in row.row.marks:
        if not mark.startswith("via ") and mark != row.source:
            yield ("bad" if mark == EDITED else "warn"), mark


def _text(value: str, attributes: str = WORDS) -> Cell:
    return Cell(escaped(value), value, attributes) if value else Cell(ABSENT)


def _fact_number(value: int | None) -> Cell:
    return Cell(str(value), str(value), NUMBER) if value else Cell(ABSENT, attributes=NUMBER)


def _number(row: SiteRow, column: Column, notes: Notes) -> Cell:
    """A value, linked to its record or source: of ours the mean and standard deviation over the seeds."""
    if (value := row.row.values.get(column)) is None:
        return Cell(ABSENT, attributes=NUMBER)
    shown = f"{value:.1f}" if row.files or round(value, 1) == value else f"{value:g}"
    spread = row.row.lines.get("std", {}).get(column)
    spread_html = f' <span class="sd">± {spread:.1f}</span>' if isinstance(spread, float) else ""
    letters = "".join(
        f'<sup><a href="#note-{letter}" tabindex="-1">{letter}</a></sup>'
        for letter in map(notes.letter, _remarks(row, column))
    )
    key = row.columns_from if row.columns_from and column[1] != "mAP" else row.source
    target = f"{UP}{quote(row.page)}" if row.files else f"#source-{quote(key)}"
    # One stop of the Tab key a row is enough: the other numbers lead to the same place.
    stop = "" if column[1] == "mAP" else ' tabindex="-1"'
    return Cell(f'<a href="{target}"{stop}>{shown}</a>{spread_html}{letters}', repr(value), NUMBER)


def _remarks(row: SiteRow, column: Column) -> Iterator[str]:
    if row.files:
        if remark := row.row.remarks.get(column):
            yield remark
        return
    if column[1] == "F1-C" and row.row.facts["f1c"] == "harmonic":
        yield HARMONIC
    if row.columns_from and column[1] != "mAP":
        yield f"second-hand, read in {row.columns_from.upper()}"


def _source(row: SiteRow, results: Results) -> str:
    if row.files:
        return f'<a href="{UP}{quote(row.page)}">records and configuration</a>'
    source = results.sources[row.source]
    places = ", ".join(filter(None, [source.venue, source.table]))
    cites = f' <span class="sd">of {escaped(row.row.facts["cites"])}</span>' if row.row.facts["cites"] else ""
    return f'<a href="#source-{quote(row.source)}">{escaped(row.source.upper())}</a> {escaped(places)}{cites}'
