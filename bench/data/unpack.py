"""Unpack an archive (zip or tar) so that nothing leaves the folder and no file is ever half there."""

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bench.base.errors import InputError
from bench.base.progress import Meter

CHUNK = 1 << 20
FAULTS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # a way of packing that zipfile does not know
    RuntimeError,  # zipfile wants a password
)


@dataclass(frozen=True)
class Member:
    """A file in an archive; `is_plain` is false for links, devices and whatever else is no content."""

    name: str
    size: int
    is_plain: bool
    open: Callable[[], Any]


def unpack(archive: Path, folder: Path) -> None:
    """Put the archive's files into the folder; those that are there with their size already are left alone.

    Raises InputError, before anything is written, for a member that leads out of the folder, a link or a
    device, and where the disk is too small; and for an archive that is damaged.
    """
    with _targets(archive, folder) as targets:
        todo = [(member, path) for member, path in targets if not _is_there(member, path)]
        total, need, free = _bytes(targets), _bytes(todo), shutil.disk_usage(folder).free
        if need > free:
            raise InputError(f"{archive} unpacks to {need:,} bytes; {free:,} are free in {folder}")
        with Meter(f"unpack {archive.name}", total=total, unit="B", done=total - need) as meter:
            for member, path in todo:
                _write(member, path)
                meter.add(member.size)


def left(archive: Path, folder: Path) -> int:
    """How many bytes `unpack` would write now; raises its InputError where it would refuse."""
    with _targets(archive, folder) as targets:
        return _bytes([(member, path) for member, path in targets if not _is_there(member, path)])


def _bytes(targets: list[tuple[Member, Path]]) -> int:
    return sum(member.size for member, _ in targets)


@contextmanager
def _targets(archive: Path, folder: Path) -> Iterator[list[tuple[Member, Path]]]:
    """The archive's members and where they go; what is wrong with it, even later, is an InputError."""
    try:
        with _members(archive) as members:
            yield [(member, _target(member, archive, folder)) for member in members]
    except FAULTS as fault:
        raise InputError(f"{archive} cannot be unpacked: {' '.join(str(fault).split())}") from fault


@contextmanager
def _members(archive: Path) -> Iterator[list[Member]]:
    """The archive's members without its folders."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield [_of_zip(opened, info) for info in opened.infolist() if not info.is_dir()]
    else:
        with tarfile.open(archive) as tar:
            yield [_of_tar(tar, info) for info in tar if not info.isdir()]


def _of_zip(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archive was not made on Unix
    return Member(info.filename, info.file_size, kind in (0, stat.S_IFREG), lambda: opened.open(info))


def _of_tar(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    return Member(info.name, info.size, info.isreg(), lambda: tar.extractfile(info))


def _target(member: Member, archive: Path, folder: Path) -> Path:
    """Where the member goes; InputError where that is not inside the folder."""
    if not member.is_plain:
        raise InputError(f"{archive} is refused: its member {member.name!r} is a link or a device")
    inside = PurePosixPath(member.name.replace("\\", "/"))
    target = folder.joinpath(*inside.parts)
    outside = inside.is_absolute() or ".." in inside.parts or ":" in inside.parts[0]
    if outside or not target.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{archive} is refused: its member {member.name!r} leads out of the folder")
    return target


def _is_there(member: Member, path: Path) -> bool:
    return path.is_file() and path.stat().st_size == member.size


def _write(member: Member, path: Path) -> None:
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, temporary.open("wb") as file:
            shutil.copyfileobj(source, file, CHUNK)
        temporary.replace(path)
    except OSError as fault:
        raise InputError(f"cannot write {path} ({member.size:,} bytes): {fault.strerror}") from fault
    finally:
        if temporary.exists():
            temporary.unlink()
