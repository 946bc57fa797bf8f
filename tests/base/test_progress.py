"""Progress of a training stage: loss, learning rate, images per second, time left; on a terminal or not."""

import doctest
import re

import pytest

from bench.base import progress
from bench.base.progress import Progress

ROW = {"loss": 2.5, "held_out_loss": 2.75, "lr": 0.001}


def test_without_a_terminal_each_epoch_prints_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    clock = iter([0.0, 8.0, 8.0, 8.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Progress("SRN seed 0 main", epochs=3, steps=2, batch_size=96) as bar:
        bar.step()
        bar.step()
        bar.epoch(1, ROW)
    assert capsys.readouterr().err == (
        "SRN seed 0 main 1/3: loss 2.5000, held out 2.7500, lr 0.001, 24 images/s, at most 0:16 left\n"
    )


def test_on_a_terminal_a_bar_shows_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    with Progress("SRN seed 0 main", epochs=3, steps=2, batch_size=96) as bar:
        bar.step()
        bar.loss(2.5)
        bar.epoch(1, ROW)
    printed = capsys.readouterr().err
    assert "SRN seed 0 main" in printed
    assert re.search(r"\d+:\d+<.*loss 2.5000, held out 2.7500, lr 0.001, [\d,]+ images/s", printed)
    assert "at most" not in printed


def test_both_weights_the_rates_of_first_and_last_step_and_the_watched_test_set_are_shown():
    row = ROW | {"lr_first": 0.1, "raw_held_out_loss": 2.75, "averaged_held_out_loss": 2.25, "test_mAP": 61.0}
    expected = (
        "loss 2.5000, held out 2.7500 (averaged 2.2500), lr 0.1 to 0.001, test mAP 61.00 (watched only)"
    )
    assert progress._results(row) == expected
    assert doctest.testmod(progress).failed == 0


def test_a_closed_stderr_is_ignored(monkeypatch: pytest.MonkeyPatch):
    tried: list[str] = []

    def write(text: str) -> None:
        tried.append(text)
        raise BrokenPipeError

    monkeypatch.setattr(progress.sys.stderr, "write", write)
    progress.say("a line")
    assert tried == ["a line"]
