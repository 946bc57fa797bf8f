"""File locks, released when the process that holds them dies."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def held(path: Path, *, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold an exclusive lock on a file, which is created here and deleted at the end.

    waiting: called once if another process holds the lock, before this one waits for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("w") as file:
            _lock(file, waiting)
            if not _is_file_at(file, path):
                continue  # the previous holder deleted the file while we waited: lock the new one
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _lock(file: IO[str], waiting: Callable[[], None]) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(file, fcntl.LOCK_EX)


def _is_file_at(file: IO[str], path: Path) -> bool:
    """Whether the open file is still the one at path."""
    return path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())
