"""Matrix files of other programs: each format gives the same matrix; errors give their position."""

import gzip
import io
import pickle

import numpy as np
import pyarrow.parquet
import pytest

from bench.base import structured_files
from bench.base.errors import InputError
from bench.scoring import prediction_files, predictions
from bench.scoring.predictions import Predictions
from tests.scoring.test_predictions import Trap

LOGITS = np.array([[0.5, -1.25, 3.0], [2.0, 0.0, -0.75]])
NAMES, IDS = ("cat", "dog", "größer"), ("a.jpg", "b.jpg")


def text(matrix=LOGITS):
    return "".join(" ".join(f"{value:.6f}" for value in row) + "\n" for row in matrix)


def table(*, header="id,cat,dog,größer", matrix=LOGITS):
    rows = [f"{name}," + ",".join(map(str, row)) for name, row in zip(IDS, matrix, strict=True)]
    return "\n".join([header, *rows]) + "\n"


def write(folder, name):
    """LOGITS in the form that the name's suffix stands for, with names and ids where it has room."""
    path = folder / name
    if path.suffix == ".npz":
        np.savez(path, logits=LOGITS, label_names=np.array(NAMES), ids=np.array(IDS), more=np.zeros(9))
    elif path.suffix == ".npy":
        np.save(path, LOGITS)
    elif path.suffix == ".safetensors":
        facts = {"label_names": NAMES, "ids": IDS, "dataset": "demo"}
        labels = np.zeros(LOGITS.shape, np.int8)
        predictions.write_predictions(path, Predictions(LOGITS.astype(np.float32), labels, facts))
    else:
        path.write_text(table() if path.suffix == ".csv" else text(), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["p.npz", "p.npy", "p.csv", "p.txt", "scores", "P.CSV", "p.safetensors"])
def test_every_form_holds_the_same_matrix(name, tmp_path):
    path = write(tmp_path, name) if name != "P.CSV" else write(tmp_path, "p.csv").rename(tmp_path / name)
    found = prediction_files.read_matrix_file(path, "logits")
    assert found.matrices["logits"].tolist() == LOGITS.tolist()
    has_names = path.suffix.lower() in (".npz", ".csv", ".safetensors")
    assert (found.names, found.ids) == ((NAMES, IDS) if has_names else ((), ()))
    assert found.dataset == ("demo" if path.suffix == ".safetensors" else "")


def test_ids_and_names_may_be_numbers_or_bytes(tmp_path):
    np.savez(tmp_path / "p.npz", logits=LOGITS, ids=[7, 8], label_names=np.array([b"a", b"b", b"c"]))
    found = prediction_files.read_matrix_file(tmp_path / "p.npz", "logits")
    assert (found.ids, found.names) == (("7", "8"), ("a", "b", "c"))


def test_a_spreadsheets_mark_and_line_ends_and_empty_last_lines_do_no_harm(tmp_path):
    content = "\ufeff" + table().replace("\n", "\r\n") + "\r\n\r\n"
    (tmp_path / "p.csv").write_bytes(content.encode())
    found = prediction_files.read_matrix_file(tmp_path / "p.csv", "logits")
    assert found.names == NAMES
    assert found.matrices["logits"].tolist() == LOGITS.tolist()


