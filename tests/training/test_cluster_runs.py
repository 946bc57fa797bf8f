"""Runs as tasks of submitit, some killed and some warned, make the records of one after the other.

Twelve runs; as many as are named by CLUSTER_RUNS, which took nine minutes for 30.
"""

import importlib
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bench import check, run, table
from bench.base import paths
from bench.base.cluster import CommandTask
from bench.base.paths import ROOT
from bench.results import record
from tests.base.test_signals import COMMAND

RUNS = int(os.environ.get("CLUSTER_RUNS", "12"))
SEEDS, EPOCHS, AT_ONCE = range(RUNS // 2), 6, 4
METHODS = ("resnet101", "knn@features=resnet101")  # KNN needs the stage of ResNet-101 with the same seed
FEW = ["--dataset", "demo", "--device", "cpu", "--batch-size", "32", "--epochs", str(EPOCHS), "--jobs", "1"]


class Tasks:
    """Tasks of submitit's local executor, at most `AT_ONCE` at a time; a killed one is submitted again.

    commands: by method and seed. killed, warned: the seeds whose training was.
    """

    def __init__(self, executor: Any, commands: dict[tuple[str, int], list[str]]) -> None:
        self.executor, self.commands = executor, commands
        self.left, self.jobs = list(commands), {}
        self.killed: set[int] = set()
        self.warned: set[int] = set()

    def work(self) -> None:
        """Run all; of four trainings one is killed, as a node may fail, and one warned, as if preempted."""
        while self.left or self.jobs:
            while self.left and len(self.jobs) < AT_ONCE:
                pair = self.left.pop(0)
                self.jobs[pair] = self.executor.submit(CommandTask(self.commands[pair]))
            for (method, seed), job in list(self.jobs.items()):
                if job.done():
                    self.end((method, seed), job)
                elif seed % 4 == 0 and seed not in self.killed and trains(job):
                    self.killed |= {seed} if kill(job) else set()
                elif seed % 4 == 2 and seed not in self.warned and trains(job):
                    self.warned |= {seed} if warn(job) else set()
            time.sleep(0.02)

    def end(self, pair: tuple[str, int], job: Any) -> None:
        del self.jobs[pair]
        if job.exception() is not None:
            assert pair[1] in self.killed, job.stderr()
            self.left.append(pair)  # as Slurm does with --requeue


def trains(job: Any) -> bool:
    """Whether the task has finished an epoch; the lines of an earlier life count too."""
    return job.paths.stderr.exists() and "main 1/" in job.paths.stderr.read_text(encoding="utf-8")


def kill(job: Any) -> bool:
    """SIGKILL to the task and to its command; whether both were found."""
    found = [process for parent in children(int(job.job_id)) for process in (parent, *children(parent))]
    for process in found:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return len(found) == 2


def warn(job: Any) -> bool:
    """Slurm's warning to the task and to its command; whether both were found."""
    found = [process for parent in children(int(job.job_id)) for process in (*children(parent), parent)]
    for process in found:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGUSR2)
    return len(found) == 2


def children(process: int) -> list[int]:
    with suppress(OSError):
        return [
            *map(int, Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split())
        ]
    return []


def comparable(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in record.VOLATILE}


def trained_rows(folder: Path, seed: int) -> list[int]:
    """For each run of a seed, the epochs of the shared stage that it trained itself."""
    logs = [path.read_text(encoding="utf-8").splitlines() for path in folder.glob(f"*-seed{seed}.jsonl")]
    return [sum("images_per_second" in json.loads(line) for line in lines) for lines in logs]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the tasks' processes in /proc")
def test_tasks_with_kills_make_the_records_of_one_after_the_other(
    small_cards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    submitit = importlib.import_module("submitit")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "command.py").write_text(COMMAND, encoding="utf-8")
    one, many = tmp_path / "one", tmp_path / "many"
    seeds = ",".join(map(str, SEEDS))
    data = ["--data", str(tmp_path / "data")]
    assert run.main([*FEW, *data, "--runs", str(one), "--method", ",".join(METHODS), "--seeds", seeds]) == 0

    start = [sys.executable, str(tmp_path / "command.py"), str(small_cards)]
    words = [*FEW, *data, "--runs", str(many)]
    executor = submitit.AutoExecutor(folder=tmp_path / "logs", cluster="local")
    executor.update_parameters(timeout_min=60)
    commands = {
        (name, seed): [*start, *words, "--method", name, "--seeds", str(seed)]
        for seed in SEEDS
        for name in METHODS
    }
    tasks = Tasks(executor, commands)
    tasks.work()

    assert len(tasks.killed) >= RUNS // 10
    assert len(tasks.warned) >= RUNS // 10
    alone, together = (record.read_folder(folder / "demo", dataset="demo") for folder in (one, many))
    assert len(alone) == len(together) == RUNS
    assert [comparable(facts) for facts in together] == [comparable(facts) for facts in alone]
    for seed in set(SEEDS) - tasks.killed - tasks.warned:
        assert sorted(trained_rows(many / "demo", seed)) == [0, EPOCHS]
    assert not list((many / "demo" / "stages").glob(".*"))  # neither locks nor half-written files

    monkeypatch.setattr(paths, "REPRODUCED", tmp_path / "accepted")
    assert check.main(["--dataset", "demo", "--records", str(one / "demo"), "--accept"]) == 0
    capsys.readouterr()
    assert check.main(["--dataset", "demo", "--records", str(many / "demo"), "--strict"]) == 0
    said = capsys.readouterr().out
    assert f"{RUNS} fresh records" in said
    assert "no number moved" in said
    assert table.main(["--dataset", "demo", "--runs", str(many), "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert sorted(row["n"] for row in rows if row.get("n")) == [len(SEEDS)] * 2
