"""Progress of long work on standard error: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from contextlib import suppress
from typing import Self

from tqdm import tqdm

SECONDS = 10.0  # between plain lines: work that is done sooner says nothing


def say(line: str) -> None:
    """One line beside the bars; if nobody reads them any more, training goes on all the same."""
    with suppress(BrokenPipeError):
        tqdm.write(line, file=sys.stderr)


class Progress:
    """Counts a stage's steps; states loss, learning rate, images per second and time left.

    quiet: another process of the same training says it.
    """

    def __init__(self, title: str, *, epochs: int, steps: int, batch_size: int, quiet: bool = False) -> None:
        self.title, self.epochs, self.steps, self.batch_size = title, epochs, steps, batch_size
        self.terminal, self.quiet = sys.stderr.isatty() and not quiet, quiet
        self.began, self.done = time.monotonic(), 0
        self.bar = tqdm(total=epochs * steps, desc=title, unit="step", disable=not self.terminal)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    @property
    def images_per_second(self) -> float:
        """Over all steps so far, validation included."""
        return self.done * self.batch_size / max(time.monotonic() - self.began, 1e-9)

    def step(self) -> None:
        """One batch was learned."""
        self.done += 1
        self.bar.update()

    def loss(self, mean: float) -> None:
        """The epoch's mean loss so far, for the bar."""
        self.bar.set_postfix_str(f"loss {mean:.4f}, {self.images_per_second:,.0f} images/s")

    def epoch(self, epoch: int, *, loss: float, held_out: float, lr: float) -> None:
        """One epoch is over."""
        left = (self.epochs - epoch) * self.steps * self.batch_size / max(self.images_per_second, 1e-9)
        facts = f"loss {loss:.4f}, held out {held_out:.4f}, lr {lr:g}, {self.images_per_second:,.0f} images/s"
        self.bar.set_postfix_str(facts)
        if not self.terminal and not self.quiet:
            at = f"{self.title} {epoch}/{self.epochs}"
            say(f"{at}: {facts}, at most {left // 60:.0f}:{left % 60:02.0f} left")


class Meter:
    """Counts images or bytes up to a total; states their rate and the time left."""

    def __init__(self, title: str, *, total: int, unit: str, done: int = 0) -> None:
        self.title, self.total, self.unit, self.done = title, total, unit, done
        self.first, self.began = done, time.monotonic()
        self.said = self.began
        self.terminal = sys.stderr.isatty()
        self.bar = tqdm(
            total=total, initial=done, desc=title, unit=unit, unit_scale=True, disable=not self.terminal
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def add(self, count: int) -> None:
        """So many more are done."""
        self.done += count
        self.bar.update(count)
        now = time.monotonic()
        if not self.terminal and now - self.said >= SECONDS:
            self.said = now
            rate = max((self.done - self.first) / (now - self.began), 1e-9)
            left = max(self.total - self.done, 0) / rate
            share = f"{self.done:,} of {self.total:,} {self.unit}"
            say(f"{self.title}: {share}, {rate:,.0f} a second, {left // 60:.0f}:{left % 60:02.0f} left")
