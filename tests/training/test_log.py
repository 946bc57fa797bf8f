"""The log: a line for every epoch of every stage, readable after a crash, and the curves drawn from it."""

import doctest
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from bench import plot, run
from bench.base.errors import InputError
from bench.base.run_folder import RunFolder
from bench.report import run_curves
from bench.training import log
from bench.training.log import Log
from tests.training.test_run import FEW

FACTS = {"lr": 0.1, "loss": 2.0, "held_out_loss": 2.5, "held_out_mAP": None}


def row(stage: str = "main", key: str = "k", epoch: int = 1, **more: Any) -> dict[str, Any]:
    return {"stage": stage, "key": key, "epoch": epoch, **FACTS, **more}


def trained(tmp_path: Path, *words: str) -> Path:
    places = ["--data", str(tmp_path / "data"), "--runs", str(tmp_path / "runs")]
    assert run.main(["--dataset", "demo", *FEW, *places, *words]) == 0
    return tmp_path / "runs" / "demo"


def test_a_run_logs_every_epoch_of_every_stage(small_cards: Path, tmp_path: Path):
    assert small_cards.exists()
    trained(tmp_path, "--method", "resnet101")
    folder = trained(tmp_path, "--method", "srn")
    (path,) = folder.glob("srn@*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["stage"] for line in lines] == ["main", "attention", "regularization", "joint"]
    assert "images_per_second" not in lines[0]  # learned by ResNet-101's run
    for line in lines[1:]:
        assert line["images_per_second"] > 0
        assert line["memory_bytes"] > 10**8
        assert line["processes"] == 1
        assert {"epoch", "lr", "loss", "held_out_loss", "held_out_mAP", "seconds", "key"} <= line.keys()
    trained(tmp_path, "--method", "srn", "--set", "joint_epochs=1")
    assert len(path.read_text().splitlines()) == 4


def test_the_latest_training_counts_and_a_torn_line_does_not(tmp_path: Path):
    path = tmp_path / "r.jsonl"
    first = Log(path)
    for epoch in (1, 2, 3):
        first.write(row(epoch=epoch))
    with path.open("a") as file:
        file.write('{"stage": "main", "ke')
    second = Log(path)
    second.write(row(epoch=3, loss=1.0))  # done again after the process was killed
    second.write(row("joint", epoch=1))
    assert [(r["stage"], r["epoch"], r["loss"]) for r in log.rows(path)] == [
        ("main", 1, 2.0),
        ("main", 2, 2.0),
        ("main", 3, 1.0),
        ("joint", 1, 2.0),
    ]
    second.write(row(key="another recipe", epoch=1))
    assert [(r["stage"], r["epoch"]) for r in log.rows(path)] == [("main", 1), ("joint", 1)]


def test_lines_that_are_no_rows_are_passed_over_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "r"
    Log(path).write(row("main"))
    with path.open("a", encoding="utf-8") as file:
        file.write('{"epoch": 2}\n[1]\n{"stage": 3}\n')
    Log(path).write(row("joint"))
    assert [r["stage"] for r in log.rows(path)] == ["main", "joint"]
    assert "no row of a log, passed over: line 2: missing: stage, key, lr" in capsys.readouterr().err


def test_what_was_learned_before_is_recalled_once(tmp_path: Path):
    for _ in range(2):
        Log(tmp_path / "r").write_missing("main", "k" * 64, [{**FACTS, "epoch": 1}, {**FACTS, "epoch": 2}])
    assert [r["epoch"] for r in log.rows(tmp_path / "r")] == [1, 2]
    assert len((tmp_path / "r").read_text().splitlines()) == 2


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    fresh = Log(tmp_path / "r")
    fresh.path = tmp_path / "folder"
    with pytest.raises(InputError, match="cannot write .*folder: Is a directory"):
        fresh.write(row())


class TestPlot:
    def logs(self, tmp_path: Path) -> Path:
        folder = tmp_path / "demo"
        for name in ("srn-seed0", "srn@epochs=2-seed1", "srn_att-seed0"):
            for stage in ("main", "joint"):
                Log(folder / f"{name}.jsonl").write(row(stage))
        return folder

    @pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
    def test_writes_a_picture_of_each_kind(
        self, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ):
        self.logs(tmp_path)
        output = tmp_path / f"curves.{kind}"
        words = ["--dataset", "demo", "--runs", str(tmp_path), "--output", str(output)]
        assert plot.main(words) == 0
        assert capsys.readouterr().out == f"written: {output}\n"
        starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
        assert output.read_bytes().startswith(starts[kind])

    def test_draws_every_run_of_the_method_and_no_other(self, tmp_path: Path):
        runs = run_curves.read(RunFolder(self.logs(tmp_path)), ["srn"])
        assert list(runs) == ["srn-seed0", "srn@epochs=2-seed1"]
        losses, maps, _ = run_curves.draw(runs, title="demo").axes
        assert [
            line.get_ydata().tolist() if hasattr(line.get_ydata(), "tolist") else line.get_ydata()
            for line in losses.lines[:2]
        ] == [[2.0, 2.0], [2.5, 2.5]]
        assert len(losses.lines) == 4
        assert len(maps.lines) == 4  # a curve and where the joint stage begins, for both
        assert [text.get_text() for text in maps.get_legend().get_texts()] == list(runs)

    def test_both_weights_the_watched_test_set_and_the_rate_of_every_step_are_drawn(self):
        both = {"raw_held_out_mAP": 50.0, "averaged_held_out_mAP": 51.0, "test_mAP": 49.0}
        both |= {"raw_held_out_loss": 2.5, "averaged_held_out_loss": 2.25, "lr_first": 0.4}
        losses, maps, rates = run_curves.draw({"a": [row(**both)]}, title="").axes
        drawn = [[[*line.get_ydata()] for line in axis.lines] for axis in (losses, maps, rates)]
        assert drawn == [[[2.0], [2.5], [2.25]], [[50.0], [51.0], [49.0]], [[0.4, 0.1]]]
        legend = "; dash-dotted: averaged weights; crosses: the test set, watched only"
        assert rates.get_xlabel() == f"epoch, over all stages{legend}"
        assert doctest.testmod(run_curves).failed == 0

    def test_no_log_is_said(self, tmp_path: Path):
        with pytest.raises(InputError, match="no log of srn in .*demo: run python -m bench.run first"):
            plot.main(["--dataset", "demo", "--method", "SRN", "--runs", str(tmp_path)])

    def test_another_kind_of_file_is_refused(self, tmp_path: Path):
        words = ["--dataset", "demo", "--runs", str(tmp_path), "--output", "a.xls"]
        with pytest.raises(InputError, match=r"--output a.xls: .* ends in one of: .pdf, .png, .svg"):
            plot.main(words)

    def test_a_picture_that_cannot_be_written_is_said_and_leaves_nothing(self, tmp_path: Path):
        self.logs(tmp_path)
        (tmp_path / "none").touch()
        output = str(tmp_path / "none" / "a.png")
        with pytest.raises(InputError, match=r"a.png: cannot be written: Not a directory; "):
            plot.main(["--dataset", "demo", "--runs", str(tmp_path), "--output", output])

    def test_a_full_disk_leaves_no_empty_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        folder = self.logs(tmp_path)

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match=r"cannot write .*curves.png \([\d,]+ bytes\): No space left"):
            plot.main(["--dataset", "demo", "--runs", str(tmp_path)])
        assert {path.suffix for path in folder.iterdir()} == {".jsonl"}

    def test_the_doctests_hold(self):
        assert doctest.testmod(plot).failed == 0
