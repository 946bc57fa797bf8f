"""Read a CSV, TSV or semicolon table: its separator, its heading and the column that names the pictures.

The names of the pictures that are there decide; where they leave two readings, InputError names the option.
"""

import csv
import io
import re
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from bench.base import lists, structured_files
from bench.base.errors import InputError, unknown
from bench.data.own_pictures.picture_folder import PictureFolder, has_image_suffix

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
HEADING_WORDS = re.compile(
    r"(image|img|file|photo|picture)s?[ _]?(id|name|path|file)?|path|name|id", re.IGNORECASE
)
SAMPLE = 1000  # records from which separator and columns are found out
SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # first bytes of .xlsx and .ods, and of .xls
LONGEST_CELL = 1 << 27  # characters


@dataclass(frozen=True)
class TableOptions:
    """What the user says of a table; "" or (): find it out.

    Columns are given by their names in the heading, or by their numbers from 1. positive, negative, unknown:
    the texts of cells that mean so, "empty" for an empty one.
    """

    delimiter: str = ""
    header: str = ""
    layout: str = ""
    image_column: str = ""
    tags_column: str = ""
    label_columns: tuple[str, ...] = ()
    ignore_columns: tuple[str, ...] = ()
    group_column: str = ""
    split_column: str = ""
    tag_separator: str = ""
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table without its heading and its empty lines.

    lines: the number of each row's (last) line in the file. image: the column that names the pictures.
    """

    path: Path
    heading: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]
    image: int
    said: list[str] = field(default_factory=list)

    @property
    def width(self) -> int:
        """The number of columns; of a table without a heading, those of its longest row."""
        return len(self.heading) or max(map(len, self.rows))

    def column(self, given: str) -> int:
        """The index of a column given by name or number; InputError lists the columns."""
        if given in self.heading:
            if self.heading.count(given) > 1:
                raise InputError(f"{self.path}: {self.heading.count(given)} columns are called {given!r}")
            return self.heading.index(given)
        if given.isdecimal() and 1 <= int(given) <= self.width:
            return int(given) - 1
        raise unknown(f"column of {self.path}:", given, self.heading or map(str, range(1, self.width + 1)))

    def title(self, column: int) -> str:
        """A column as messages name it."""
        name = f" {self.heading[column]!r}" if column < len(self.heading) else ""
        return f"column {column + 1}{name}"

    def cells(self, column: int) -> list[str]:
        """A column's cells; "" where a row is too short."""
        return [row[column] if column < len(row) else "" for row in self.rows]


def read_table(path: Path, pictures: PictureFolder, options: TableOptions) -> Table:
    """The table in a UTF-8 file whose rows name pictures of the folder."""
    if structured_files.read_bytes(path).startswith(SPREADSHEETS):
        raise InputError(f"{path} is a spreadsheet or an archive; save the sheet as CSV (UTF-8)")
    text = structured_files.read_text(path)
    if "\0" in text:
        raise InputError(f"{path} cannot be read as text: it contains zero bytes; save it as UTF-8")
    if not text.strip():
        raise InputError(f"{path} is empty; it must have a row for every picture")
    delimiter = options.delimiter or _delimiter(path, text, pictures, options)
    records = _records(path, text, delimiter)
    rows, lines = [row for row, _ in records], [line for _, line in records]
    header = _given_header(rows[0], options)
    heading = tuple(rows[0]) if header else ()
    table = Table(path, heading, rows[bool(header) :], lines[bool(header) :], 0)
    image = _image_column(table, pictures, options)
    if header is None:
        header = _has_heading(path, rows, image, pictures)
        heading = tuple(rows[0]) if header else ()
    if not rows[header:]:
        raise InputError(f"{path} has a heading, but no row; it must have a row for every picture")
    table = Table(path, heading, rows[header:], lines[header:], image)
    known = "the first line is the heading" if header else "no heading"
    table.said.append(f"{delimiter} between columns; {known}; {table.title(image)} names the pictures")
    return table


