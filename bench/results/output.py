"""What commands that print tables share: the forms, a file instead of the terminal, the words for a rule."""

from collections.abc import Callable
from pathlib import Path

from bench.base.atomic_files import write_atomically
from bench.base.cli import Parser
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


def add_options(parser: Parser) -> None:
    """`--format` and `--output`."""
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the table there instead")


def deliver(table: Table, *, form: str, output: Path | None) -> str:
    """What to print: the table or, once it is written to the file, where it is."""
    text = FORMATS[form](table)
    return f"written: {write_atomically(output, text)}\n" if output else text