def test_the_id_column_may_stand_anywhere_and_places_are_those_of_the_file(tmp_path):
    (tmp_path / "p.csv").write_text("cat,id,dog\n1,x,2\n3,y,4\n", encoding="utf-8")
    found = prediction_files.read_matrix_file(tmp_path / "p.csv", "logits")
    assert (found.names, found.ids) == (("cat", "dog"), ("x", "y"))
    assert found.entry_position(1, 1) == f"{tmp_path}/p.csv: line 3, column 3 (dog)"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("1 2\n3 x\n", "line 2, column 2: 'x' is not a number"),
        ("1 2\n3\n", "line 2 has 1 values, not 2"),
        ("1 2\n\n3 4\n", "line 2 has 0 values, not 2"),
        ("1,2\n", "line 1, column 1: '1,2' is not a number"),
        ("cat dog\n1 2\n", "line 1, column 1: 'cat' is not a number"),
    ],
)
def test_damaged_text_is_named_by_line_and_column(content, message, tmp_path):
    (tmp_path / "p.txt").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=f"p.txt.* {message}"):
        prediction_files.read_matrix_file(tmp_path / "p.txt", "logits")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "p.csv is empty"),
        ("cat,dog\n", r"p.csv: logits have shape \(0, 2\) and type float64; give numbers, images x labels"),
        ("id\n1\n", r"p.csv: logits have shape \(1, 0\)"),
        ("cat,dog\n1,\n", "p.csv: line 2, column 2: '' is not a number"),
        ("cat,dog\n1,2,3\n", "p.csv: line 2 has 3 values, not 2"),
        ("cat,cat\n1,2\n", "p.csv: line 1, column 2: two labels have the same name: 'cat'"),
        ("cat,\n1,2\n", "p.csv: line 1, column 2: the label has no name"),
        ("0.5,-1.5\n1,2\n", "p.csv: line 1, column 1: the first line must hold label names, not 0.5"),
        ('cat,dog\n"1,2\n', "p.csv: line 2: unexpected end of data"),
    ],
)
def test_a_damaged_csv_is_named_by_line_and_column(content, message, tmp_path):
    (tmp_path / "p.csv").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        prediction_files.read_matrix_file(tmp_path / "p.csv", "logits")


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.npz", b"", "p.npz is not a readable .npz file: "),
        ("p.npz", b"x" * 50, "p.npz is not a readable .npz file: "),
        ("p.npz", npz(logits=LOGITS)[:-30], "p.npz is not a readable .npz file: "),
        ("p.npz", npz(logits=LOGITS).replace(b"\x00\x00\xe0?", b"\x00\x00\xe1?"), "Bad CRC-32"),
        ("p.npz", pickle.dumps(Trap()), "p.npz is not a readable .npz file: .*pickle"),
        ("p.npz", npy(LOGITS), "p.npz is a single array without a name; rename the file to .npy"),
        ("p.npz", npz(scores=LOGITS), "p.npz has no array logits; the names read are logits, labels"),
        ("p.npz", npz(labels=LOGITS), "p.npz has no array logits; the names read are logits, labels"),
        ("p.npz", npz(logits=LOGITS[0]), r"p.npz: logits have shape \(3,\) and type float64"),
        ("p.npz", npz(logits=LOGITS.astype(str)), "p.npz: logits have shape .2, 3. and type <U32"),
        ("p.npz", npz(logits=LOGITS, ids=["a"]), r"p.npz: 1 ids for logits of shape \(2, 3\)"),
        ("p.npz", npz(logits=LOGITS, label_names=["a", "b"]), "p.npz: 2 label names for logits of shape"),
        (
            "p.npz",
            npz(logits=LOGITS, label_names=list("aba")),
            r"p.npz: label_names\[2\]: two labels .*: 'a'",
        ),
        (
            "p.npz",
            npz(logits=LOGITS, ids=LOGITS),
            "p.npz: ids have shape .2, 3. and type float64; give a list",
        ),
        (
            "p.npz",
            npz(logits=LOGITS, ids=np.array(["a", None])),
            "p.npz is not a readable .npz .*allow_pickle=False",
        ),
        ("p.npy", b"", "p.npy is not a readable .npy file: "),
        ("p.npy", npy(LOGITS)[:-1], "p.npy is not a readable .npy file: "),
        ("p.npy", npy(np.array([Trap()])), "p.npy is not a readable .npy file: "),
        ("p.npy", npy(LOGITS * 1j), r"p.npy: logits have shape \(2, 3\) and type complex128"),
        (
            "p.png",
            b"\x89PNG\r\n",
            "p.png is not a text file; the suffixes of other formats are .safetensors, .npz",
        ),
        ("p.safetensors", b"", "p.safetensors is not a predictions file"),
    ],
)
def test_damaged_files_are_refused_with_the_reason_and_nothing_is_executed(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        prediction_files.read_matrix_file(tmp_path / name, "logits")


@pytest.mark.parametrize("suffix", ["npz", "npy", "csv", "txt"])
def test_a_file_that_is_not_there_is_named(suffix, tmp_path):
    with pytest.raises(
        InputError, match=rf"p.{suffix}(:| cannot be read:) (there is no such file|No such file or directory)"
    ):
        prediction_files.read_matrix_file(tmp_path / f"p.{suffix}", "logits")


def test_places_in_arrays_are_counted_as_numpy_counts(tmp_path):
    found = prediction_files.read_matrix_file(write(tmp_path, "p.npz"), "logits")
    assert found.entry_position(1, 2) == f"{tmp_path}/p.npz: row 1, column 2 (größer), counted from 0"
    assert found.header_position(1) == f"{tmp_path}/p.npz: label_names[1]"


def test_a_npy_file_whose_header_is_damaged_is_refused_in_a_line(tmp_path):
    """numpy reads it as Python, and fails as Python does."""
    path = tmp_path / "p.npy"
    np.save(path, np.array(LOGITS, np.float32))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b")", b" ", 1))
    with pytest.raises(InputError, match=r"p.npy is not a readable .npy file"):
        prediction_files.read_matrix_file(path, "logits")


