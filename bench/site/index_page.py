"""The first page: what the suite is, how to begin, and the data sets with their best comparable rows."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from bench.base.html_document import document, escaped
from bench.site.grid import badges_of
from bench.site.rows import Results, SiteRow
from bench.site.style import STYLE

TITLE = "multilabel-bench"
MOST_GROUPS = 3
COMMANDS = """# train the SRN paper's methods on data that is made on the spot, and compare
pip install "nox[uv]" && nox -s reproduce-demo
# train one method, then set it beside the published rows
python -m bench.run --dataset demo --method srn --seeds 0,1,2 --table"""


def build(all_results: Sequence[Results]) -> str:
    """The page's HTML."""
    rows = [row for results in all_results for row in results.rows]
    printed = sum(not row.files for row in rows)
    sources = {str(source) for results in all_results for source in results.sources.values()}
    records = sum(len(row.files) for row in rows)
    cards = "\n".join(map(_card, sorted(all_results, key=lambda results: not results.rows)))
    about = (
        "A suite that trains, evaluates and compares multi-label image classifiers on equal terms: every "
        "number has a record that says which code, data, configuration and seed it comes from. "
        f"These pages set {records} records of ours beside {printed} rows from {len(sources)} published "
        "sources, and say which of them may be compared."
    )
    note = (
        "Best of: the highest mAP among rows with the same split, trunk, input size and rule of mAP. "
        "Rows that do not state all of these are on the data set's page."
    )
    parts = [
        f'<main><h1>{TITLE}</h1>\n<p class="lead">{escaped(about)}</p>',
        f"<h2>Begin</h2><pre>{escaped(COMMANDS)}</pre>",
        f'<h2>Data sets</h2>\n<div class="cards">{cards}</div>',
        f'<p class="muted">{escaped(note)}</p></main>',
    ]
    return document(f"{TITLE}: results", parts, style=STYLE)


def _card(results: Results) -> str:
    """A data set: its counts of rows, and the best row of the largest comparable groups."""
    link = f'<a href="datasets/{quote(results.name)}.html">{escaped(results.title)}</a>'
    ours, published = len(results.ours), len(results.rows) - len(results.ours)
    counted = [f"{published} published rows"] * bool(published) + [f"{ours} of ours"] * bool(ours)
    counts = ", ".join(counted) or "no results yet"
    best = "".join(_best(group, results) for group in _groups(results))
    return (
        f'<article><h3>{link}</h3><p class="muted">{escaped(results.summary)}</p>'
        f"<p>{counts}</p>{f'<ul>{best}</ul>' if best else ''}</article>"
    )


def _groups(results: Results) -> Iterator[list[SiteRow]]:
    """The largest groups of rows with the same split, input size, rule of mAP and trunk."""
    groups: dict[tuple[object, ...], list[SiteRow]] = defaultdict(list)
    for row in results.rows:
        if row.group and row.trunk and row.mean_ap is not None:
            groups[*row.group, row.trunk].append(row)
    largest = sorted(groups.values(), key=lambda rows: -len(rows))[:MOST_GROUPS]
    yield from (rows for rows in largest if len(rows) > 1)


def _best(group: Sequence[SiteRow], results: Results) -> str:
    best = group[0]  # the rows are in the order of mAP
    spread = best.row.lines.get("std", {}).get(("all", "mAP"))
    value = f"{best.mean_ap:.1f}" + (f" ± {spread:.1f}" if isinstance(spread, float) else "")
    images, size, rule = best.group or ("", 0, "")
    split = f" on {images}" if images != results.name else ""
    badges = "".join(f' <span class="badge {css}">{escaped(words)}</span>' for css, words in badges_of(best))
    where = f"best of {len(group)} with {best.trunk} at {size}{split}, mAP as {rule}"
    href = f"datasets/{quote(results.name)}.html#{best.id}"
    return (
        f'<li><a href="{href}">{escaped(best.name)} {value}</a>{badges}<br>\n'
        f'<span class="muted">{escaped(where)}</span></li>'
    )
