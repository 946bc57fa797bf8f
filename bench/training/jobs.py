"""Runs independent trainings at the same time, each in a process of its own: `bench.run --jobs N`."""

import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import torch
import torch.distributed as dist

from bench.base import progress, signals
from bench.base.errors import InputError
from bench.base.processes import cores
from bench.training import device


def usual_number(device_name: str, *, threads: int) -> int:
    """How many runs train at the same time without `--jobs`: 1 on a GPU, on the CPU its cores / threads."""
    if dist.is_torchelastic_launched() or device.choose(device_name).type != "cpu":
        return 1
    return max(1, cores() // threads)


def run(
    commands: Sequence[Sequence[str]], *, jobs: int, after_each: Callable[[], None] = lambda: None
) -> int:
    """Run each command in a process of its own, `jobs` at a time; returns the highest exit status.

    after_each: called after every command that succeeded, one call at a time.
    Each process has a GPU to itself if there are at least `jobs` GPUs; on the CPU they share the cores.
    SIGTERM and Ctrl-C are passed on to the processes, which save and exit before this one does. Raises
    InputError under torchrun.
    """
    if dist.is_torchelastic_launched():
        raise InputError(
            "--jobs starts processes itself and does not work under torchrun: leave out one of them"
        )
    runner = _JobRunner(_visible_gpus(), jobs=jobs)
    handlers = {number: signal.signal(number, runner.stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with ThreadPoolExecutor(max_workers=jobs) as threads:
            statuses = []
            for status in threads.map(runner.run, commands):
                statuses.append(status)
                if status == 0:
                    after_each()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if runner.stop_signal:
        signals.leave(runner.stop_signal)
    return max(statuses)


def _visible_gpus() -> list[str]:
    """The GPUs that this process may use, by the names in CUDA_VISIBLE_DEVICES, or else by number."""
    variable = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = variable.split(",") if variable else [str(gpu) for gpu in range(torch.cuda.device_count())]
    return names[: torch.cuda.device_count()]


class _JobRunner:
    """Runs each command in a process, in one of `jobs` slots, on the slot's GPU (None: there is no GPU)."""

    def __init__(self, gpus: Sequence[str], *, jobs: int) -> None:
        self.stop_signal = 0  # the number of the signal that stopped the jobs; 0 until one comes
        self.running: set[subprocess.Popen[str]] = set()
        self.free_slots: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        for job in range(jobs):
            self.free_slots.put(gpus[job % len(gpus)] if gpus else None)

    def stop(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal: pass it on to the running jobs, and start no more."""
        self.stop_signal = number
        for process in list(self.running):
            process.send_signal(number)

    def run(self, command: Sequence[str]) -> int:
        """Run a command in the next free slot and repeat the lines it prints; returns its exit status."""
        if self.stop_signal:
            return 128 + self.stop_signal
        gpu = self.free_slots.get()
        environment = os.environ | ({"CUDA_VISIBLE_DEVICES": gpu} if gpu else {})
        # In a session of its own a job gets no Ctrl-C from the terminal, but only, once, the one from `stop`.
        with subprocess.Popen(
            [sys.executable, *command],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            self.running.add(process)
            for line in process.stderr or ():
                progress.say(line.rstrip("\n"))
        self.running.discard(process)
        self.free_slots.put(gpu)
        # Popen reports death by signal n as -n, a shell as 128 + n.
        return process.returncode if process.returncode >= 0 else 128 - process.returncode
