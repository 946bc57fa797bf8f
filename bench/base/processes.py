"""The same work on many things, in all cores at once; nothing outlives the process that asked for it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from bench.base.errors import InputError

Thing = TypeVar("Thing")
Result = TypeVar("Result")


def cores() -> int:
    """How many processor cores this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # Linux knows of a share of them
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def each(work: Callable[[Thing], Result], things: Iterable[Thing], *, processes: int) -> Iterator[Result]:
    """work(thing) for each thing, as they are done, with few things ahead; one process: here, in order.

    Processes are spawned, so `work` is a module's function. Raises what `work` raises, and InputError where
    the system ended a process.
    """
    if processes <= 1:
        yield from map(work, things)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_enter)
    pending: set[Future[Result]] = set()
    try:
        for thing in things:
            pending.add(pool.submit(work, thing))
            if len(pending) > processes + 1:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        yield from (future.result() for future in pending)
    except BrokenProcessPool as fault:
        raise InputError(
            "the system ended a process, perhaps for lack of memory; the same command goes on where it was"
        ) from fault
    finally:
        pool.shutdown(cancel_futures=True)


def _enter() -> None:
    """A process's beginning: Ctrl-C is its parent's business, and it ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
