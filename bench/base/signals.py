"""Handle SIGTERM and Ctrl-C: training saves after its current step, then exits with status 143 or 130."""

import signal
import threading
from types import FrameType
from typing import NoReturn, Self

from bench.base import progress
from bench.base.cli import resume_hint

LINE = "stopped by SIGTERM; {}"


class Stop:
    """While the context is active, a first SIGTERM or Ctrl-C is only remembered, in `asked`.

    again: True: the same signal sent a second time acts at once. False under torchrun, which repeats signals.
    Outside the main thread nothing is changed, because Python handles signals only there.
    """

    def __init__(self, *, again: bool = True) -> None:
        self.again = again
        self.asked = 0  # the number of the signal, 0: none so far
        self._previous: dict[int, object] = {}  # the signal handlers outside this context

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        for number in list(self._previous):
            self._restore(number)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self.asked = number
        if self.again:
            self._restore(number)

    def _restore(self, number: int) -> None:
        signal.signal(number, self._previous.pop(number, signal.SIG_DFL))  # type: ignore[arg-type]


def leave(number: int, *, quiet: bool = False) -> NoReturn:
    """End the process with status 128 + number; for Ctrl-C by KeyboardInterrupt, handled by `run_command`.

    quiet: print no line.
    """
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    if not quiet:
        progress.say(LINE.format(resume_hint()))
    raise SystemExit(128 + number)


def exit_on_sigterm() -> None:
    """Make SIGTERM end a command with one line and status 143; during training `Stop` handles it."""
    signal.signal(signal.SIGTERM, lambda number, _frame: leave(number))
