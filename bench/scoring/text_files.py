"""Read predictions or labels from CSV and from text with one image per line, also compressed by gzip.

CSV: label names in the first line; columns are separated by commas, semicolons, tabs or `|`. Where they are
not separated by commas, numbers may have decimal commas. A column with a usual name of ids, such as `id`,
`ID`, `image`, `image_id` or `filename`, and a first column without a name, hold the ids of the images; unless
its values are numbers that cannot be ids, because they repeat or have decimals.
"""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.base.errors import InputError
from bench.base.structured_files import read_text
from bench.scoring.matrices import Array
from bench.scoring.matrix_file import MatrixFile, Role

Cells = list[str]

SEPARATORS = {",": "','", ";": "';'", "\t": "tabs", "|": "'|'"}
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
INDEX_NAMES = {"", "unnamed:0", "indexlevel0"}  # of a first column that pandas writes for its index
ID_NAMES = {
    *("id", "image", "imageid", "imagename", "imagepath", "img", "imgid", "imgname"),
    *("file", "fileid", "filename", "filepath", "path"),
}


def read_csv(path: Path, role: Role) -> MatrixFile:
    """The matrix of a CSV file with its label names, and ids if it has a column of them."""
    text = _read_lines(path)
    separator = _separator(text)
    lines = csv.reader(text, strict=True, delimiter=separator)
    try:
        header, *rows = ([cell.strip() for cell in cells] for cells in lines)
    except csv.Error as error:
        raise InputError(f"{path}: line {lines.line_num}: {error}") from error
    notes = () if separator == "," else (f"{path.name}: columns are separated by {SEPARATORS[separator]}.",)
    if separator != "," and _has_decimal_commas(rows):
        rows = [[_with_point(cell) for cell in cells] for cells in rows]
        notes = (*notes, f"{path.name}: numbers have decimal commas.")
    for field, name in enumerate(header, start=1):
        if _is_fraction(name):
            raise InputError(
                f"{path}: line 1, column {field}: the first line must hold label names, not {name}"
            )
    id_field = _id_field(header, rows)
    fields = tuple(field for field in range(1, len(header) + 1) if field != id_field)
    matrix = _parse_numbers(path, rows, fields, first_line=2, width=len(header))
    ids = tuple(cells[id_field - 1] for cells in rows) if id_field else ()
    names = tuple(header[field - 1] for field in fields)
    return MatrixFile(path, {role: matrix}, names, ids, fields=fields, first_line=2, notes=notes)


def read_lines_of_numbers(path: Path, role: Role) -> MatrixFile:
    """The matrix of a text file with one image per line and numbers separated by blanks."""
    rows = [line.split() for line in _read_lines(path)]
    fields = tuple(range(1, len(rows[0]) + 1))
    matrix = _parse_numbers(path, rows, fields, first_line=1, width=len(fields))
    return MatrixFile(path, {role: matrix}, fields=fields)


def _read_lines(path: Path) -> list[str]:
    """The lines of a text file without the empty ones at its end."""
    text = read_text(path).rstrip()
    if not text:
        raise InputError(f"{path} is empty")
    return text.split("\n")


def _separator(lines: Sequence[str]) -> str:
    """The separator that gives the first two lines the same number of cells, more than one; else a comma."""
    for separator in SEPARATORS:
        try:
            widths = {len(cells) for cells in csv.reader(lines[:2], delimiter=separator)}
        except csv.Error:
            return ","
        if len(widths) == 1 and widths != {1}:
            return separator
    return ","


def _has_decimal_commas(rows: Sequence[Cells]) -> bool:
    """Whether numbers have decimal commas, and none has a decimal point."""
    cells = [cell for row in rows for cell in row]
    has_comma = any(DECIMAL_COMMA.fullmatch(cell) for cell in cells)
    return has_comma and not any("." in cell and _is_number(cell) for cell in cells)


def _with_point(cell: str) -> str:
    return cell.replace(",", ".") if DECIMAL_COMMA.fullmatch(cell) else cell


def _id_field(header: Cells, rows: Sequence[Cells]) -> int | None:
    """The number of the column that holds ids, counted from 1: the first with a name of ids; None: none."""
    if "id" in header:
        return header.index("id") + 1
    for field, name in enumerate(header, start=1):
        if is_id_name(name, is_first=field == 1):
            values = [cells[field - 1] for cells in rows if len(cells) >= field]
            if not all(map(_is_number, values)) or are_whole_and_distinct(values):
                return field
    return None


def is_id_name(name: str, *, is_first: bool) -> bool:
    """Whether a column with this name is one of ids; a first one also if it is the index of pandas."""
    plain = re.sub(r"[\s_-]", "", name).lower()
    return plain in ID_NAMES or (is_first and plain in INDEX_NAMES)


def are_whole_and_distinct(values: Sequence[str]) -> bool:
    """Whether these numbers can be ids."""
    return len(values) > 1 and all(map(str.isdigit, values)) and len(set(values)) == len(values)


def _parse_numbers(
    path: Path, rows: Sequence[Cells], fields: Sequence[int], *, first_line: int, width: int
) -> Array:
    """The matrix of those fields; InputError gives line and column of an entry that is not a number."""
    matrix = np.empty((len(rows), len(fields)))
    for row, cells in enumerate(rows):
        if len(cells) != width:
            raise InputError(f"{path}: line {row + first_line} has {len(cells)} values, not {width}")
        try:
            matrix[row] = [float(cells[field - 1]) for field in fields]
        except ValueError as error:
            field = next(field for field in fields if not _is_number(cells[field - 1]))
            position = f"line {row + first_line}, column {field}"
            hint = _hint(cells[field - 1], first_line)
            raise InputError(f"{path}: {position}: {cells[field - 1]!r} is not a number{hint}") from error
    return matrix


def _hint(cell: str, first_line: int) -> str:
    """What to do about a cell that is not a number."""
    if first_line == 1 and any(mark in cell for mark in ",;|"):
        return "; save a file whose columns are separated by it as .csv, with a first line of label names"
    if DECIMAL_COMMA.fullmatch(cell):
        return "; write numbers with decimal points"
    if first_line == 2 and cell:
        return "; if the column names the images, call it id"
    return ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_fraction(text: str) -> bool:
    """Whether this is a number that cannot be meant as a label's name; whole numbers such as 7 can."""
    return _is_number(text) and not text.isdigit()
