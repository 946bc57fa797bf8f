"""Show the progress of long work on standard error: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

from tqdm import tqdm

SECONDS = 10.0  # between two plain lines; shorter work prints none


def say(line: str) -> None:
    """Print one line on standard error without breaking the bars; a closed stderr is ignored."""
    with suppress(BrokenPipeError):
        tqdm.write(line, file=sys.stderr)


class Progress:
    """Counts the steps of a training stage; shows loss, learning rate, images per second and time left.

    quiet: show nothing, because another process of the same training shows it.
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
        """The mean rate over all steps so far; time spent on validation counts."""
        return self.done * self.batch_size / max(time.monotonic() - self.began, 1e-9)

    def step(self) -> None:
        """Count one training step (one batch)."""
        self.done += 1
        self.bar.update()

    def loss(self, mean: float) -> None:
        """Show the epoch's mean loss so far in the bar."""
        self.bar.set_postfix_str(f"loss {mean:.4f}, {self.images_per_second:,.0f} images/s")

    def epoch(self, epoch: int, row: Mapping[str, Any]) -> None:
        """Show the results of a finished epoch, counted from 1: `row` has the fields of a log's row."""
        images_left = (self.epochs - epoch) * self.steps * self.batch_size
        seconds_left = images_left / max(self.images_per_second, 1e-9)
        status = f"{_results(row)}, {self.images_per_second:,.0f} images/s"
        self.bar.set_postfix_str(status)
        if not self.terminal and not self.quiet:
            say(f"{self.title} {epoch}/{self.epochs}: {status}, at most {_minutes(seconds_left)} left")


def _results(row: Mapping[str, Any]) -> str:
    """Mean loss, held-out loss (of both weights, if they are averaged), learning rate, mAP on the test set.

    >>> _results({"loss": 2.5, "held_out_loss": None, "lr_first": 0.1, "lr": 0.05})
    'loss 2.5000, lr 0.1 to 0.05'
    """
    texts = [f"loss {row['loss']:.4f}"]
    if (held_out := row["held_out_loss"]) is not None:
        raw, averaged = row.get("raw_held_out_loss", held_out), row.get("averaged_held_out_loss")
        texts.append(f"held out {raw:.4f}" + ("" if averaged is None else f" (averaged {averaged:.4f})"))
    first = f"{row['lr_first']:g} to " if "lr_first" in row else ""
    texts.append(f"lr {first}{row['lr']:g}")
    if (on_test := row.get("test_mAP")) is not None:
        texts.append(f"test mAP {on_test:.2f} (watched only)")
    return ", ".join(texts)


class Meter:
    """Counts images or bytes up to a total; shows the rate and the time left.

    done: how many an earlier process did; they do not count for the rate.
    """

    def __init__(self, title: str, *, total: int, unit: str, done: int = 0) -> None:
        self.title, self.total, self.unit, self.done = title, total, unit, done
        self.done_before, self.began = done, time.monotonic()
        self.last_line = self.began
        self.terminal = sys.stderr.isatty()
        self.bar = tqdm(
            total=total, initial=done, desc=title, unit=unit, unit_scale=True, disable=not self.terminal
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def add(self, count: int) -> None:
        """Count more images or bytes as done."""
        self.done += count
        self.bar.update(count)
        now = time.monotonic()
        if not self.terminal and now - self.last_line >= SECONDS:
            self.last_line = now
            rate = max((self.done - self.done_before) / (now - self.began), 1e-9)
            seconds_left = max(self.total - self.done, 0) / rate
            done = f"{self.done:,} of {self.total:,} {self.unit}"
            say(f"{self.title}: {done}, {rate:,.0f} a second, {_minutes(seconds_left)} left")


def _minutes(seconds: float) -> str:
    """Minutes and seconds, as in 1:05."""
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f}"
