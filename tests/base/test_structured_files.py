"""Text, JSON and TOML files: read, or refused in one message that names the file."""

import gzip
import os
from pathlib import Path

import pytest

from bench.base.errors import InputError
from bench.base.structured_files import read_bytes, read_json, read_json_object, read_text, read_toml


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "a file"
    path.write_bytes(content)
    return path


def test_what_stores_were_made_of_is_read_alike_for_ever(tmp_path: Path):
    """Stores are not made again after an edit of this module (code_digest.EXEMPT_IN_READERS).

    If a value here must change, raise bench.data.manifest.LAYOUT.
    """
    text = " a\tb \nlène\n\n\x0c\u2028\x85c"
    content = f"\ufeff{text}".replace("\n", "\r\n", 2).encode()
    assert read_text(write(tmp_path, content)) == text
    (tmp_path / "a.gz").write_bytes(gzip.compress(content))
    assert read_text(tmp_path / "a.gz") == text
    written = b'{"a": 1, "a": [1.50, 1e2, 12345678901234567890, true, null, "\\u00e8\xc3\xa8"], "B": {}}'
    assert read_json(write(tmp_path, written)) == {
        "a": [1.5, 100.0, 12345678901234567890, True, None, "èè"],
        "B": {},
    }
    assert read_toml(write(tmp_path, b'a = [1, 1.5, "\\u00e8"]\n[b]\nc = true')) == {
        "a": [1, 1.5, "è"],
        "b": {"c": True},
    }


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfone\r\ntwo\n", b"one\rtwo\n", b"one\ntwo\n"])
def test_byte_order_marks_and_line_ends_do_not_matter(tmp_path: Path, content: bytes):
    assert read_text(write(tmp_path, content)) == "one\ntwo\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not JSON: "),
        (b"", "not JSON: "),
        (b'{"a": NaN}', "it holds NaN, which is no number in JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":\n"\xff"}', "line 2 is not UTF-8 text"),
        (b"[1]", "a JSON object is expected, not list"),
        (b"9" * 5000, "not JSON: "),
    ],
)
def test_what_is_no_json_object_is_refused_by_name(tmp_path: Path, content: bytes, reason: str):
    path = write(tmp_path, content)
    with pytest.raises(InputError) as refused:
        read_json_object(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a = ", "not TOML: "),
        (b".".join([b"a"] * 200_000) + b" = 1", "line 1: a key of more than 100 parts"),
        (b"[" + b".".join([b"a"] * 200_000) + b"]", "line 1: a key of more than 100 parts"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_toml_is_refused_at_once(tmp_path: Path, content: bytes, reason: str):
    with pytest.raises(InputError, match=reason):
        read_toml(write(tmp_path, content))


def test_a_sentence_with_many_dots_is_a_value_like_any_other(tmp_path: Path):
    assert read_toml(write(tmp_path, b'a = "' + b"." * 500 + b'"')) == {"a": "." * 500}


def test_a_pipe_a_device_a_folder_and_a_missing_file_are_told_apart(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, reason in (
        (pipe, "is a pipe or a device"),
        (Path("/dev/zero"), "is a pipe or a device"),
        (tmp_path, "is a folder"),
        (tmp_path / "none", "there is no such file"),
        (pipe / "below", "cannot be read: Not a directory"),
        (tmp_path / ("n" * 300), "cannot be read: File name too long"),
        (Path("zero\0byte"), "cannot be read: "),
    ):
        with pytest.raises(InputError) as refused:
            read_json(path)
        assert str(refused.value).startswith(f"{path}: {reason}")


def test_a_file_above_the_limit_is_not_read(tmp_path: Path):
    with pytest.raises(InputError, match="has 5 bytes; at most 4 are read"):
        read_bytes(write(tmp_path, b"12345"), largest=4)
