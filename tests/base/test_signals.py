"""SIGTERM and Ctrl-C: training is saved, the status is 143 or 130, one line says how to resume."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.base import signals
from bench.base.cli import resume_hint
from bench.base.paths import ROOT
from bench.data.store import Store
from bench.training import loop, tensor_file
from tests.killing import content, stage_run

COMMAND = """
import sys, pathlib
from bench import run
from bench.base import cli, signals
from bench.data import cards
cards.CARDS = pathlib.Path(sys.argv[1])
signals.exit_on_sigterm()
cli.run_command(lambda: run.main(sys.argv[2:]))
"""


@pytest.mark.parametrize("step", [1, 6, 8])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_training_saves_at_the_next_step_exits_and_resumes_to_the_same_result(
    number: signal.Signals, step: int, store: Store, tmp_path: Path
):
    """An epoch has four steps; the signal comes at the first, in the middle, and at the last of an epoch."""
    whole = loop.train(*stage_run(store, tmp_path / "whole"))
    model, usual = stage_run(store, tmp_path / "stopped")
    steps = [0]

    def signalled(
        model: Any, images: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        steps[0] += torch.is_grad_enabled()
        if steps[0] == step and torch.is_grad_enabled():
            os.kill(os.getpid(), number)
        return usual.stage.loss(model, images, labels)

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else SystemExit) as left:
        loop.train(model, replace(usual, stage=replace(usual.stage, loss=signalled)))
    assert getattr(left.value, "code", 143) == 143
    assert signal.getsignal(number) is before
    _, facts = tensor_file.load(tmp_path / "stopped")
    assert (facts["epoch"] - 1) * usual.steps + facts["step"] == steps[0] == step
    model, _ = stage_run(store, tmp_path / "stopped")
    assert loop.train(model, usual) == whole
    assert content(tmp_path / "stopped") == content(tmp_path / "whole")


def test_the_same_signal_sent_twice_acts_at_once():
    """The handler is set here because a program started in the background ignores Ctrl-C."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _send_twice()
    finally:
        signal.signal(signal.SIGINT, usual)


def _send_twice() -> None:
    with signals.Stop() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.asked == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_training_outside_the_main_thread_does_not_change_signal_handlers():
    before, inside = signal.getsignal(signal.SIGTERM), []

    def elsewhere() -> None:
        with signals.Stop():
            inside.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert inside == [before]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status", "line"),
    [
        (signal.SIGTERM, 143, "stopped by SIGTERM; run the same command again to resume"),
        (signal.SIGINT, 130, "interrupted; run the same command again to resume"),
    ],
)
def test_the_command_exits_with_the_status_and_the_line_of_the_signal(
    number: signal.Signals, status: int, line: str, small_cards: Path, tmp_path: Path
):
    words = ["--dataset", "demo", "--method", "resnet101", "--device", "cpu", "--set", "batch_size=32"]
    words += ["--set", "epochs=6", "--data", str(tmp_path / "data"), "--runs", str(tmp_path / "runs")]
    whole = [sys.executable, "-c", COMMAND, str(small_cards), *words]
    with subprocess.Popen(whole, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        assert "images for training and" in process.stderr.readline()
        assert "are held out: nothing is trained on them" in process.stderr.readline()
        assert "main 1/6" in process.stderr.readline()
        process.send_signal(number)
        lines = process.stderr.read().splitlines()
    assert process.returncode == status
    assert lines[-1] == line
    again = subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "main 1/6" not in again.stderr
    assert "recorded, mAP" in again.stdout


def test_a_command_with_fresh_says_to_resume_without_it(monkeypatch: pytest.MonkeyPatch):
    assert resume_hint() == "run the same command again to resume"
    monkeypatch.setattr(sys, "argv", ["bench.run", "--fresh"])
    assert resume_hint() == "run the same command again without --fresh to resume"


@pytest.mark.parametrize(("name", "resumes"), [("run", True), ("prepare", True), ("rehearse", False)])
def test_only_a_command_that_goes_on_where_it_was_stopped_says_so(
    name: str, resumes: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "argv", [str(ROOT / "bench" / f"{name}.py")])
    again = "the same command starts again from the beginning"
    assert resume_hint() == ("run the same command again to resume" if resumes else again)
