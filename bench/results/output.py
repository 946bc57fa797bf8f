"""What commands that print tables share: the forms, a file instead of the terminal, the words for a rule."""

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
    "forced": "top-3: an image's three labels of highest confidence, whatever it is",
    "thresholded": "top-3: of an image's three labels of highest confidence, those that are predicted",
}
