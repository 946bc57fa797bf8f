"""Build a store beside the old one, then swap it in."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.base import lists, locks
from bench.base.atomic_files import check_writable
from bench.base.errors import InputError
from bench.base.progress import say
from bench.data.manifest import MANIFEST


@dataclass(frozen=True)
class StagingFolder:
    """A store's folder, `data/<name>`, and the folders beside it that are used while a new store is made."""

    folder: Path

    @property
    def unfinished(self) -> Path:
        """The folder in which the new store is built."""
        return self.folder.with_name(f"{self.folder.name}.unfinished")

    @property
    def replaced(self) -> Path:
        """The folder of the old store, for the moment between the two renames of `finish`."""
        return self.folder.with_name(f"{self.folder.name}.replaced")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Let only one process at a time make the store; the others wait.

        If a process was killed between the two renames of `finish`, its complete store is renamed first.
        InputError, before any work, for folders that cannot be written.
        """
        for folder in (self.folder, self.unfinished, self.replaced):
            check_writable(folder, option="--data")
        lock = self.folder.with_name(f"{self.folder.name}.lock")
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locks.held(lock, waiting=self._say_waiting))
            except OSError as error:
                raise InputError(f"cannot write {lock}: {error.strerror}") from error
            for complete in (self.unfinished, self.replaced):
                if not self.folder.exists() and (complete / MANIFEST).is_file():
                    complete.rename(self.folder)
            yield

    def _say_waiting(self) -> None:
        say(f"waiting for another process that prepares {self.folder}")

    def begin(self, needed: int, contents: str) -> None:
        """Create the folder of the new store and say how many bytes it needs; InputError if fewer are free.

        contents: what needs the bytes, for the message.
        """
        self.unfinished.mkdir(exist_ok=True)
        (self.unfinished / MANIFEST).unlink(missing_ok=True)  # only a complete store has a manifest
        done = sum(path.stat().st_size for path in self.unfinished.glob("*.arrow"))
        free = shutil.disk_usage(self.unfinished).free
        space = f"{_size(needed)} in {self.folder}, where {_size(free)} are free"
        say(f"{contents} need {space}{f'; {_size(done)} are written already' if done else ''}")
        if needed - done > free:
            raise InputError(f"{contents} need {space}; free some space, or give another folder: --data DIR")

    def finish(self) -> None:
        """Replace the old store by the new one; if this is interrupted, `locked` completes it later."""
        shutil.rmtree(self.replaced, ignore_errors=True)
        if self.folder.exists():
            self.folder.rename(self.replaced)
        self.unfinished.rename(self.folder)
        shutil.rmtree(self.replaced, ignore_errors=True)

    def list_or_file(self, entries: list[str], name: str, *, goes_on: bool = True) -> str:
        """The first entries, a line each; if there are more, `name`.txt in the new store lists all.

        goes_on: whether the preparation does, so that the file will be in the finished store.
        """
        file = f"{name}.txt"
        later = (self.folder if goes_on else self.unfinished) / file
        return lists.as_lines(entries, all_in=self.unfinished / file, moves_to=later)


def _size(number: float) -> str:
    """A number of bytes in a unit that fits.

    >>> _size(22_986_000_000), _size(61_500), _size(9)
    ('23.0 GB', '61.5 KB', '9 bytes')
    """
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if number >= unit:
            return f"{number / unit:.1f} {name}"
    return f"{number:.0f} bytes"
