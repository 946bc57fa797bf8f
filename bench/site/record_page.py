"""The page of one row of ours: its seeds, numbers, configuration, data, versions and hardware."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from bench.base.html_document import document, escaped
from bench.base.protocol import Column, column_name
from bench.results.record import file_name, metric_values, shown
from bench.site.records import RecordFile
from bench.site.rows import KINDS, Results, SiteRow
from bench.site.style import STYLE

UP = "../../"  # from a page in ORIGIN/DATA SET/ to the site's folder


def build(row: SiteRow, results: Results) -> str:
    """The page's HTML."""
    title = f"{row.name} on {results.title}"
    first = row.files[0].record
    marks = "".join(f"<li>{escaped(f'{mark}: {text}')}.</li>" for mark, text in row.row.marks.items())
    parts = [
        _way_back(row, results),
        f"<main><h1>{escaped(title)}</h1>",
        f'<p class="lead">{escaped(_summary(row))}</p>',
        f"<ul>{marks}</ul>" if marks else "",
        "<h2>Numbers</h2>",
        *_numbers(row, results),
        "<h2>Seeds</h2>",
        *(_seed(file) for file in row.files),
        "<h2>Configuration</h2>",
        _list({"method": first["method"], "changed": first["variant"] or "nothing", **first["recipe"]}),
        "<h2>Data and model</h2>",
        _list(
            {
                "data set": first["dataset"],
                "images": first["images"],
                **first["data"],
                "protocol": first["protocol"],
                "parameters": first["parameters"],
                "epochs": first["epochs"],
            }
        ),
        "</main>",
    ]
    return document(title, filter(None, parts), style=STYLE)


def _way_back(row: SiteRow, results: Results) -> str:
    page = f"{UP}datasets/{quote(results.name)}.html#{row.id}"
    link = f'<a href="{page}">{escaped(results.title)}</a>'
    return f'<nav><a href="{UP}index.html">All data sets</a> › {link}</nav>'


def _summary(row: SiteRow) -> str:
    n = len(row.files)
    spread = row.row.lines.get("std", {}).get(("all", "mAP"))
    value = f"mAP {row.mean_ap:.2f}" if row.mean_ap is not None else "no mAP"
    more = f" ± {spread:.2f} (standard deviation over the seeds)" if isinstance(spread, float) else ""
    origin = shown(row.files[0].path.parent)
    return f"{value}{more}, {n} seed{'s' if n > 1 else ''}; {KINDS[row.kind]}: records of {origin}."


def _numbers(row: SiteRow, results: Results) -> Iterator[str]:
    """The metrics of every profile, a line for each seed."""
    heads = "".join(f'<th scope="col">{escaped(column_name(column))}</th>' for column in results.columns)
    yield '<div class="scroll frame" tabindex="0" role="region" aria-label="Numbers of every seed"><table>'
    yield f'<thead><tr><th scope="col">profile</th><th scope="col">seed</th>{heads}</tr></thead><tbody>'
    for profile in row.files[0].record["metrics"]:
        for file in row.files:
            if profile in file.record["metrics"]:
                values = metric_values(file.record, profile)
                cells = "".join(f"<td>{_number(values, column)}</td>" for column in results.columns)
                head = f'<th scope="row">{escaped(profile)}</th><td>{file.record["seed"]}</td>'
                yield f"<tr>{head}{cells}</tr>"
    yield "</tbody></table></div>"


def _number(values: Mapping[Column, float], column: Column) -> str:
    return f"{values[column]:.2f}" if column in values else "–"


def _seed(file: RecordFile) -> str:
    """What is the seed's own: key, commit, versions, hardware, seconds, and the record as JSON."""
    record = file.record
    link = f'<a href="{quote(file_name(record))}">{escaped(file_name(record))}</a>'
    facts = {
        "key": record["key"],
        **record["provenance"],
        **({"execution": record["execution"]} if "execution" in record else {}),
        "timing": record["timing"],
    }
    heading = f'<h3 id="seed-{record["seed"]}">Seed {record["seed"]}</h3>'
    return f"{heading}<p>The whole record: {link}</p>{_list(facts)}"


def _list(facts: Mapping[str, Any]) -> str:
    items = "".join(
        f"<dt>{escaped(name)}</dt><dd>{escaped(_words(value))}</dd>" for name, value in facts.items()
    )
    return f"<dl>{items}</dl>"


def _words(value: Any) -> str:
    """A value of JSON in one line: objects as `name: value`, joined by semicolons."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_words(inner)}" for name, inner in value.items()) or "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
