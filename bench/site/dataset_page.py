"""The page of one data set: charts, the table with its filters, and the sources of the published numbers."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import quote

from bench.base.html_document import document, escaped
from bench.results.published_rows import NOT_KNOWN, Source
from bench.results.record import shown
from bench.scoring import profiles
from bench.site import chart, grid
from bench.site.chart import Axis, Point
from bench.site.rows import KINDS, Results, SiteRow, rule_of_map
from bench.site.script import SCRIPT
from bench.site.style import STYLE

NOT_STATED = "not stated"


def build(results: Results) -> str:
    """The page's HTML."""
    if results.rows:
        body = [*_charts(results), *_filters(results), grid.table(results), *_sources(results)]
    else:
        command = f"python -m bench.run --dataset {results.name} --method srn"
        body = [f"<p>No results yet. To make some:</p><pre>{escaped(command)}</pre>"]
    parts = [
        '<nav><a href="../index.html">All data sets</a></nav>',
        f"<main><h1>{escaped(results.title)}</h1>",
        *_about(results),
        *body,
        _for_programs(results.name) if results.sources else "",
        "</main>",
        f"<script>{SCRIPT}</script>" if results.rows else "",
    ]
    return document(f"{results.title}: results", filter(None, parts), style=STYLE)


def _for_programs(name: str) -> str:
    links = ", ".join(f'<a href="{quote(name)}.{end}">{end.upper()}</a>' for end in ("csv", "json"))
    command = f"python -m bench.table --dataset {name}"
    return (
        f'<p class="muted">The published rows for programs, as {escaped(command)} writes them: {links}.</p>'
    )


def _about(results: Results) -> Iterator[str]:
    counts = ", ".join(
        f"{number} {words}"
        for kind, words in KINDS.items()
        if (number := sum(row.kind == kind for row in results.rows))
    )
    if results.summary:
        yield f'<p class="lead">{escaped(results.summary)}.</p>'
    if results.rows:
        yield f"<p>{len(results.rows)} rows: {escaped(counts)}. All numbers are in percent.</p>"


def _charts(results: Results) -> Iterator[str]:
    figures = list(filter(None, [_over_year(results), *_over_cost(results)]))
    if not figures:
        return
    yield "<h2>Charts</h2>"
    yield '<p><a href="#results">Skip to the table</a>. Each point leads to its row.</p>'
    yield _legend({row.kind for row in results.rows})
    yield f'<div class="charts">{"".join(figures)}</div>'
    if not results.ours:
        yield (
            '<p class="muted">There is no chart of mAP over cost: no record of ours is of this data set, and '
            "published rows do not state their cost.</p>"
        )


