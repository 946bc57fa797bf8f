"""Progress of long work: a bar on a terminal, plain lines elsewhere, no line for short work."""

import re

import pytest

from bench.base import progress
from bench.base.progress import Meter


def ticking(monkeypatch: pytest.MonkeyPatch, *times: float) -> None:
    clock = iter(times)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))


def test_without_a_terminal_a_line_is_printed_every_ten_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    ticking(monkeypatch, 0.0, 5.0, 10.0, 15.0, 20.0)
    with Meter("prepare coco", total=10_000, unit="images") as count:
        for _ in range(4):
            count.add(1000)
    assert capsys.readouterr().err == (
        "prepare coco: 2,000 of 10,000 images, 200 a second, 0:40 left\n"
        "prepare coco: 4,000 of 10,000 images, 200 a second, 0:30 left\n"
    )


def test_work_of_an_earlier_process_does_not_count_for_the_rate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    ticking(monkeypatch, 0.0, 10.0)
    with Meter("a.zip", total=10_000, unit="B", done=9_000) as count:
        count.add(100)
    assert capsys.readouterr().err == "a.zip: 9,100 of 10,000 B, 10 a second, 1:30 left\n"


def test_on_a_terminal_a_bar_is_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    with Meter("prepare coco", total=4, unit="images") as count:
        count.add(4)
    assert re.search(r"prepare coco: 100%.*4\.00/4\.00", capsys.readouterr().err)
