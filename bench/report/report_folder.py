"""Write a report's folder: `index.html`, and in `figures/` the figures and the table as files."""

from pathlib import Path

from bench.base.atomic_files import write_atomically
from bench.report import figure, html_page, sections
from bench.report.evidence import Evidence, run_name
from bench.report.sections import Sources
from bench.results import comparison_table
from bench.results.table_model import as_csv, as_json


def write(evidence: Evidence, sources: Sources, folder: Path) -> Path:
    """Write the report; returns the path of its page."""
    figures = folder / "figures"
    table = comparison_table.build_table(evidence.card.name, evidence.folder.path)
    # Written before the slow parts, so that a folder that cannot be written is reported at once.
    write_atomically(figures / "table.csv", as_csv(table))
    write_atomically(figures / "table.json", as_json(table))
    content = sections.collect(evidence, sources)
    drawn_figures = [figure.draw(report_figure) for report_figure in content.figures]
    for drawn in drawn_figures:
        figure.write(drawn, figures)
    text = html_page.build(
        _title(evidence),
        headline=content.headline,
        table=table,
        drawn_figures=drawn_figures,
        missing=content.missing,
    )
    return write_atomically(folder / "index.html", text)


def _title(evidence: Evidence) -> str:
    if evidence.subject is None:
        return f"{evidence.card.title}: results"
    return f"{evidence.card.title}: does {run_name(evidence.subject)} help, where, and why?"
