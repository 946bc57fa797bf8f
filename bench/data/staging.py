"""Where a store grows and how it takes its place: whole, with the older one there until then."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.base import locks
from bench.base.atomic_files import write_atomically
from bench.base.errors import InputError
from bench.base.progress import say
from bench.data.store import MANIFEST

NAMED = 50  # things that one message names; a file lists all of more


@dataclass(frozen=True)
class StagingFolder:
    """A store's folder, `data/<name>`, and what lies beside it while the store is made."""

    folder: Path

    @property
    def unfinished(self) -> Path:
        """Where the new store grows."""
        return self.folder.with_name(f"{self.folder.name}.unfinished")

    @property
    def replaced(self) -> Path:
        """Where the older store is for the moment between two renames."""
        return self.folder.with_name(f"{self.folder.name}.replaced")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Of several processes that want to make the store one does, and the others wait.

        Then bring to its place the whole store that a process may have left beside it when it was killed.
        """
        lock = self.folder.with_name(f"{self.folder.name}.lock")
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locks.held(lock, waiting=self._say_that_it_waits))
            except OSError as fault:
                raise InputError(f"cannot write {lock}: {fault.strerror}") from fault
            for whole in (self.unfinished, self.replaced):
                if not self.folder.exists() and (whole / MANIFEST).exists():
                    whole.rename(self.folder)
            yield

    def _say_that_it_waits(self) -> None:
        say(f"another process prepares {self.folder}: waiting for it")

    def begin(self, need: int, what: str) -> None:
        """Make room for a new store: say how many bytes it takes; InputError where there are fewer."""
        self.unfinished.mkdir(exist_ok=True)
        (self.unfinished / MANIFEST).unlink(missing_ok=True)  # it is whole only once it has one
        done = sum(path.stat().st_size for path in self.unfinished.glob("*.arrow"))
        free = shutil.disk_usage(self.unfinished).free
        room = f"{need / 1e9:.1f} GB in {self.folder}, where {free / 1e9:.1f} GB are free"
        say(f"{what} take {room}{f'; {done / 1e9:.1f} GB are there already' if done else ''}")
        if need - done > free:
            raise InputError(f"{what} take {room}; make room, or name another folder: --data DIR")

    def finish(self) -> None:
        """The new store takes its place; a process killed on the way leaves that to the next."""
        shutil.rmtree(self.replaced, ignore_errors=True)
        if self.folder.exists():
            self.folder.rename(self.replaced)
        self.unfinished.rename(self.folder)
        shutil.rmtree(self.replaced, ignore_errors=True)

    def named(self, things: list[str], kind: str) -> str:
        """The things in one line, as many as can be read; a file beside the new store has all of them."""
        if len(things) <= NAMED:
            return "; ".join(things)
        path = write_atomically(self.unfinished / f"{kind}.txt", "".join(f"{one}\n" for one in things))
        return f"{'; '.join(things[:NAMED])}; and {len(things) - NAMED:,} more, all in {path}"
