"""Trainings at the same time: each has a GPU, its lines are repeated, and one signal stops all."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import run
from bench.base.errors import InputError
from bench.data import cards
from bench.results import record
from bench.training import jobs

SHOW = "import os, sys; print(sys.argv[1], os.environ.get('CUDA_VISIBLE_DEVICES'), file=sys.stderr)"
WAIT = """
import signal, sys, time
def leave(number, frame):
    print("saved", file=sys.stderr)
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, leave)
print("begun", file=sys.stderr)
time.sleep(60)
"""


def test_each_gpu_has_one_job_at_a_time(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert jobs.run([["-c", SHOW, name] for name in "abcd"], jobs=2) == 0
    lines = sorted(capsys.readouterr().err.splitlines())
    assert [line[0] for line in lines] == ["a", "b", "c", "d"]
    assert {line[2:] for line in lines} == {"0", "1"}


def test_the_worst_status_is_theirs_together_and_the_others_go_on(capsys: pytest.CaptureFixture[str]):
    assert jobs.run([["-c", "raise SystemExit(2)"], ["-c", SHOW, "other"]], jobs=1) == 2
    assert capsys.readouterr().err.startswith("other")


def test_torchrun_and_jobs_exclude_each_other(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    with pytest.raises(InputError, match="--jobs starts processes itself and does not work under torchrun"):
        jobs.run([["-c", SHOW, "a"]], jobs=2)


def test_a_signal_reaches_every_job_and_the_rest_do_not_begin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    begun, real = threading.Semaphore(0), jobs.progress.say

    def say(line: str) -> None:
        real(line)
        if line == "begun":
            begun.release()

    def stop() -> None:
        for _ in range(2):
            begun.acquire()
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(jobs.progress, "say", say)
    threading.Thread(target=stop).start()
    with pytest.raises(SystemExit) as left:
        jobs.run([["-c", WAIT]] * 3, jobs=2)
    assert left.value.code == 143
    said = capsys.readouterr().err.splitlines()
    assert said[:4] == ["begun", "begun", "saved", "saved"]
    assert said[4] == "stopped by SIGTERM; run the same command again to resume"


def test_the_command_hands_each_method_and_seed_to_a_job_of_its_own(
    small_cards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert small_cards.exists()
    given: list[Any] = []
    monkeypatch.setattr(jobs, "run", lambda commands, jobs, **_: given.extend(commands) or jobs)
    words = ["--dataset", "demo", "--method", "srn,resnet101", "--seeds", "0,1", "--jobs", "3"]
    places = ["--data", str(tmp_path / "data"), "--runs", str(tmp_path / "runs")]
    assert run.main([*words, *places]) == 3
    assert [command[-7:-1] for command in given] == [
        ["--method", name, "--seeds", seed, "--jobs", "1"]
        for name in ("srn", "resnet101")
        for seed in ("0", "1")
    ]
    few = ["--set", "epochs=1", "--set", "batch_size=32", "--device", "cpu"]
    assert run.main([*given[2][2:], *few]) == 0
    (run_record,) = record.read_folder(tmp_path / "runs" / "demo", dataset=cards.load_card("demo").name)
    assert (run_record["method"], run_record["seed"]) == ("resnet101", 0)


def test_only_the_gpus_that_were_given_are_used_by_the_names_they_have(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """As a cluster's scheduler gives them; the others are somebody else's."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-5f")
    assert jobs.run([["-c", SHOW, name] for name in "ab"], jobs=2) == 0
    assert {line[2:] for line in capsys.readouterr().err.splitlines()} == {"2", "GPU-5f"}


@pytest.mark.parametrize("number", ["0", "-3"])
def test_no_job_at_all_is_refused(number: str):
    with pytest.raises(InputError, match=f"--jobs {number}: give a number from 1 to 1024"):
        run.main(["--dataset", "demo", "--method", "srn", "--jobs", number])


@pytest.mark.parametrize(("threads", "number"), [(1, 6), (4, 1), (9, 1)])
def test_on_the_cpu_as_many_runs_train_at_once_as_its_cores_allow(
    threads: int, number: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.undo()  # of the fixture that has tests do one run after the other
    monkeypatch.setattr(jobs, "cores", lambda: 6)
    assert jobs.usual_number("cpu", threads=threads) == number
    monkeypatch.setattr(jobs.dist, "is_torchelastic_launched", lambda: True)
    assert jobs.usual_number("cpu", threads=threads) == 1


def test_what_follows_each_run_follows_those_that_succeeded(capsys: pytest.CaptureFixture[str]):
    done: list[int] = []
    commands = [["-c", SHOW, "a"], ["-c", "raise SystemExit(2)"], ["-c", SHOW, "b"]]
    assert jobs.run(commands, jobs=1, after_each=lambda: done.append(1)) == 2
    assert len(done) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
