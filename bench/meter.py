"""How far a long piece of work is: a bar on a terminal, a plain line every few seconds elsewhere."""

import sys
import time
from typing import Self

from tqdm import tqdm

from bench.progress import say

SECONDS = 10.0  # between plain lines: work that is done sooner says nothing


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