def _legend(kinds: Iterable[str]) -> str:
    items = []
    for kind, words in KINDS.items():
        if kind in kinds:
            diamond = '<path d="M7 1l6 6l-6 6l-6 -6z"/>'
            shape = diamond if kind in ("ours", "run") else '<circle cx="7" cy="7" r="5"/>'
            mark = f'<svg viewBox="0 0 14 14" aria-hidden="true" class="point {kind}">{shape}</svg>'
            items.append(f"<li>{mark} {escaped(words)}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'


def _over_year(results: Results) -> str:
    years = {row.id: row.row.facts.get("year") or 0 for row in results.rows if not row.files}
    known = [year for year in years.values() if year]
    if not known:
        return ""
    here = max(known) + 1  # our own rows stand in a place of their own
    ticks = [(float(year), str(year)) for year in range(min(known), here)]
    ticks += [(float(here), "here")] if results.ours else []
    if len(ticks) > 12:
        ticks = [(year, words if n % 2 == 0 else f"’{words[2:]}") for n, (year, words) in enumerate(ticks)]
    points = _points(results.rows, lambda row: here if row.files else years[row.id] or None, str)
    words = "mAP over the year of publication"
    without = sum(row.mean_ap is not None and not row.files and not years[row.id] for row in results.rows)
    more = f" {without} rows without a year are left out." if without else ""
    more += " “here”: our own." if results.ours else ""
    return _figure(
        words, chart.scatter(points, Axis("Year", ticks, spread=True), name="year", title=words), more
    )


def _over_cost(results: Results) -> Iterator[str]:
    costs: list[tuple[str, str, str, Callable[[SiteRow], float | None]]] = [
        (
            "seconds",
            "measured training time",
            "Seconds of training, all stages",
            lambda row: row.training_seconds,
        ),
        ("parameters", "number of parameters", "Parameters", lambda row: row.parameters),
    ]
    for name, words, axis, cost in costs:
        points = _points(results.ours, cost, lambda x: f"{x:,.0f} {name}")  # noqa: B023 (used at once)
        if not points:
            continue
        title = f"mAP over cost: {words}"
        machines = sorted({_machine(file.record) for row in results.ours for file in row.files})
        more = f" Measured on {'; '.join(machines)}; means over the seeds." if name == "seconds" else ""
        more += " Only our own rows: published ones do not state it."
        yield _figure(title, chart.scatter(points, Axis(axis), name=name, title=title), more)


def _machine(record: Mapping[str, object]) -> str:
    """The hardware of a record and its threads, as far as they are stated."""
    provenance = record["provenance"]
    facts = provenance if isinstance(provenance, dict) else {}
    hardware = str(facts.get("hardware") or "hardware that the record does not name")
    return f"{hardware}, {facts['threads']} thread(s)" if facts.get("threads") else hardware


def _points(
    rows: Iterable[SiteRow], x_of: Callable[[SiteRow], float | None], words: Callable[[float], str]
) -> list[Point]:
    points = []
    for row in rows:
        x, y = x_of(row), row.mean_ap
        if x is None or y is None:
            continue
        where = "ours" if row.files and words is str else words(x)
        setting = ", ".join(filter(None, [row.trunk, str(row.row.facts.get("input_size") or "")]))
        what = f"{row.name}{f' ({setting})' if setting else ''}, {where}, mAP {y:.1f}"
        points.append(Point(float(x), y, row.id, row.name, row.kind, what))
    return points


def _figure(title: str, svg: str, more: str) -> str:
    return f"<figure><figcaption><strong>{escaped(title)}.</strong>{escaped(more)}</figcaption>{svg}</figure>"


def _filters(results: Results) -> Iterator[str]:
    """The form of the filters; hidden until the script shows it, as it does nothing without."""
    rows = results.rows
    years = sorted({int(row.row.facts.get("year") or 0) for row in rows} - {0})
    selects = [
        _select("trunk", "Trunk", {row.trunk for row in rows}),
        _select("size", "Input size", {str(row.row.facts.get("input_size") or "") for row in rows}),
        _select("profile", "Profile", {row.row.facts["profile"] for row in rows}),
        _options("year", "Year", [(str(year), f"since {year}") for year in years[::-1]]),
        _select("selection", "Selection", {grid.selection(row) for row in rows}),
        _select("images", "Split", {row.images for row in rows}),
        _options("origin", "Origin", _origins(rows)),
    ]
    yield "<h2>Table</h2>"
    yield (
        "<p>Compare rows only if they have the same split, input size and rule of mAP; they judge a method "
        "only if they have the same trunk and pretraining, too. "
        '<span id="hint" hidden>The button ≈ of a row shows those comparable with it.</span></p>'
    )
    yield '<form id="filters" hidden aria-label="Filters of the table">'
    yield '<div><label for="f-text">Text in a row</label><input id="f-text" name="text" type="search"></div>'
    yield from filter(None, selects)
    yield '<div><button type="button" id="show-all">Show all</button></div></form>'
    yield f'<p class="status" id="status" role="status">{len(rows)} rows</p>'


def _origins(rows: Iterable[SiteRow]) -> list[tuple[str, str]]:
    there = {"ours" if row.files else "published" for row in rows}
    return [(origin, origin) for origin in ("ours", "published") if origin in there]


def _select(name: str, label: str, values: Iterable[str]) -> str:
    ordered = sorted(values, key=lambda v: (v == "", v.isdigit() and -int(v), v.casefold()))
    return _options(name, label, [(value, value or NOT_STATED) for value in ordered])


def _options(name: str, label: str, choices: Iterable[tuple[str, str]]) -> str:
    choices = list(choices)
    if len(choices) < 2:  # nothing to choose
        return ""
    options = "".join(f'<option value="{escaped(v)}">{escaped(words)}</option>' for v, words in choices)
    return (
        f'<div><label for="f-{name}">{label}</label><select id="f-{name}" name="{name}">'
        f'<option value="*">all</option>{options}</select></div>'
    )


def _sources(results: Results) -> Iterator[str]:
    yield "<h2>What the columns mean</h2><dl>"
    used = [name for name in profiles.PROFILES if any(r.row.facts["profile"] == name for r in results.rows)]
    for name in used:
        rules = escaped(profiles.describe(profiles.get_profile(name)))
        same = "" if rule_of_map(name) == name else f" Its mAP is that of {rule_of_map(name)}."
        yield f"<dt>profile {name}</dt><dd>{rules}.{same}</dd>"
    if any(row.row.facts["profile"] == NOT_KNOWN for row in results.rows):
        yield "<dt>profile not known</dt><dd>No source that was read says how the numbers are computed.</dd>"
    keys = {key.upper() for key in results.sources}  # explained below
    marks = {m: text for row in results.rows for m, text in row.row.marks.items() if m.upper() not in keys}
    yield from (f"<dt>{escaped(mark)}</dt><dd>{escaped(text)}.</dd>" for mark, text in sorted(marks.items()))
    if any(words == "chosen on test" for row in results.rows for _, words in grid.badges_of(row)):
        yield (
            "<dt>chosen on test</dt><dd>The number is of the epoch that was best on the test images, which "
            "makes it higher than without this choice.</dd>"
        )
    yield "</dl>"
    if results.sources:
        used_keys = {key for row in results.rows for key in (row.source, row.columns_from) if key}
        items = [_source(key, source) for key, source in results.sources.items() if key in used_keys]
        yield f'<h2>Sources</h2><ul class="sources">{"".join(items)}</ul>'
    if results.ours:
        folders = sorted({shown(file.path.parent) for row in results.ours for file in row.files})
        yield f"<p>Records of ours were read from {escaped(', '.join(folders))}.</p>"


def _source(key: str, source: Source) -> str:
    places = ", ".join(filter(None, [source.venue, source.table, f"p. {source.page}" if source.page else ""]))
    arxiv = f"https://arxiv.org/abs/{quote(source.arxiv)}" if source.arxiv else ""
    links = [_link(url, words) for url, words in ((arxiv, f"arXiv {source.arxiv}"), (source.url, "")) if url]
    text = f"{source.authors}, “{source.title}”, {places}"
    return (
        f'<li id="source-{escaped(quote(key))}"><strong>{escaped(key.upper())}</strong>: '
        + ", ".join([escaped(text), *links])
        + "</li>"
    )


def _link(url: str, words: str) -> str:
    """A link for a web address; any other text, such as `javascript:...`, stays text."""
    shown_words = escaped(words or url)
    return (
        f'<a href="{escaped(url)}">{shown_words}</a>'
        if url.startswith(("https://", "http://"))
        else shown_words
    )
