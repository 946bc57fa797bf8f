"""Read predictions or labels that other programs wrote: matrices of images x labels, names and ids.

The file's suffix decides the format. `.safetensors`: the suite's own predictions file. `.npz`: any of the
arrays `logits`, `labels`, `label_names` and `ids`. `.npy`: one matrix. `.csv`: label names in the first line,
optionally with a column `id`. Any other suffix: text, one image per line, numbers separated by blanks.
No file is unpickled, and the format is never guessed from the values.
"""

import csv
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bench.base.errors import InputError
from bench.scoring import predictions
from bench.scoring.matrices import Array, is_matrix

Role = Literal["logits", "labels"]
Cells = list[str]

# What numpy raises for damaged files. It parses headers as Python source, hence the syntax errors.
DAMAGED_FILE_ERRORS = (
    ValueError,
    EOFError,
    NotImplementedError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class MatrixFile:
    """The contents of a file; names (of labels), ids (of images) and dataset are empty if it has none.

    fields: in a text file, the number of the field that holds each column. first_line: the line of row 0.
    """

    path: Path
    matrices: Mapping[str, Array]
    names: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    dataset: str = ""
    fields: tuple[int, ...] = ()
    first_line: int = 1

    def entry_position(self, row: int, column: int) -> str:
        """The position of an entry, for messages: `PATH: line 3, column 2 (dog)`, or row and column."""
        name = f" ({self.names[column]})" if self.names else ""
        if self.fields:
            return f"{self.path}: line {row + self.first_line}, column {self.fields[column]}{name}"
        return f"{self.path}: row {row}, column {column}{name}, counted from 0"

    def header_position(self, column: int) -> str:
        """The position of a label's name, for messages."""
        if self.fields:
            return f"{self.path}: line 1, column {self.fields[column]}"
        return f"{self.path}: label_names[{column}]"


def read_matrix_file(path: Path, role: Role) -> MatrixFile:
    """The file's contents, with the matrix of that role; InputError gives the position of an error."""
    try:
        file = READERS.get(path.suffix.lower(), _read_text)(path, role)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    if role not in file.matrices:
        raise InputError(f"{path} has no array {role}; the names read are logits, labels, label_names, ids")
    for kind, matrix in file.matrices.items():
        _check_shape(file, kind, matrix)
    for column, name in enumerate(file.names):
        if not name:
            raise InputError(f"{file.header_position(column)}: the label has no name")
        if name in file.names[:column]:
            raise InputError(f"{file.header_position(column)}: two labels have the same name: {name!r}")
    return file


def _check_shape(file: MatrixFile, kind: str, matrix: Array) -> None:
    if not is_matrix(matrix):
        shape = f"shape {matrix.shape} and type {matrix.dtype}"
        raise InputError(f"{file.path}: {kind} have {shape}; give numbers, images x labels")
    lists = {"ids": (file.ids, matrix.shape[0]), "label names": (file.names, matrix.shape[1])}
    for list_name, (values, count) in lists.items():
        if values and len(values) != count:
            raise InputError(f"{file.path}: {len(values)} {list_name} for {kind} of shape {matrix.shape}")


def _read_safetensors(path: Path, _: Role) -> MatrixFile:
    contents = predictions.read_predictions(path)
    names, ids = (tuple(map(str, contents.facts.get(key, ()))) for key in ("label_names", "ids"))
    matrices: dict[str, Array] = {"logits": contents.logits_NC, "labels": contents.labels_NC}
    return MatrixFile(path, matrices, names, ids, str(contents.facts.get("dataset", "")))


def _read_npz(path: Path, _: Role) -> MatrixFile:
    keys = ("logits", "labels", "label_names", "ids")
    try:
        with path.open("rb") as file:  # given a path, numpy would not close a damaged archive
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise InputError(f"{path} is a single array without a name; rename the file to .npy")
            arrays = {key: archive[key] for key in keys if key in archive.files}
    except InputError:
        raise
    except DAMAGED_FILE_ERRORS as error:
        raise InputError(f"{path} is not a readable .npz file: {error}") from error
    names, ids = (_as_strings(path, key, arrays[key]) if key in arrays else () for key in keys[2:])
    return MatrixFile(path, {key: arrays[key] for key in keys[:2] if key in arrays}, names, ids)


def _as_strings(path: Path, key: str, array: Array) -> tuple[str, ...]:
    if array.ndim != 1 or array.dtype.kind not in "USiu":
        raise InputError(
            f"{path}: {key} have shape {array.shape} and type {array.dtype}; give a list of strings"
        )
    text = np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array
    return tuple(map(str, text.tolist()))


def _read_npy(path: Path, role: Role) -> MatrixFile:
    try:
        matrix = np.lib.format.open_memmap(path, mode="r")
    except DAMAGED_FILE_ERRORS as error:
        raise InputError(f"{path} is not a readable .npy file: {error}") from error
    return MatrixFile(path, {role: np.asarray(matrix)})


def _read_csv(path: Path, role: Role) -> MatrixFile:
    lines = csv.reader(_read_lines(path), strict=True)
    try:
        header, *rows = ([cell.strip() for cell in cells] for cells in lines)
    except csv.Error as error:
        raise InputError(f"{path}: line {lines.line_num}: {error}") from error
    for field, name in enumerate(header, start=1):
        if _is_fraction(name):
            raise InputError(
                f"{path}: line 1, column {field}: the first line must hold label names, not {name}"
            )
    fields = tuple(field for field, name in enumerate(header, start=1) if name != "id")
    matrix = _parse_numbers(path, rows, fields, first_line=2, width=len(header))
    ids = tuple(cells[header.index("id")] for cells in rows) if "id" in header else ()
    names = tuple(header[field - 1] for field in fields)
    return MatrixFile(path, {role: matrix}, names, ids, fields=fields, first_line=2)


def _read_text(path: Path, role: Role) -> MatrixFile:
    rows = [line.split() for line in _read_lines(path)]
    fields = tuple(range(1, len(rows[0]) + 1))
    matrix = _parse_numbers(path, rows, fields, first_line=1, width=len(fields))
    return MatrixFile(path, {role: matrix}, fields=fields)


READERS: dict[str, Callable[[Path, Role], MatrixFile]] = {
    ".safetensors": _read_safetensors,
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".csv": _read_csv,
}


def _read_lines(path: Path) -> list[str]:
    """The lines of a text file without the empty ones at its end."""
    try:
        text = path.read_text(encoding="utf-8-sig").rstrip()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not a text file; the suffixes of other formats are {', '.join(READERS)}"
        ) from error
    if not text:
        raise InputError(f"{path} is empty")
    return text.split("\n")


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
            raise InputError(f"{path}: {position}: {cells[field - 1]!r} is not a number") from error
    return matrix


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_fraction(text: str) -> bool:
    """Whether this is a number that cannot be meant as a label's name; whole numbers such as 7 can."""
    return _is_number(text) and not text.isdigit()
