"""A cluster: options of --slurm, what Slurm gets, and a task that saves at Slurm's warning."""

import doctest
import importlib
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bench.base import cluster, locks
from bench.base.cluster import CommandTask
from bench.base.errors import InputError
from bench.base.paths import ROOT


def test_the_doctests_hold():
    assert doctest.testmod(cluster).failed == 0


class TestOptions:
    def test_have_the_names_that_slurm_users_know(self):
        text = "partition=gpu,time=240,gpus_per_node=1,cpus_per_task=8,mem=32,array_parallelism=4,qos=low"
        assert cluster.parse(text) == {
            "slurm_partition": "gpu",
            "timeout_min": 240,
            "gpus_per_node": 1,
            "cpus_per_task": 8,
            "mem_gb": 32,
            "slurm_array_parallelism": 4,
            "slurm_qos": "low",
        }

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "",
                "--slurm: give the minutes of a task, as in --slurm partition=gpu,.*; options: time, ",
            ),
            ("partition=gpu", "--slurm: give the minutes of a task"),
            ("gpus=1", "unknown option of --slurm 'gpus'; choose from: time, partition, gpus_per_node, "),
            ("time=1:00", r"--slurm time=1:00: give a whole number from 1 up \(minutes of a task"),
            ("time=0", "--slurm time=0: give a whole number from 1 up"),
            ("time=9,partition=", r"--slurm partition=: give a value \(where to run\), as in"),
        ],
    )
    def test_that_are_wrong_are_named_with_the_right_ones(self, text: str, message: str):
        with pytest.raises(InputError, match=f"^{message}"):
            cluster.parse(text)

    def test_do_not_go_with_fresh(self):
        with pytest.raises(InputError, match="queued again would begin anew with --fresh; leave it out"):
            cluster.parse("time=5", fresh=True)


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(
        InputError, match="^--slurm needs a package that is not installed: pip install submitit$"
    ):
        cluster.check()


SBATCH = """#!/bin/sh
cp "$1" "{folder}/script"
if [ -e "{folder}/refuse" ]; then echo "sbatch: error: invalid partition specified: gpu" >&2; exit 1; fi
echo "Submitted batch job 4711"
"""


