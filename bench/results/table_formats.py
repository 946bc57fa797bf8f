"""The output formats of tables, and sentences that several tables share."""

from collections.abc import Callable

from bench.results.table_model import Table, as_csv, as_json
from bench.results.typeset import as_html, as_latex, as_markdown, as_text

FORMATS: dict[str, Callable[[Table], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "latex": as_latex,
    "csv": as_csv,
    "json": as_json,
    "html": as_html,
}

HARMONIC = "harmonic mean of P-C and R-C, not the mean of the classes' F1"
TOP3_RULES = {
    "forced": "top-3: the three highest-scoring labels of each image, whatever their scores",
    "thresholded": "top-3: of the three highest-scoring labels of each image, those above the threshold",
}
