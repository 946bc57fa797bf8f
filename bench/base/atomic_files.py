"""Write files atomically: a reader sees the old content or the new content, never a part of it."""

import errno
import os
import secrets
import stat
import tempfile
from pathlib import Path

from bench.base.errors import InputError
from bench.base.structured_files import check_folder, how_to_choose

LONGEST_NAME = 255  # bytes, of a file's name on most file systems


def write_atomically(path: Path, content: str | bytes) -> Path:
    """Write content (text as UTF-8) to a temporary file in the same folder, flush it to disk, then rename it.

    Missing folders are created; the file has the mode that the umask leaves. A device or a pipe, such as
    /dev/stdout, is written to as it is. Returns path. Raises InputError with path and size if it cannot be
    written.
    """
    try:
        data = content.encode() if isinstance(content, str) else content
    except UnicodeEncodeError as error:
        raise InputError(f"cannot write {path}: a name in it is not Unicode text ({error})") from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if _is_device(path):
            path.write_bytes(data)
        else:
            _replace(path, data)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot write {path} ({len(data):,} bytes): {reason}") from error
    return path


def check_writable(folder: Path, *, option: str = "") -> None:
    """Raise InputError, before any work, for a folder in which nothing can be written or that cannot be made.

    option: the command's option that named it, for the message. Nothing stays behind.
    """
    check_folder(folder, option=option)
    there = folder.absolute()
    while not os.path.lexists(there):
        there = there.parent
    try:
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        Path(tempfile.mkdtemp(prefix=".writable-", dir=there)).rmdir()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}; {how_to_choose(option)}") from error


def check_output(path: Path, *, option: str) -> None:
    """Raise InputError, before any work, for a file that cannot be written; option: as in check_writable."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be written: {reason}; give another file: {option} FILE") from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{path}: is a folder; give a file: {option} FILE")
    if stat.S_ISREG(mode):
        check_writable(path.parent, option=option)


def _is_device(path: Path) -> bool:
    """Whether something that is neither a file nor a folder has this name."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _replace(path: Path, data: bytes) -> None:
    ending = f".{secrets.token_hex(4)}"
    stem = os.fsencode(f".{path.name}")[: LONGEST_NAME - len(ending)].decode(errors="ignore")
    temporary = path.with_name(stem + ending)
    try:
        # Unlike a file of tempfile's, it has the mode that the umask leaves of rw-rw-rw-.
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
