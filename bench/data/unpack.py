"""Unpack a zip or tar archive safely: no file outside the folder, no partly written file."""

import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

from bench.base.errors import InputError
from bench.base.progress import Meter

CHUNK = 1 << 20  # bytes
LARGEST = 1 << 50  # bytes of a member
ARCHIVE_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,  # gzip and bz2, and names that are too long for the file system
    ValueError,  # zero bytes in a name
    OverflowError,  # a size beyond all files
    MemoryError,  # a header that claims to be larger than the memory
    NotImplementedError,  # a compression that zipfile does not know
    RuntimeError,  # zipfile: the archive needs a password
)


@dataclass(frozen=True)
class Member:
    """A file in an archive; is_plain: false for links, devices and other special files."""

    name: str
    size: int
    is_plain: bool
    open: Callable[[], Any]


def unpack(archive: Path, folder: Path) -> None:
    """Write the archive's files into the folder, except those that exist there with the right size.

    Raises InputError if a member is a link or a device or lies outside the folder, or the disk is too small,
    in these cases before anything is written; and if the archive is damaged.
    """
    with _targets(archive, folder) as targets:
        missing = [(member, path) for member, path in targets if not _is_unpacked(member, path)]
        total, needed, free = _bytes(targets), _bytes(missing), shutil.disk_usage(folder).free
        if needed > free:
            raise InputError(
                f"{archive} unpacks to {needed:,} bytes, but {free:,} are free in {folder}; free some space"
            )
        with Meter(f"unpack {archive.name}", total=total, unit="B", done=total - needed) as meter:
            for member, path in missing:
                _write(member, path)
                meter.add(member.size)


def bytes_to_write(archive: Path, folder: Path) -> int:
    """How many bytes `unpack` would write now; raises InputError for the same members as `unpack`."""
    with _targets(archive, folder) as targets:
        return _bytes([(member, path) for member, path in targets if not _is_unpacked(member, path)])


def _bytes(targets: list[tuple[Member, Path]]) -> int:
    return sum(member.size for member, _ in targets)


@contextmanager
def _targets(archive: Path, folder: Path) -> Iterator[list[tuple[Member, Path]]]:
    """The archive's members with their target paths; turns errors of the archive into InputError."""
    try:
        with _members(archive) as members:
            yield [(member, _target(member, archive, folder)) for member in members]
    except InputError:
        raise
    except ARCHIVE_ERRORS as error:
        raise InputError(
            f"{archive} cannot be unpacked: {' '.join(str(error).split()) or type(error).__name__}"
        ) from error


@contextmanager
def _members(archive: Path) -> Iterator[list[Member]]:
    """The archive's members except folders."""
    if not archive.is_file():  # to open a pipe would wait for a writer
        raise InputError(f"{archive} is not a file")
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zip_file:
            yield [
                _zip_member(zip_file, info) for info in zip_file.infolist() if not info.filename.endswith("/")
            ]
    else:
        with tarfile.open(archive, tarinfo=_CheckedHeader) as tar:
            members = [_tar_member(tar, info) for info in tar if not info.isdir()]
            # The checksum of the compression is only compared at the end of the file.
            while tar.fileobj and tar.fileobj.read(CHUNK):
                pass
            yield members


class _CheckedHeader(tarfile.TarInfo):
    """A member's header; where it is damaged, reading stops with an error, not as at the archive's end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.InvalidHeaderError as error:  # type: ignore[attr-defined]
            message = f"the header of a member, before byte {archive.offset:,}, is damaged: {error}"
            raise tarfile.ReadError(message) from error


def _zip_member(zip_file: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    kind = stat.S_IFMT(info.external_attr >> 16)  # 0 if the archive was not made on Unix
    return Member(info.filename, info.file_size, kind in (0, stat.S_IFREG), lambda: zip_file.open(info))


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    if not 0 <= info.size < LARGEST:  # below 0, tarfile would read the same member again and again
        raise tarfile.ReadError(f"the member {info.name!r} claims to have {info.size:.0e} bytes")
    return Member(info.name, info.size, info.isreg(), lambda: tar.extractfile(info))


def _target(member: Member, archive: Path, folder: Path) -> Path:
    """The path to which the member is written; InputError if it is not inside the folder."""
    if not member.is_plain:
        raise InputError(f"{archive} was not unpacked: its member {member.name!r} is a link or a device")
    relative = PurePosixPath(member.name.replace("\\", "/"))
    if not relative.name:
        raise InputError(f"{archive} was not unpacked: its member {member.name!r} has no name")
    target = folder.joinpath(*relative.parts)
    outside = relative.is_absolute() or ".." in relative.parts or ":" in relative.parts[0]  # ":" as in C:
    if outside or not target.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{archive} was not unpacked: its member {member.name!r} lies outside the folder")
    return target


def _is_unpacked(member: Member, path: Path) -> bool:
    return path.is_file() and path.stat().st_size == member.size


def _write(member: Member, path: Path) -> None:
    # A name may be as long as the file system takes it: that of the temporary file must not be longer.
    temporary = path.with_name(f".{os.fsencode(path.name)[:200].decode(errors='ignore')}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, temporary.open("wb") as file:
            while chunk := _read(source):
                file.write(chunk)
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path} ({member.size:,} bytes): {error.strerror}") from error
    finally:
        if temporary.exists():
            temporary.unlink()


def _read(source: Any) -> bytes:
    """The next bytes of a member; what gzip and bz2 raise for damage is told from errors of the system."""
    try:
        chunk: bytes = source.read(CHUNK)
    except OSError as error:
        if error.errno is None:
            raise tarfile.ReadError(str(error)) from error
        raise
    return chunk
