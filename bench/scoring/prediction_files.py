"""Anybody's predictions or labels in a file -> matrices of images x labels, with names and ids if it has any.

The suffix says how a file is read: `.safetensors` is the suite's own predictions file; `.npz` has the arrays
`logits`, `labels`, `label_names` and `ids`, as many of them as there are; `.npy` is one matrix; `.csv` has
label names in its first line, among them perhaps a column `id`; anything else is text: one image a line,
numbers between blanks. Nothing is unpickled, and nothing is guessed from the values.
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

# A header of numpy's is read as Python: what is wrong with it comes as Python's own faults.
DAMAGED = (
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
    """What a file says; names of its labels, ids of its images, data set: empty where it does not say.

    fields: of a file of lines, the number of the field that holds each column; first_line: the line of row 0.
    """

    path: Path
    matrices: Mapping[str, Array]
    names: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    dataset: str = ""
    fields: tuple[int, ...] = ()
    first_line: int = 1

    def place(self, row: int, column: int) -> str:
        """Where an entry stands, as an editor or numpy counts: `line 3, column 2 (dog)`."""
        name = f" ({self.names[column]})" if self.names else ""
        if self.fields:
            return f"{self.path}: line {row + self.first_line}, column {self.fields[column]}{name}"
        return f"{self.path}: row {row}, column {column}{name}, counted from 0"

    def heading(self, column: int) -> str:
        """Where a label's name stands."""
        if self.fields:
            return f"{self.path}: line 1, column {self.fields[column]}"
        return f"{self.path}: label_names[{column}]"


def read_matrix_file(path: Path, role: Role) -> MatrixFile:
    """The file, with the matrix of that role; InputError names the place of what is wrong with it."""
    try:
        found = READERS.get(path.suffix.lower(), _text)(path, role)
    except OSError as fault:
        raise InputError(f"{path} cannot be read: {fault.strerror or fault}") from fault
    if role not in found.matrices:
        raise InputError(f"{path} has no array {role}; known are: logits, labels, label_names, ids")
    for kind, matrix in found.matrices.items():
        _check(found, kind, matrix)
    for column, name in enumerate(found.names):
        if name in found.names[:column] or not name:
            raise InputError(f"{found.heading(column)}: label names must be different: {name!r}")
    return found


def _check(found: MatrixFile, kind: str, matrix: Array) -> None:
    if not is_matrix(matrix):
        shape = f"shape {matrix.shape} and type {matrix.dtype}"
        raise InputError(f"{found.path}: {kind} have {shape}; numbers, images x labels, are expected")
    counts = {"ids": (found.ids, matrix.shape[0]), "label names": (found.names, matrix.shape[1])}
    for what, (values, count) in counts.items():
        if values and len(values) != count:
            raise InputError(f"{found.path}: {len(values)} {what} for {kind} of shape {matrix.shape}")


def _own(path: Path, _: Role) -> MatrixFile:
    found = predictions.read_predictions(path)
    names, ids = (tuple(map(str, found.facts.get(key, ()))) for key in ("label_names", "ids"))
    matrices: dict[str, Array] = {"logits": found.logits_NC, "labels": found.labels_NC}
    return MatrixFile(path, matrices, names, ids, str(found.facts.get("dataset", "")))


def _npz(path: Path, _: Role) -> MatrixFile:
    keys = ("logits", "labels", "label_names", "ids")
    try:
        with path.open("rb") as file:  # numpy leaves its own open where the archive is damaged
            found = np.load(file, allow_pickle=False)
            if isinstance(found, np.ndarray):
                raise InputError(f"{path} is one array without a name; call it .npy")
            arrays = {key: found[key] for key in keys if key in found.files}
    except InputError:
        raise
    except DAMAGED as fault:
        raise InputError(f"{path} is no .npz file that can be read: {fault}") from fault
    names, ids = (_strings(path, key, arrays[key]) if key in arrays else () for key in keys[2:])
    return MatrixFile(path, {key: arrays[key] for key in keys[:2] if key in arrays}, names, ids)


def _strings(path: Path, key: str, array: Array) -> tuple[str, ...]:
    if array.ndim != 1 or array.dtype.kind not in "USiu":
        raise InputError(
            f"{path}: {key} have shape {array.shape} and type {array.dtype}; give a list of texts"
        )
    text = np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array
    return tuple(map(str, text.tolist()))


def _npy(path: Path, role: Role) -> MatrixFile:
    try:
        matrix = np.lib.format.open_memmap(path, mode="r")
    except DAMAGED as fault:
        raise InputError(f"{path} is no .npy file that can be read: {fault}") from fault
    return MatrixFile(path, {role: np.asarray(matrix)})


def _csv(path: Path, role: Role) -> MatrixFile:
    lines = csv.reader(_lines(path), strict=True)
    try:
        header, *rows = ([cell.strip() for cell in cells] for cells in lines)
    except csv.Error as fault:
        raise InputError(f"{path}: line {lines.line_num}: {fault}") from fault
    for field, name in enumerate(header, start=1):
        if _is_fraction(name):
            raise InputError(f"{path}: line 1, column {field}: a label's name is expected, not {name}")
    fields = tuple(field for field, name in enumerate(header, start=1) if name != "id")
    matrix = _numbers(path, rows, fields, first_line=2, width=len(header))
    ids = tuple(cells[header.index("id")] for cells in rows) if "id" in header else ()
    names = tuple(header[field - 1] for field in fields)
    return MatrixFile(path, {role: matrix}, names, ids, fields=fields, first_line=2)


def _text(path: Path, role: Role) -> MatrixFile:
    rows = [line.split() for line in _lines(path)]
    fields = tuple(range(1, len(rows[0]) + 1))
    matrix = _numbers(path, rows, fields, first_line=1, width=len(fields))
    return MatrixFile(path, {role: matrix}, fields=fields)


READERS: dict[str, Callable[[Path, Role], MatrixFile]] = {
    ".safetensors": _own,
    ".npz": _npz,
    ".npy": _npy,
    ".csv": _csv,
}


def _lines(path: Path) -> list[str]:
    """The lines of a text file, but for empty ones at its end."""
    try:
        text = path.read_text(encoding="utf-8-sig").rstrip()
    except UnicodeDecodeError as fault:
        raise InputError(
            f"{path} is no text; other kinds of files are known as {', '.join(READERS)}"
        ) from fault
    if not text:
        raise InputError(f"{path} is empty")
    return text.split("\n")


def _numbers(
    path: Path, rows: Sequence[Cells], fields: Sequence[int], *, first_line: int, width: int
) -> Array:
    """The matrix of those fields; InputError names line and column of what is no number, or is not there."""
    matrix = np.empty((len(rows), len(fields)))
    for row, cells in enumerate(rows):
        if len(cells) != width:
            raise InputError(f"{path}: line {row + first_line} has {len(cells)} values, not {width}")
        try:
            matrix[row] = [float(cells[field - 1]) for field in fields]
        except ValueError as fault:
            field = next(field for field in fields if not _is_number(cells[field - 1]))
            place = f"line {row + first_line}, column {field}"
            raise InputError(f"{path}: {place}: {cells[field - 1]!r} is no number") from fault
    return matrix


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_fraction(text: str) -> bool:
    """A number that is not meant as a name, as 7 may be."""
    return _is_number(text) and not text.isdigit()