def _parsed(text: str, delimiter: str) -> "csv.Reader":  # type: ignore[name-defined]
    csv.field_size_limit(LONGEST_CELL)
    return csv.reader(io.StringIO(text), delimiter=DELIMITERS[delimiter], skipinitialspace=True, strict=True)


def _records(path: Path, text: str, delimiter: str) -> list[tuple[list[str], int]]:
    """(cells without blanks around them, number of the line) of every record that is not empty."""
    reader = _parsed(text, delimiter)
    try:
        return [
            ([cell.strip() for cell in row], reader.line_num) for row in reader if any(map(str.strip, row))
        ]
    except csv.Error as error:
        raise InputError(
            f"{path}: line {reader.line_num} is not CSV: {error}; a cell that holds a quotation mark or the"
            ' separator stands in quotation marks, and the marks in it are doubled ("")'
        ) from error


def _delimiter(path: Path, text: str, pictures: PictureFolder, options: TableOptions) -> str:
    """The separator with which most rows have a cell that names a picture."""
    found: dict[str, int] = {}
    for name in DELIMITERS:
        try:
            rows = list(islice(_parsed(text, name), SAMPLE))
        except csv.Error:
            continue
        if any(len(row) > 1 for row in rows):
            found[name] = sum(any(pictures.has(cell) for cell in row) for row in rows if len(row) > 1)
    if not found:
        names = ", ".join(DELIMITERS)
        _records(path, text, "comma")  # says what is wrong with quotation marks, if they are the reason
        raise InputError(f"{path} has only one column; pictures and labels must be separated by: {names}")
    best = [name for name, hits in found.items() if hits == max(found.values())]
    if not max(found.values()):
        if options.image_column or len(best) == 1:
            return best[0]  # `_image_column` says what is wrong
        raise _no_picture(path, text.split("\n", 1)[0], pictures)
    if len(best) > 1:
        raise InputError(f"{path}: its columns may be separated by {' or '.join(best)}; say --delimiter NAME")
    return best[0]


def _no_picture(path: Path, example: str, pictures: PictureFolder) -> InputError:
    there = (
        f"as {pictures.images[0]!r}" if pictures.images else "but it has no file with the name of an image"
    )
    return InputError(
        f"{path} names no picture in {pictures.root}: its first line is {example[:80]!r}; names must be paths"
        f" in that folder, {there}; give the folder with --images DIR, or the column with --image-column NAME"
    )


def _given_header(first: list[str], options: TableOptions) -> bool | None:
    """Whether the first line is the heading as far as the options say so; None: they do not."""
    if options.header:
        return options.header == "yes"
    columns = (options.image_column, options.tags_column, options.group_column, options.split_column)
    named = {*columns, *options.label_columns, *options.ignore_columns} - {""}
    return True if any(name in first for name in named if not name.isdecimal()) else None


def _image_column(table: Table, pictures: PictureFolder, options: TableOptions) -> int:
    """The column with the most different names of pictures."""
    if options.image_column:
        return table.column(options.image_column)
    rows = table.rows[:SAMPLE] or [list(table.heading)]
    width = max(map(len, rows))
    hits = [
        sum(map(pictures.has, {row[column] for row in rows if column < len(row)})) for column in range(width)
    ]
    if not max(hits):
        raise _no_picture(table.path, ", ".join(rows[0]), pictures)
    best = [column for column in range(width) if 2 * hits[column] > max(hits)]
    if len(best) > 1:
        titles = " and ".join(table.title(column) for column in best)
        raise InputError(f"{table.path}: {titles} both name pictures; say which: --image-column NAME")
    return best[0]


def _has_heading(path: Path, rows: list[list[str]], image: int, pictures: PictureFolder) -> bool:
    """Whether the first row names no picture, but the column."""
    first = rows[0][image] if image < len(rows[0]) else ""
    if has_image_suffix(first) or pictures.has(first):
        return False
    others = [row[image] for row in rows[1:SAMPLE] if image < len(row)]
    if HEADING_WORDS.fullmatch(first) or any(map(has_image_suffix, others)):
        return True
    raise InputError(
        f"{path}: the first line, {lists.in_line(rows[0])}, may be a heading or a picture that is missing;"
        " say --header yes or --header no"
    )
