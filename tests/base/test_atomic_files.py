"""Atomic writes: the mode that the umask leaves, long names, devices, and nothing left behind."""

import os
from pathlib import Path

import pytest

from bench.base.atomic_files import write_atomically
from bench.base.errors import InputError


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_is_respected(umask: int, mode: int, tmp_path: Path):
    before = os.umask(umask)
    try:
        path = write_atomically(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == mode


def test_a_name_of_255_bytes_is_written_and_a_longer_one_refused(tmp_path: Path):
    longest = "ö" * 127 + "x"
    assert write_atomically(tmp_path / longest, "x").read_text() == "x"
    with pytest.raises(InputError, match=r"cannot write .*xx \(1 bytes\): File name too long"):
        write_atomically(tmp_path / f"{longest}x", "x")
    assert [path.name for path in tmp_path.iterdir()] == [longest]


def test_a_device_is_written_to_and_not_replaced():
    assert write_atomically(Path("/dev/null"), "x").is_char_device()


def test_text_that_is_not_unicode_is_refused_and_leaves_nothing(tmp_path: Path):
    with pytest.raises(InputError, match="cannot write .*a: a name in it is not Unicode text"):
        write_atomically(tmp_path / "a", "\udce9")
    assert not list(tmp_path.iterdir())
