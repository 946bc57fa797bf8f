"""Independent trainings side by side, a process each, on the GPUs there are: `bench.run --jobs N`."""

import os
import queue
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import torch
import torch.distributed as dist

from bench.base import progress, signals
from bench.base.errors import InputError


def run(commands: Sequence[Sequence[str]], *, jobs: int) -> int:
    """Run each command, so many at a time; returns the highest exit status.

    Each has one GPU to itself as long as there are as many; on the CPU they share the cores. SIGTERM and
    Ctrl-C reach all of them, which save and leave before this process does. Raises InputError under torchrun.
    """
    if dist.is_torchelastic_launched():
        raise InputError("--jobs trains one process each; under torchrun leave it out")
    together = _Together(_gpus(), jobs=jobs)
    before = {number: signal.signal(number, together.stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with ThreadPoolExecutor(max_workers=jobs) as threads:
            statuses = list(threads.map(together.run, commands))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if together.stopped:
        signals.leave(together.stopped)
    return max(statuses)


def _gpus() -> list[str]:
    """The GPUs that this process may use, by the names that it was given them under."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = given.split(",") if given else [str(gpu) for gpu in range(torch.cuda.device_count())]
    return names[: torch.cuda.device_count()]


class _Together:
    """The jobs that run now, and the places for them."""

    def __init__(self, gpus: Sequence[str], *, jobs: int) -> None:
        self.stopped = 0  # the signal's number
        self.running: set[subprocess.Popen[str]] = set()
        self.places: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        for job in range(jobs):
            self.places.put(gpus[job % len(gpus)] if gpus else None)

    def stop(self, number: int, _frame: FrameType | None) -> None:
        """Pass a signal on, and begin nothing more."""
        self.stopped = number
        for process in list(self.running):
            process.send_signal(number)

    def run(self, command: Sequence[str]) -> int:
        """Run a command in the next free place and repeat its lines; returns its exit status."""
        if self.stopped:
            return 128 + self.stopped
        place = self.places.get()
        environment = os.environ | ({"CUDA_VISIBLE_DEVICES": place} if place else {})
        whole = [sys.executable, *command]
        # A session of its own: a terminal's Ctrl-C then comes by `stop` alone, once.
        with subprocess.Popen(
            whole, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            self.running.add(process)
            for line in process.stderr or ():
                progress.say(line.rstrip("\n"))
        self.running.discard(process)
        self.places.put(place)
        return process.returncode if process.returncode >= 0 else 128 - process.returncode
