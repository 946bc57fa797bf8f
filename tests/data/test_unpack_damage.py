"""Archives with odd names, impossible sizes and damage in every compression: one line each, nothing hangs."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from bench.base.errors import InputError
from bench.data.unpack import unpack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def pax_record(key: str, value: str) -> bytes:
    """`length key=value`, where the length counts its own digits."""
    rest = f" {key}={value}\n".encode()
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def claiming(path: Path, size: str) -> Path:
    """A tar file whose member claims this size in a pax header."""
    record = pax_record("size", size)
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(record)
    member = tarfile.TarInfo("a.bin")
    member.size = 5
    padded = record + bytes(-len(record) % 512)
    path.write_bytes(header.tobuf() + padded + member.tobuf() + bytes(512) + bytes(1024))
    return path


class Unnamed(zipfile.ZipInfo):
    """A member whose name may be empty; zipfile itself asks for its last letter."""

    def is_dir(self) -> bool:
        return False


@pytest.mark.parametrize("name", ["", "."])
def test_a_member_without_a_name_is_refused(tmp_path: Path, folder: Path, name: str):
    info = Unnamed("b")
    info.filename = name
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(info, b"12345")
    with pytest.raises(InputError, match="a.zip was not unpacked: its member '.?' has no name"):
        unpack(tmp_path / "a.zip", folder)
    assert not any(folder.iterdir())


@pytest.mark.parametrize("size", ["-512", "1" + "0" * 17, "1" + "0" * 30, "9" * 4000])
def test_an_impossible_size_is_refused(tmp_path: Path, folder: Path, size: str):
    with pytest.raises(InputError, match=r"a.tar cannot be unpacked: the member 'a.bin' claims|unpacked: "):
        unpack(claiming(tmp_path / "a.tar", size), folder)
    assert not any(folder.iterdir())


def test_a_damaged_header_in_the_middle_is_not_taken_for_the_end(tmp_path: Path, folder: Path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as file:
        for name in ("a", "b", "c"):
            file.addfile(tarfile.TarInfo(name))
    content = bytearray(path.read_bytes())
    content[512] ^= 0xFF  # the first letter of the second member's name
    path.write_bytes(content)
    with pytest.raises(InputError, match="a.tar cannot be unpacked: the header of a member"):
        unpack(path, folder)
    assert not any(folder.iterdir())


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_damage_in_any_compression_is_named(tmp_path: Path, folder: Path, kind: str):
    path = tmp_path / f"a.tar.{kind}"
    with tarfile.open(path, f"w:{kind}") as file:  # type: ignore[call-overload]
        for name in ("a", "b", "c"):
            member = tarfile.TarInfo(name)
            member.size = 300_000
            file.addfile(member, io.BytesIO(os.urandom(member.size)))
    content = path.read_bytes()
    for start in (20, len(content) // 2, len(content) - 30):
        path.write_bytes(content[:start] + bytes(16) + content[start + 16 :])
        with pytest.raises(InputError, match=r"a.tar.* cannot be unpacked: \S") as caught:
            unpack(path, folder)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", [250, 255])
def test_the_longest_names_are_unpacked(tmp_path: Path, folder: Path, length: int):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("n" * length, b"12345")
    unpack(tmp_path / "a.zip", folder)
    assert (folder / ("n" * length)).read_bytes() == b"12345"


def test_a_name_longer_than_file_systems_take_is_named(tmp_path: Path, folder: Path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("n" * 300, b"12345")
    with pytest.raises(InputError, match="a.zip cannot be unpacked: .*File name too long"):
        unpack(tmp_path / "a.zip", folder)


def test_a_pipe_is_no_archive(tmp_path: Path, folder: Path):
    os.mkfifo(tmp_path / "a.zip")
    with pytest.raises(InputError, match="a.zip is not a file"):
        unpack(tmp_path / "a.zip", folder)
