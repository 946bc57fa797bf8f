"""Run a function on many items in several processes, which end when their parent process ends."""

import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from bench.base.cli import resume_hint
from bench.base.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """How many processor cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # on Linux, a process may be limited to some cores
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def peak_memory(*, with_children: bool = False) -> int:
    """The highest memory use so far, in bytes: of this process, or also of one that it started."""
    whose = [resource.RUSAGE_SELF, *([resource.RUSAGE_CHILDREN] if with_children else [])]
    unit = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss
    return unit * max(resource.getrusage(who).ru_maxrss for who in whose)


def map_unordered(
    work: Callable[[Item], Result], items: Iterable[Item], *, processes: int
) -> Iterator[Result]:
    """Yield work(item) for each item as soon as it is done; few items are read in advance, to save memory.

    processes: if 1, everything runs in this process, in order. Otherwise processes are spawned, so `work`
    must be a function of a module. Raises what `work` raises, and InputError if a process was killed.
    """
    if processes <= 1:
        yield from map(work, items)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_start_worker)
    pending: set[Future[Result]] = set()
    try:
        for item in items:
            pending.add(pool.submit(work, item))
            if len(pending) > processes + 1:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        yield from (future.result() for future in pending)
    except BrokenProcessPool as error:
        raise InputError(f"a process was killed, perhaps because memory ran out; {resume_hint()}") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Make a new process ignore Ctrl-C, which its parent handles, and end when its parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
