"""Progress of a training stage: loss, learning rate, images per second, time left; on a terminal or not."""

import re

import pytest

from bench.base import progress
from bench.base.progress import Progress


def test_without_a_terminal_each_epoch_prints_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    clock = iter([0.0, 8.0, 8.0, 8.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Progress("SRN seed 0 main", epochs=3, steps=2, batch_size=96) as bar:
        bar.step()
        bar.step()
        bar.epoch(1, loss=2.5, held_out=2.75, lr=0.001)
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
        bar.epoch(1, loss=2.5, held_out=2.75, lr=0.001)
    printed = capsys.readouterr().err
    assert "SRN seed 0 main" in printed
    assert re.search(r"\d+:\d+<.*loss 2.5000, held out 2.7500, lr 0.001, [\d,]+ images/s", printed)
    assert "at most" not in printed


def test_a_closed_stderr_is_ignored(monkeypatch: pytest.MonkeyPatch):
    tried: list[str] = []

    def write(text: str) -> None:
        tried.append(text)
        raise BrokenPipeError

    monkeypatch.setattr(progress.sys.stderr, "write", write)
    progress.say("a line")
    assert tried == ["a line"]
