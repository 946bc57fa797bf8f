"""Unpacking archives: unsafe members are refused before anything is written; no file is partly written."""

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.base.errors import InputError
from bench.data import unpack

CONTENT = {"a.txt": b"first", "folder/b.bin": np.random.default_rng(0).bytes(5000), "folder/deep/c": b""}


def zipped(path: Path, content: dict[str, bytes], *, mode: int = stat.S_IFREG | 0o644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(zipfile.ZipInfo("folder/"), b"")
        for name, data in content.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            made.writestr(info, data, zipfile.ZIP_DEFLATED)
    return path


def tarred(path: Path, content: dict[str, bytes], *, kind: bytes = tarfile.REGTYPE, form: str = "w") -> Path:
    with tarfile.open(path, form) as made:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        made.addfile(folder)
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data), "/etc/passwd"
            made.addfile(info, io.BytesIO(data))
    return path


KINDS: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {
    "zip": zipped,
    "tar": tarred,
    "tar.gz": lambda path, content: tarred(path, content, form="w:gz"),
}


@pytest.fixture(params=KINDS)
def pack(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Makes an archive of one kind."""
    return lambda content: KINDS[request.param](tmp_path / f"a.{request.param}", content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "inside" / "folder"
    made.mkdir(parents=True)
    return made


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_are_unpacked_with_their_content(pack: Any, folder: Path):
    unpack.unpack(pack(CONTENT), folder)
    assert files(folder) == CONTENT


@pytest.mark.parametrize(
    "name", ["../escaped", "folder/../../escaped", "/opt/escaped", "..\\escaped", "C:\\escaped", "C:escaped"]
)
def test_a_member_outside_the_folder_is_refused_and_nothing_written(pack: Any, folder: Path, name: str):
    archive = pack({**CONTENT, name: b"x"})
    with pytest.raises(InputError, match="was not unpacked: its member '.*escaped' lies outside the folder"):
        unpack.unpack(archive, folder)
    assert files(folder.parent.parent) == {archive.name: archive.read_bytes()}


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_refused_and_nothing_written(
    tmp_path: Path, folder: Path, kind: bytes
):
    archive = tarred(tmp_path / "a.tar", {"a.txt": b""}, kind=kind)
    with pytest.raises(InputError, match="a.tar was not unpacked: its member 'a.txt' is a link or a device"):
        unpack.unpack(archive, folder)
    assert files(folder) == {}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_a_zip_are_refused_and_nothing_written(tmp_path: Path, folder: Path, kind: int):
    archive = zipped(tmp_path / "a.zip", {"a.txt": b"/etc/passwd"}, mode=kind | 0o777)
    with pytest.raises(InputError, match="a.zip was not unpacked: its member 'a.txt' is a link or a device"):
        unpack.unpack(archive, folder)
    assert files(folder) == {}


def test_a_link_in_the_folder_is_not_followed_to_the_outside(pack: Any, folder: Path, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (folder / "folder").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="lies outside the folder"):
        unpack.unpack(pack(CONTENT), folder)
    assert files(tmp_path / "elsewhere") == {}


def test_complete_files_are_kept_and_partial_files_are_replaced(pack: Any, folder: Path):
    (folder / "a.txt").write_bytes(b"12345")
    (folder / "folder").mkdir()
    (folder / "folder" / "b.bin").write_bytes(b"half")
    (folder / "folder" / ".b.bin.part").write_bytes(b"left by a process that was killed")
    unpack.unpack(pack(CONTENT), folder)
    assert files(folder) == {**CONTENT, "a.txt": b"12345"}


def test_an_archive_larger_than_the_free_space_is_refused_and_nothing_written(
    pack: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(unpack.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 5000})())
    with pytest.raises(InputError, match="unpacks to 5,005 bytes, but 5,000 are free in .*; free some space"):
        unpack.unpack(pack(CONTENT), folder)
    assert files(folder) == {}


def test_bytes_to_write_do_not_count_existing_files(pack: Any, folder: Path):
    archive = pack(CONTENT)
    assert unpack.bytes_to_write(archive, folder) == 5005
    (folder / "a.txt").write_bytes(CONTENT["a.txt"])
    assert unpack.bytes_to_write(archive, folder) == 5000
    unpack.unpack(archive, folder)
    assert unpack.bytes_to_write(archive, folder) == 0


def test_a_damaged_archive_is_named(pack: Any, folder: Path):
    archive = pack({"a": bytes(100_000), **CONTENT})
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 3])
    with pytest.raises(InputError, match=f"{archive.name} cannot be unpacked: "):
        unpack.unpack(archive, folder)


def test_a_flipped_bit_in_a_zip_is_detected_and_the_file_not_kept(tmp_path: Path, folder: Path):
    archive = zipped(tmp_path / "a.zip", CONTENT)
    content = bytearray(archive.read_bytes())
    content[content.index(b"folder/b.bin") + 600] ^= 1
    archive.write_bytes(content)
    with pytest.raises(InputError, match="a.zip cannot be unpacked: .*"):
        unpack.unpack(archive, folder)
    assert files(folder) == {"a.txt": b"first"}


def test_damage_in_a_compressed_tar_is_detected(tmp_path: Path, folder: Path):
    archive = KINDS["tar.gz"](tmp_path / "a.tar.gz", CONTENT)
    content = bytearray(archive.read_bytes())
    content[100:130] = bytes(30)
    archive.write_bytes(content)
    with pytest.raises(InputError, match="a.tar.gz cannot be unpacked: ") as caught:
        unpack.unpack(archive, folder)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_an_archive_is_named(tmp_path: Path, folder: Path):
    (tmp_path / "a.zip").write_bytes(b"<html>")
    with pytest.raises(InputError, match="a.zip cannot be unpacked: "):
        unpack.unpack(tmp_path / "a.zip", folder)


def test_a_path_that_cannot_be_written_is_named_with_its_size(pack: Any, folder: Path):
    (folder / "folder").write_bytes(b"a file where a folder is needed")
    with pytest.raises(
        InputError, match=r"cannot write .*folder/b.bin \(5,000 bytes\): (File exists|Not a dir)"
    ):
        unpack.unpack(pack(CONTENT), folder)
