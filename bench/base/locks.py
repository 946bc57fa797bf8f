"""Locks between processes of one or several machines: lease files, which their holders renew while they live.

Exactly one process can create a file (O_EXCL), and holds the lock then; it sets the file's time every `BEAT`
seconds. A lease that a reader has not seen renewed for `PATIENCE` seconds is taken over: by creating the file
that is named after its token, which again exactly one process can. The last of these files counts.
No clocks of two machines are compared. flock would not do: network file systems have none, or one for each
machine. Where the holder's process is seen to have ended, on the same machine, nobody waits.
"""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.base import progress
from bench.base.errors import InputError
from bench.base.lock_holder import Holder

BEAT = 10.0  # seconds between two renewals
PATIENCE = 120.0  # seconds without a renewal after which a lease is taken over
PAUSES = (0.02, 1.0)  # seconds between two looks of a process that waits: the first, and the longest
LONGEST_LEASE = 4096  # bytes
NO_FILE = (errno.ENOENT, errno.ESTALE)  # ESTALE: another machine deleted it while it was read


@contextmanager
def held(path: Path, *, waiting: Callable[[], None]) -> Iterator["Lease"]:
    """Hold an exclusive lock, whose files are created here and deleted at the end; gives its lease.

    waiting: called once if another process holds the lock, before this one waits; then a line names the
    holder. Who works for minutes asks the lease, before it writes its result, whether it is still held.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lease = _acquire(path, waiting)
    beat = _Heartbeat(lease)
    beat.start()
    try:
        yield lease
    finally:
        beat.stop()
        lease.release()


@dataclass(frozen=True)
class SeenLease:
    """A lease file as it was read: where, whose, and when it was renewed by the file system's clock."""

    path: Path
    holder: Holder
    renewed: int


@dataclass(frozen=True)
class Lease:
    """The lease of this process; lock: the path of the first file, path: of its own."""

    lock: Path
    path: Path
    holder: Holder
    descriptor: int

    def is_held(self) -> bool:
        """Whether nobody has taken the lease over, and nobody has deleted it."""
        chain = _chain(self.lock)
        return bool(chain) and chain[-1].holder.token == self.holder.token

    def check(self) -> None:
        """InputError where the lease is lost; to be called before a result is written."""
        if self.is_held():
            return
        chain = _chain(self.lock)
        by = f"; {chain[-1].holder} has taken it over" if chain else ""
        raise InputError(
            f"this process lost its lock {self.lock}: it was suspended, or the disk did not answer, for"
            f" {PATIENCE:.0f} seconds, or the file was deleted{by}; its result was not written. Run the same"
            " command again: it waits for the other process, or goes on where that one stopped"
        )

    def release(self) -> None:
        """Delete the lock's files, the first one first; none of them if the lease is lost."""
        chain = _chain(self.lock)
        if chain and chain[-1].holder.token == self.holder.token:
            for lease in chain:
                lease.path.unlink(missing_ok=True)


class Watch:
    """Tells a lease that is not renewed from one that is, by what this process sees and its own clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.seen: tuple[str, int] | None = None
        self.since = 0.0

    def is_over(self, lease: SeenLease) -> bool:
        """Whether its process has ended, or the lease was not renewed for `PATIENCE` seconds."""
        now = (lease.holder.token, lease.renewed)
        if now != self.seen:
            self.seen, self.since = now, self.clock()
        return lease.holder.has_ended or self.clock() - self.since >= PATIENCE


class _Heartbeat(threading.Thread):
    """Renews a lease until it is stopped, then closes its file.

    It writes to the file that it created, whatever stands under that name by now.
    """

    def __init__(self, lease: Lease) -> None:
        super().__init__(daemon=True)
        self.descriptor = lease.descriptor
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(BEAT):
            with suppress(OSError):  # the next time perhaps; who needs the lease checks it
                os.utime(self.descriptor)
        os.close(self.descriptor)

    def stop(self) -> None:
        """End the thread; one that waits for a disk that does not answer is left to itself."""
        self.ended.set()
        self.join(timeout=BEAT)


def _acquire(path: Path, waiting: Callable[[], None]) -> Lease:
    watch, pause, told = Watch(), PAUSES[0], False
    while True:
        chain = _chain(path)
        if not chain or watch.is_over(chain[-1]):
            if lease := _create(path, after=chain):
                return lease
        elif not told:
            waiting()
            told = True
            progress.say(_remark(chain[-1]))
        time.sleep(pause)
        pause = min(1.5 * pause, PAUSES[1])


def _remark(lease: SeenLease) -> str:
    """What a process that waits says about the one that it waits for."""
    return (
        f"waiting for {lease.holder}; if that shows no sign of life for {PATIENCE:.0f} seconds, this process"
        f" takes over (its lock: {lease.path})"
    )


def _create(path: Path, *, after: list[SeenLease]) -> Lease | None:
    """The lock's lease of this process, the next one in the chain; None where another process was faster."""
    own = _next(path, after)
    me = Holder.me()
    try:
        descriptor = os.open(own, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
    except FileExistsError:
        return None
    lease = Lease(path, own, me, descriptor)
    try:
        os.write(descriptor, me.written())
        os.fsync(descriptor)
    except OSError:
        os.close(descriptor)
        own.unlink(missing_ok=True)
        raise
    if lease.is_held():
        if after and not after[-1].holder.has_ended:
            progress.say(
                f"{after[-1].holder}: no sign of life for {PATIENCE:.0f} seconds; this process takes over"
            )
        return lease
    own.unlink(missing_ok=True)  # the holder before it has ended in this very moment, and deleted its files
    os.close(descriptor)
    return None


def _chain(path: Path) -> list[SeenLease]:
    """The leases of a lock, each followed by the one that took it over; the last one counts."""
    leases: list[SeenLease] = []
    while lease := _read(_next(path, leases)):
        leases.append(lease)
    return leases


def _next(path: Path, chain: list[SeenLease]) -> Path:
    return path.with_name(f"{path.name}.{chain[-1].holder.token}") if chain else path


def _read(path: Path) -> SeenLease | None:
    """The lease in a file, None if there is none; opening it gets what another machine wrote last."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        if error.errno in NO_FILE:
            return None
        raise
    try:
        text, facts = os.read(descriptor, LONGEST_LEASE), os.fstat(descriptor)
    finally:
        os.close(descriptor)
    holder = Holder.read(text, otherwise=f"unwritten-{facts.st_ino}")
    return SeenLease(path, holder, facts.st_mtime_ns)
