"""Submits commands to Slurm as one array of tasks, through the package submitit: `bench.run --slurm OPTIONS`.

A task that Slurm stops, for another job or at its time limit, saves first and is queued again by itself.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.base.errors import InputError, unknown

# Option -> (submitit's name, its type, its meaning).
OPTIONS: dict[str, tuple[str, type, str]] = {
    "time": ("timeout_min", int, "minutes of a task, after which it is queued again; required"),
    "partition": ("slurm_partition", str, "where to run"),
    "gpus_per_node": ("gpus_per_node", int, "GPUs of a task; several share each batch, under torchrun"),
    "cpus_per_task": ("cpus_per_task", int, "CPU cores of a task"),
    "mem": ("mem_gb", int, "GB of memory of a task"),
    "array_parallelism": ("slurm_array_parallelism", int, "tasks at the same time (256)"),
    "account": ("slurm_account", str, "who pays"),
    "qos": ("slurm_qos", str, "quality of service"),
    "constraint": ("slurm_constraint", str, "features of a node"),
    "exclude": ("slurm_exclude", str, "nodes not to run on"),
    "comment": ("slurm_comment", str, "what Slurm shows"),
}
EXAMPLE = "--slurm partition=gpu,time=240,gpus_per_node=1"
SECONDS_TO_SAVE = 120  # between Slurm's warning and the end of a task
SECONDS_TO_END = 600  # after SIGTERM, in which Slurm ends a task
MOST_RESTARTS = 10_000  # after time limits; each goes on where the one before stopped


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add `--list` and `--slurm`, with which the runs are done elsewhere."""
    text = "only print a command for each run, a line each: they can be run in any order, also at once"
    parser.add_argument("--list", action="store_true", help=text)
    text = f"submit the runs to Slurm as one array: {EXAMPLE}; options: {', '.join(OPTIONS)}"
    parser.add_argument("--slurm", nargs="?", const="", metavar="OPTIONS", help=text)


def parse(text: str, *, fresh: bool = False) -> dict[str, Any]:
    """The options of `NAME=VALUE,NAME=VALUE` under submitit's names; InputError for a wrong one.

    fresh: whether the command has `--fresh`, with which a task that is queued again would begin anew.
    """
    if fresh:
        raise InputError(
            "--slurm: a task that is queued again would begin anew with --fresh; leave it out, or give a new"
            " folder: --runs DIR"
        )
    options: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name.strip() not in OPTIONS:
            raise unknown("option of --slurm", name.strip(), OPTIONS)
        key, kind, meaning = OPTIONS[name.strip()]
        if not value.strip() or (kind is int and not (value.strip().isdecimal() and int(value) > 0)):
            wanted = "a whole number from 1 up" if kind is int else "a value"
            raise InputError(f"--slurm {part}: give {wanted} ({meaning}), as in {EXAMPLE}")
        options[key] = kind(value.strip())
    if "timeout_min" not in options:
        raise InputError(
            f"--slurm: give the minutes of a task, as in {EXAMPLE}; options: {', '.join(OPTIONS)}"
        )
    return options


def without(words: Iterable[str], options: Sequence[str]) -> list[str]:
    """A command's words without these options and their values; the other words stay as they are.

    >>> without(["--seeds=0,1", "--slurm", "--lr", "1"], ["--seeds", "--slurm"])
    ['--lr', '1']
    """
    kept: list[str] = []
    skips = False
    for word in words:
        if word.partition("=")[0] in options:
            skips = "=" not in word
        elif not (skips and not word.startswith("-")):
            kept.append(word)
            skips = False
        else:
            skips = False
    return kept


def check() -> Any:
    """The package submitit; InputError, before any work, where it is not installed."""
    try:
        import submitit  # noqa: PLC0415 (an optional package)
    except ImportError as missing:
        raise InputError("--slurm needs a package that is not installed: pip install submitit") from missing
    return submitit


def submit(commands: Sequence[Sequence[str]], options: dict[str, Any], *, folder: Path, name: str) -> str:
    """Submit the commands as one array; returns the job's number.

    folder: of the tasks' logs, which all machines share. Raises InputError where there is no Slurm, or where
    it refuses the job.
    """
    submitit = check()
    gpus = options.get("gpus_per_node", 1)
    tasks = [CommandTask(_on_gpus(command, gpus)) for command in commands]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        executor = submitit.AutoExecutor(folder=folder, cluster="slurm", slurm_max_num_timeout=MOST_RESTARTS)
        # submitit queues a task again at Slurm's warning; `requeue` is for those that end without one.
        further = {"requeue": True}
        executor.update_parameters(
            name=name, slurm_signal_delay_s=SECONDS_TO_SAVE, slurm_additional_parameters=further, **options
        )
        jobs = executor.submit_array(tasks)
    except (RuntimeError, OSError, submitit.core.utils.FailedJobError) as error:
        reason = " ".join(str(error).split())[-300:]
        raise InputError(
            f"--slurm: not submitted: {reason}; or start the commands that --list prints"
        ) from error
    return str(jobs[0].job_id).partition("_")[0]


def _on_gpus(command: Sequence[str], gpus: int) -> list[str]:
    """The command as Python's arguments; with several GPUs under torchrun, one process for each."""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={gpus}"] if gpus > 1 else []
    return [sys.executable, *launch, *command]


@dataclass
class CommandTask:
    """A command that Slurm runs and submitit queues again; a function of no arguments, for submitit."""

    command: list[str]
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False, repr=False)

    def __call__(self) -> None:
        """Run the command; exits with its status, unless that is 0.

        The signal that tells this process to save, USR2, reaches the command too, which ignores it.
        """
        self.process = subprocess.Popen(self.command, preexec_fn=_ignore_warning)  # noqa: PLW1509 (no threads)
        _wait_for(self.process)
        status = self.process.wait()
        if status in (-signal.SIGTERM, 128 + signal.SIGTERM):
            # Slurm stopped all processes of the task, and will end this one; if it does not, the task failed.
            time.sleep(SECONDS_TO_END)
        if status:
            raise SystemExit(status if status > 0 else 128 - status)

    def checkpoint(self) -> Any:
        """Let the command save and exit, at Slurm's warning; returns the submission that continues it."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGTERM)
            _wait_for(self.process)
        return check().helpers.DelayedSubmission(CommandTask(self.command))


def _wait_for(process: "subprocess.Popen[bytes]") -> None:
    """Wait for a process to end; its status stays for `Popen.wait`, which a signal handler must not call."""
    with suppress(ChildProcessError):  # its status was read already
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def _ignore_warning() -> None:
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
