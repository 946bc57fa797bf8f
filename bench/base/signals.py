"""SIGTERM and Ctrl-C: a stage that learns saves at its next step, then the process leaves with 143 or 130."""

import signal
import threading
from types import FrameType
from typing import NoReturn, Self

from bench.base import progress
from bench.base.cli import goes_on

LINE = "stopped by SIGTERM; {}"


class Stop:
    """Remembers the first signal that asks the process to stop; the same signal again acts at once.

    again: what a launcher of several processes repeats is not taken for haste; then False.
    Only a program's main thread may be told of signals: elsewhere nothing is changed.
    """

    def __init__(self, *, again: bool = True) -> None:
        self.again = again
        self.asked = 0  # the signal's number
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number in list(self._before):
            self._restore(number)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.asked = number
        if self.again:
            self._restore(number)

    def _restore(self, number: int) -> None:
        signal.signal(number, self._before.pop(number, signal.SIG_DFL))  # type: ignore[arg-type]


def leave(number: int, *, quiet: bool = False) -> NoReturn:
    """End the process as its user expects of the signal; for Ctrl-C the command's door has the last word."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    if not quiet:
        progress.say(LINE.format(goes_on()))
    raise SystemExit(128 + number)


def exit_on_sigterm() -> None:
    """Let SIGTERM end a command in order, with its line and 143, wherever no stage is learning."""
    signal.signal(signal.SIGTERM, lambda number, _frame: leave(number))