class TestSubmission:
    """To programs with the names of Slurm's, which keep what they get."""

    @pytest.fixture(autouse=True)
    def slurm(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        programs = tmp_path / "programs"
        programs.mkdir()
        for name in ("sbatch", "srun"):
            (programs / name).write_text(SBATCH.format(folder=tmp_path), encoding="utf-8")
            (programs / name).chmod(stat.S_IRWXU)
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    def submit(self, tmp_path: Path, more: str = "") -> str:
        options = cluster.parse(f"partition=gpu,time=240{more}")
        commands = [["-m", "bench.run", "--seeds", str(seed)] for seed in range(30)]
        return cluster.submit(commands, options, folder=tmp_path / "logs", name="suite demo")

    def test_is_one_array_whose_tasks_are_queued_again(self, tmp_path: Path):
        assert self.submit(tmp_path, ",gpus_per_node=1,mem=16,array_parallelism=8") == "4711"
        script = (tmp_path / "script").read_text(encoding="utf-8")
        lines = re.findall(r"#SBATCH --(\S+)", script)
        for line in ("array=0-29%8", "partition=gpu", "time=240", "gpus-per-node=1", "mem=16GB", "requeue"):
            assert line in lines
        assert {"open-mode=append", f"signal=USR2@{cluster.SECONDS_TO_SAVE}"} <= set(lines)
        assert len(list((tmp_path / "logs").glob("*submitted.pkl"))) == 30

    def test_of_several_gpus_starts_torchrun(self, tmp_path: Path):
        self.submit(tmp_path, ",gpus_per_node=4")
        submitit = cluster.check()
        task = submitit.core.utils.DelayedSubmission.load(next((tmp_path / "logs").glob("*_submitted.pkl")))
        words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=4", "-m", "bench.run"]
        assert task.function.command[:7] == [sys.executable, *words]

    def test_that_slurm_refuses_is_said_with_its_reason(self, tmp_path: Path):
        (tmp_path / "refuse").touch()
        with pytest.raises(
            InputError, match="^--slurm: not submitted: .*invalid partition specified: gpu.*--list"
        ):
            self.submit(tmp_path)

    def test_without_slurm_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(
            InputError, match="--slurm: not submitted: .*srun.*; or start the commands that --list"
        ):
            self.submit(tmp_path)


SAVES = """
import pathlib, signal, sys, time
def save(number, frame):
    pathlib.Path(sys.argv[1]).write_text("saved")
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
pathlib.Path(sys.argv[1]).write_text("begun")
time.sleep(60)
"""


def wait_for(path: Path, text: str) -> None:
    while not path.exists() or path.read_text(encoding="utf-8") != text:
        time.sleep(0.01)


class TestTask:
    @pytest.mark.parametrize(
        ("code", "status"), [("raise SystemExit(2)", 2), ("import os; os.kill(os.getpid(), 9)", 137)]
    )
    def test_ends_with_the_commands_status(self, code: str, status: int):
        with pytest.raises(SystemExit) as left:
            CommandTask([sys.executable, "-c", code])()
        assert left.value.code == status
        CommandTask([sys.executable, "-c", "pass"])()

    def test_lets_the_command_save_at_slurms_warning_which_does_not_reach_it(self, tmp_path: Path):
        """As submitit does it: the handler of the signal calls `checkpoint`, while the task waits."""
        code = f"""
import signal, sys
from bench.base.cluster import CommandTask
task = CommandTask([sys.executable, "-c", {SAVES!r}, sys.argv[1]])
def warned(number, frame):
    print(task.checkpoint().function.command == task.command, flush=True)
    sys.exit(3)
signal.signal(signal.SIGUSR2, warned)
task()
"""
        words = [sys.executable, "-c", code, str(tmp_path / "state")]
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True) as process:
            wait_for(tmp_path / "state", "begun")
            os.killpg(process.pid, signal.SIGUSR2)  # Slurm warns every process of a task
            printed, _ = process.communicate(timeout=60)
        assert (printed, process.returncode) == (b"True\n", 3)
        wait_for(tmp_path / "state", "saved")

    def test_waits_to_be_ended_where_slurm_stopped_the_command_itself(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        slept: list[float] = []
        monkeypatch.setattr(cluster.time, "sleep", slept.append)
        task = CommandTask([sys.executable, "-c", SAVES, str(tmp_path / "state")])
        pause = threading.Event()

        def stop() -> None:
            while not (tmp_path / "state").exists() or not (tmp_path / "state").read_text():
                pause.wait(0.01)
            assert task.process
            task.process.send_signal(signal.SIGTERM)

        thread = threading.Thread(target=stop)
        thread.start()
        with pytest.raises(SystemExit) as left:
            task()
        thread.join()
        assert left.value.code == 143
        assert slept == [cluster.SECONDS_TO_END]


LEARNS = """
import pathlib, signal, sys, time
from bench.base import locks
from bench.base.atomic_files import write_atomically
folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]
def stop(number, frame):
    raise SystemExit(128 + number)
signal.signal(signal.SIGTERM, stop)
stage, checkpoint = folder / "stage", folder / "unfinished"
with locks.held(folder / ".lock", waiting=lambda: None) as lease:
    if not stage.exists():
        done = int(checkpoint.read_text()) if checkpoint.exists() else 0
        for step in range(done + 1, 41):
            time.sleep(0.05)
            write_atomically(checkpoint, str(step))
        lease.check()
        with (folder / "learned").open("a") as file:
            file.write(f"{name} {done}\\n")
        write_atomically(stage, "40 steps")
write_atomically(folder / f"{name}.json", stage.read_text())
"""


def learning(folder: Path, steps: int) -> int:
    """The process that learns the stage, once it has done so many steps."""
    while True:
        done = int((folder / "unfinished").read_text()) if (folder / "unfinished").exists() else 0
        chain = locks._chain(folder / ".lock")
        if done >= steps and chain and chain[-1].holder.pid and not chain[-1].holder.has_ended:
            return chain[-1].holder.pid
        time.sleep(0.01)


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="finds the tasks' processes in /proc")
def test_tasks_that_start_together_learn_a_shared_stage_once_through_a_kill_and_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """On submitit's local executor: SIGKILL as if a node failed, then the signal of a preemption."""
    submitit = importlib.import_module("submitit")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    executor = submitit.AutoExecutor(folder=tmp_path / "logs", cluster="local")
    executor.update_parameters(timeout_min=10)
    tasks = [CommandTask([sys.executable, "-c", LEARNS, str(tmp_path), name]) for name in "abcd"]
    jobs = [executor.submit(task) for task in tasks]

    learner = learning(tmp_path, 5)
    starter = parent(learner)
    killed = [int(job.job_id) for job in jobs].index(parent(starter))
    os.kill(starter, signal.SIGKILL)
    os.kill(learner, signal.SIGKILL)
    jobs[killed] = executor.submit(tasks[killed])  # as Slurm does with --requeue
    os.kill(parent(learning(tmp_path, 20)), signal.SIGUSR2)

    assert [job.result() for job in jobs] == [None] * 4
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["a.json", "b.json", "c.json", "d.json"]
    (line,) = (tmp_path / "learned").read_text().splitlines()
    assert int(line.split()[1]) >= 20  # it went on from the checkpoint
    assert not list(tmp_path.glob(".lock*"))
