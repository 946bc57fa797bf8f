"""Read predictions or labels that other programs wrote: matrices of images x labels, names and ids.

The file's suffix decides the format. `.safetensors`: the suite's own predictions file. `.npz`: any of the
arrays `logits`, `labels`, `label_names` and `ids`. `.npy`: one matrix. `.csv`, `.tsv`: label names in the
first line, optionally with a column of ids (`text_files`). `.parquet`: columns as in CSV. Any other suffix:
text, one image per line, numbers separated by blanks. Text may be compressed by gzip, as in `.csv.gz`.
No file is unpickled, and the format is never guessed from the values.
"""

import tokenize
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.base.errors import InputError
from bench.base.structured_files import reading
from bench.scoring import predictions, text_files
from bench.scoring.matrices import Array, is_matrix
from bench.scoring.matrix_file import MatrixFile, Role

Reader = Callable[[Path, Role], MatrixFile]

MOST_ENTRIES = 1 << 30  # of a Parquet file: a small one may hold many equal values
PANDAS_INDEX = "__index_level_0__"
TEXT_READERS: tuple[Reader, ...] = (text_files.read_csv, text_files.read_lines_of_numbers)
# First bytes of files that are not read, what they are, and what to do.
FOREIGN = {
    b"\x1f\x8b": ("compressed by gzip", "unpack it with gunzip, or name it .csv.gz"),
    b"BZh": ("compressed by bzip2", "unpack it with bunzip2"),
    b"\xfd7zXZ": ("compressed by xz", "unpack it with unxz"),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", "unpack it with unzstd"),
    b"PAR1": ("a Parquet file", "name it .parquet"),
    b"ARROW1": ("an Arrow file", "write it as CSV, with pandas: read_feather(FILE).to_csv(FILE.csv)"),
    b"\x89HDF": ("an HDF5 file", "write its matrices as .npz, with numpy.savez"),
    b"MATLAB": ("a MATLAB file", "write its matrices as .npz, with numpy.savez"),
    b"PK\x03\x04": ("a zip archive or a spreadsheet", "unpack it, or save the sheet as CSV"),
    b"\xd0\xcf\x11\xe0": ("a spreadsheet", "save the sheet as CSV"),
    b"\xff\xfe": ("UTF-16 text", "save it as UTF-8"),
    b"\xfe\xff": ("UTF-16 text", "save it as UTF-8"),
    b"\x80": ("a pickle, which may run any code", "write its matrices as .npz, with numpy.savez"),
}

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


def read_matrix_file(path: Path, role: Role) -> MatrixFile:
    """The file's contents, with the matrix of that role; InputError gives the position of an error."""
    with reading(path):
        read, is_packed = _reader(path)
        if not is_packed and read in TEXT_READERS:
            _refuse_foreign(path)
        file = read(path, role)
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


def _reader(path: Path) -> tuple[Reader, bool]:
    """(the function that reads the file, whether it is a text compressed by gzip)."""
    is_packed = path.suffix.lower() == ".gz"
    suffix = Path(path.stem).suffix if is_packed else path.suffix
    read = READERS.get(suffix.lower(), text_files.read_lines_of_numbers)
    if is_packed and read not in TEXT_READERS:
        raise InputError(f"{path} is compressed by gzip, which is read for text only; unpack it with gunzip")
    return read, is_packed


def _refuse_foreign(path: Path) -> None:
    """InputError if this is no text file, with what it is where its first bytes tell."""
    with path.open("rb") as file:
        start = file.read(1 << 16)
    for first, (kind, remedy) in FOREIGN.items():
        if start.startswith(first):
            raise InputError(f"{path} is {kind}, which is not read; {remedy}")
    if b"\0" in start or start.startswith(b"\x89"):
        raise InputError(f"{path} is not a text file; the suffixes of other formats are {', '.join(READERS)}")


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


def _read_parquet(path: Path, role: Role) -> MatrixFile:
    """One row for each image; ids as in CSV: in a column with a usual name, or in the index of pandas."""
    import pyarrow as pa  # noqa: PLC0415 (slow to import, needed only here)
    from pyarrow import parquet  # noqa: PLC0415 (as above)

    try:
        with parquet.ParquetFile(path) as file:
            if (entries := file.metadata.num_rows * file.metadata.num_columns) > MOST_ENTRIES:
                raise InputError(f"{path} has {entries:,} entries; at most {MOST_ENTRIES:,} are read")
            table = file.read()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a readable Parquet file: {str(error)[:200]}") from error
    columns = {name: table.column(number) for number, name in enumerate(table.column_names)}
    if len(columns) < table.num_columns:
        raise InputError(f"{path}: two columns have the same name")
    ids: tuple[str, ...] = ()
    for name in [name for name in columns if text_files.is_id_name(name, is_first=name == PANDAS_INDEX)]:
        values = tuple(map(str, columns[name].to_pylist()))
        if not _holds_numbers(columns[name]) or text_files.are_whole_and_distinct(values):
            ids = values
            del columns[name]
            break
    for name, column in columns.items():
        if not _holds_numbers(column):
            hint = "; if it names the images, call it id"
            raise InputError(f"{path}: column {name!r} holds {str(column.type)[:40]}, not numbers{hint}")
        if column.null_count:
            raise InputError(f"{path}: column {name!r} has {column.null_count:,} empty entries")
    matrix = np.array([column.to_numpy() for column in columns.values()]).T
    return MatrixFile(path, {role: matrix}, tuple(columns), ids)


def _holds_numbers(column: Any) -> bool:
    from pyarrow import types  # noqa: PLC0415 (as above)

    kind = column.type
    return bool(types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind))


READERS: dict[str, Reader] = {
    ".safetensors": _read_safetensors,
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".csv": text_files.read_csv,
    ".tsv": text_files.read_csv,
    ".parquet": _read_parquet,
}