@pytest.mark.parametrize(
    "name", ["ID", "image", "Image_ID", "file name", "filename", "", "Unnamed: 0", "path"]
)
def test_a_column_with_a_usual_name_of_ids_or_an_index_holds_ids(name, tmp_path):
    (tmp_path / "p.csv").write_text(f"{name},cat,dog\nx.jpg,1,2\ny.jpg,3,4\n", encoding="utf-8")
    found = prediction_files.read_matrix_file(tmp_path / "p.csv", "logits")
    assert (found.names, found.ids) == (("cat", "dog"), ("x.jpg", "y.jpg"))


def test_a_label_with_such_a_name_stays_a_label_as_its_values_show(tmp_path):
    (tmp_path / "p.csv").write_text("path,dog\n0,1\n0,1\n", encoding="utf-8")
    assert prediction_files.read_matrix_file(tmp_path / "p.csv", "labels").names == ("path", "dog")
    (tmp_path / "p.csv").write_text("path,dog\n0.5,1\n-2,1\n", encoding="utf-8")
    assert prediction_files.read_matrix_file(tmp_path / "p.csv", "logits").names == ("path", "dog")


@pytest.mark.parametrize(
    ("name", "content", "notes"),
    [
        ("p.csv", "id;cat;dog\na;1.5;0\nb;-2;3\n", ["columns are separated by ';'."]),
        (
            "p.csv",
            "id;cat;dog\na;1,5;0\nb;-2;3\n",
            ["columns are separated by ';'.", "numbers have decimal commas."],
        ),
        ("p.csv", "id\tcat\tdog\na\t1.5\t0\nb\t-2\t3\n", ["columns are separated by tabs."]),
        ("p.tsv", "id\tcat\tdog\na\t1,5\t0\nb\t-2\t3\n", None),
        ("p.csv", 'id,cat,dog\na,"1.5",0\nb,-2,3\n', []),
    ],
)
def test_other_separators_and_decimal_commas_are_read_and_said(name, content, notes, tmp_path):
    (tmp_path / name).write_text(content, encoding="utf-8")
    found = prediction_files.read_matrix_file(tmp_path / name, "logits")
    assert found.matrices["logits"].tolist() == [[1.5, 0], [-2, 3]]
    assert (found.names, found.ids) == (("cat", "dog"), ("a", "b"))
    assert notes is None or list(found.notes) == [f"{name}: {note}" for note in notes]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "p.csv.gz",
            b"\x1f\x8b\x08\0",
            "p.csv.gz: not a readable gzip file: Compressed file ended",
        ),
        ("p.csv", b"\x1f\x8b\x08\0", "p.csv is compressed by gzip, which is not read; .* name it .csv.gz"),
        (
            "p.npz.gz",
            b"\x1f\x8b\x08\0",
            "p.npz.gz is compressed by gzip, which is read for text only",
        ),
        ("p.tsv.gz", b"a,b\n", "p.tsv.gz: not a readable gzip file: Not a gzipped file"),
        ("p.csv", b"PAR1\0\0", "p.csv is a Parquet file, which is not read; name it .parquet"),
        ("p.parquet", b"PAR1\0\0", "p.parquet is not a readable Parquet file: "),
        ("p.parquet", b"", "p.parquet is not a readable Parquet file: "),
        ("p.xlsx", b"PK\x03\x04\0", "p.xlsx is a zip archive or a spreadsheet, .* save the sheet as CSV"),
        ("p.csv", "a,b\n1,2\n".encode("utf-16"), "p.csv is UTF-16 text, which is not read; save it as UTF-8"),
        ("p.pkl", pickle.dumps(Trap()), "p.pkl is a pickle"),
        ("p.csv", b"cat;dog\n1.5;0,5\n", "'0,5' is not a number; write numbers with decimal points"),
        (
            "p.csv",
            b"picture,dog\nx.jpg,1\n",
            "'x.jpg' is not a number; if the column names the images, call it id",
        ),
        ("p.txt", b"1;2\n3;4\n", "'1;2' is not a number; save a file whose columns .* as .csv"),
    ],
)
def test_what_is_not_read_is_named_with_a_remedy(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        prediction_files.read_matrix_file(tmp_path / name, "logits")


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    with pytest.raises(InputError, match="is a folder; a file is expected"):
        prediction_files.read_matrix_file(tmp_path, "logits")


@pytest.mark.parametrize("name", ["p.csv.gz", "p.TSV.GZ", "p.txt.gz"])
def test_text_compressed_by_gzip_is_read(name, tmp_path):
    separator = {"p.csv.gz": ",", "p.TSV.GZ": "\t", "p.txt.gz": " "}[name]
    lines = ["1.5 0", "-2 3"] if name == "p.txt.gz" else ["id cat dog", "a 1.5 0", "b -2 3"]
    (tmp_path / name).write_bytes(gzip.compress("\n".join(lines).replace(" ", separator).encode()))
    found = prediction_files.read_matrix_file(tmp_path / name, "logits")
    assert found.matrices["logits"].tolist() == [[1.5, 0], [-2, 3]]
    assert found.ids == (() if name == "p.txt.gz" else ("a", "b"))


def test_a_gzip_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(structured_files, "LARGEST_UNPACKED", 1000)
    (tmp_path / "p.csv.gz").write_bytes(gzip.compress(b"1" * 1001))
    with pytest.raises(InputError, match="has more than 1,000 bytes when unpacked"):
        prediction_files.read_matrix_file(tmp_path / "p.csv.gz", "logits")


NUMBERS = {"cat": np.array([1.5, -2], np.float32), "dog": [0, 3], "pig": [True, False]}


@pytest.mark.parametrize(
    ("columns", "ids"),
    [
        ({"image": ["a", "b"], **NUMBERS}, ("a", "b")),
        ({**NUMBERS, "__index_level_0__": ["a", "b"]}, ("a", "b")),
        ({"image_id": [7, 5], **NUMBERS}, ("7", "5")),
        (NUMBERS, ()),
    ],
)
def test_parquet_is_read_as_csv_is(columns, ids, tmp_path):
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "p.parquet")
    found = prediction_files.read_matrix_file(tmp_path / "p.parquet", "logits")
    assert found.matrices["logits"].tolist() == [[1.5, 0, 1], [-2, 3, 0]]
    assert (found.names, found.ids) == (("cat", "dog", "pig"), ids)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"picture": ["a", "b"], **NUMBERS},
            "column 'picture' holds string, not numbers; if it names",
        ),
        ({"cat": [1.0, None]}, "column 'cat' has 1 empty entries"),
        ({"cat": [[1.0], [2.0]]}, "column 'cat' holds list<"),
        ({"id": ["a", "b"]}, "give numbers, images x labels"),
    ],
)
def test_parquet_that_is_no_matrix_is_refused(columns, message, tmp_path):
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "p.parquet")
    with pytest.raises(InputError, match=message):
        prediction_files.read_matrix_file(tmp_path / "p.parquet", "logits")


@pytest.mark.parametrize("suffix", ["csv", "npz", "npy", "safetensors", "parquet", "txt", "csv.gz"])
def test_a_zero_byte_in_a_name_is_one_line(suffix, tmp_path):
    with pytest.raises(InputError, match="cannot be read: embedded null byte") as told:
        prediction_files.read_matrix_file(tmp_path / f"a\0b.{suffix}", "logits")
    assert "\n" not in str(told.value)
