"""SIGTERM and Ctrl-C: saved at the next step, 143 and 130, one line that says how to go on."""

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
from bench.base.cli import goes_on
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
def test_it_saves_at_the_next_step_leaves_and_goes_on_to_the_same_result(
    number: signal.Signals, step: int, store: Store, tmp_path: Path
):
    """Steps of four to an epoch: at the first, in the middle, and at an epoch's last."""
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


def test_the_same_signal_again_acts_at_once():
    """Also where the tests were started in the background, which ignores Ctrl-C."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _twice()
    finally:
        signal.signal(signal.SIGINT, usual)


def _twice() -> None:
    with signals.Stop() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.asked == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_beside_the_main_thread_training_leaves_signals_alone():
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
        (signal.SIGTERM, 143, "stopped by SIGTERM; the same command goes on where it was"),
        (signal.SIGINT, 130, "interrupted; the same command goes on where it was"),
    ],
)
def test_the_command_ends_with_its_status_and_line(
    number: signal.Signals, status: int, line: str, small_cards: Path, tmp_path: Path
):
    words = ["--dataset", "demo", "--method", "resnet101", "--device", "cpu", "--set", "batch_size=32"]
    words += ["--set", "epochs=6", "--data", str(tmp_path / "data"), "--runs", str(tmp_path / "runs")]
    whole = [sys.executable, "-c", COMMAND, str(small_cards), *words]
    with subprocess.Popen(whole, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        assert "images for training and" in process.stderr.readline()
        assert "main 1/6" in process.stderr.readline()
        process.send_signal(number)
        said = process.stderr.read().splitlines()
    assert process.returncode == status
    assert said[-1] == line
    again = subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "main 1/6" not in again.stderr
    assert "recorded, mAP" in again.stdout


def test_a_command_that_begins_afresh_says_how_it_goes_on_instead(monkeypatch: pytest.MonkeyPatch):
    assert goes_on() == "the same command goes on where it was"
    monkeypatch.setattr(sys, "argv", ["bench.run", "--fresh"])
    assert goes_on() == "the same command without --fresh goes on where it was"
