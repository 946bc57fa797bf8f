"""What cannot be written is refused before any work, by every command that writes."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import check, compare, export, plot, predict, prepare, run, score, table
from bench.base import atomic_files, paths
from bench.base.atomic_files import check_output, check_writable
from bench.base.errors import InputError
from bench.data import __main__ as data_command
from bench.data import survey
from bench.perf import train as perf_train
from bench.report import __main__ as report
from bench.results import record
from bench.site import __main__ as site
from bench.training import device
from tests import records
from tests.records import refused

Main = Callable[[list[str]], int]
TRAIN = ["--dataset", "demo", "--method", "srn"]
SCORE = ["--predictions", "p.npz"]
LABEL = ["--run", "demo", "--images", "i.png"]
# Each command with the words before the path: of a folder that is a file, or that is in a file.
FOLDERS: dict[str, tuple[Main, list[str]]] = {
    "run": (run.main, [*TRAIN, "--runs"]),
    "run, data": (run.main, [*TRAIN, "--data"]),
    "prepare": (prepare.main, ["--dataset", "demo", "--data"]),
    "plot": (plot.main, ["--dataset", "demo", "--runs"]),
    "export": (export.main, ["--run", "demo", "--output"]),
    "report": (report.main, ["--dataset", "demo", "--output"]),
    "site": (site.main, ["--output"]),
    "predict, maps": (predict.main, [*LABEL, "--maps"]),
    "perf": (perf_train.main, ["--output"]),
}
FILES: dict[str, tuple[Main, list[str]]] = {
    "predict": (predict.main, [*LABEL, "--output"]),
    "table": (table.main, ["--dataset", "demo", "--output"]),
    "score": (score.main, [*SCORE, "--output"]),
    "compare": (compare.main, ["--predictions", "a.npz", "b.npz", "--output"]),
    "plot": (plot.main, ["--dataset", "demo", "--output"]),
    "data": (data_command.main, ["--dataset", "demo", "--output"]),
}


@pytest.fixture(autouse=True)
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is counted and no device is chosen: a refusal comes before."""

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("work has begun")

    monkeypatch.setattr(survey, "items", fail)
    monkeypatch.setattr(device, "choose", fail)


def refuse_folders(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def mkdir(path: Any, *_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code), path)

    monkeypatch.setattr(os, "mkdir", mkdir)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_in_place_of_a_folder(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").touch()
    main, words = FOLDERS[name]
    for path in (tmp_path / "file", tmp_path / "file" / "new"):
        message = refused(main, [*words, str(path)], capsys)
        assert f"{path}: " in message
        assert f"give another folder: {words[-1]} DIR" in message


@pytest.mark.parametrize("name", FILES)
def test_a_folder_in_place_of_a_file_and_a_file_in_place_of_its_folder(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    main, words = FILES[name]
    message = refused(main, [*words, str(tmp_path / "folder.png")], capsys)
    assert "folder.png: is a folder; give a file: --output FILE" in message
    message = refused(main, [*words, str(tmp_path / "file" / "a.png")], capsys)
    assert "a.png: cannot be written: Not a directory; give another file" in message


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
@pytest.mark.parametrize("name", ["run", "prepare", "export", "report", "site", "predict, maps", "perf"])
def test_a_folder_that_the_system_does_not_let_write(
    name: str,
    code: int,
    small_cards: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    refuse_folders(monkeypatch, code)
    main, words = FOLDERS[name]
    message = refused(main, [*words, str(small_cards.parent / "new")], capsys)
    assert f"cannot be written: {os.strerror(code)}; give another folder: {words[-1]} DIR" in message


@pytest.mark.parametrize("place", ["demo", "demo/stages", "demo/predictions"])
def test_a_file_in_the_runs_folder_where_a_run_needs_a_folder(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.touch()
    message = refused(run.main, [*TRAIN, "--runs", str(tmp_path)], capsys)
    assert f"{path}: is not a folder; give another folder: --runs DIR" in message


def test_a_file_in_place_of_a_store_or_beside_it(
    small_cards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert small_cards.is_dir()
    for name in ("demo.unfinished", "demo"):
        path = tmp_path / "data" / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        message = refused(prepare.main, ["--dataset", "demo", "--data", str(path.parent)], capsys)
        assert f"{path}: is not a folder; give another folder: --data DIR" in message
        assert path.is_file()


def test_accepted_records_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(paths, "REPRODUCED", tmp_path / "accepted")
    record.write_record(records.fake(), tmp_path / "demo")
    refuse_folders(monkeypatch, errno.EROFS)
    message = refused(check.main, ["--dataset", "demo", "--runs", str(tmp_path), "--accept"], capsys)
    assert "accepted/demo: cannot be written: Read-only file system; make it a folder that can be" in message


def test_access_is_asked_for_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(atomic_files.os, "access", lambda _path, mode: not mode & os.W_OK)
    with pytest.raises(InputError, match="new: cannot be written: Permission denied; give another folder: -"):
        check_writable(tmp_path / "new", option="--runs")


def test_what_can_be_written_leaves_nothing_behind(tmp_path: Path):
    check_writable(tmp_path / "a" / "b", option="--runs")
    check_output(tmp_path / "a" / "c.csv", option="--output")
    check_output(Path("/dev/null"), option="--output")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="cannot be written: .*null"):
        check_output(tmp_path / "a\0b", option="--output")


@pytest.mark.parametrize(
    ("main", "words"),
    [
        (run.main, [*TRAIN, "--data"]),
        (run.main, [*TRAIN, "--trunk-weights"]),
        (run.main, [*TRAIN, "--name"]),
        (prepare.main, ["--dataset", "coco", "--source"]),
        (prepare.main, ["--dataset"]),
        (export.main, ["--output", "new", "--run"]),
        (predict.main, ["--run", "demo", "--images"]),
        (predict.main, [*LABEL, "--maps"]),
        (export.main, ["--run", "demo", "--output"]),
        (check.main, ["--dataset", "demo", "--records"]),
        (score.main, ["--predictions"]),
        (table.main, ["--dataset", "demo", "--output"]),
    ],
)
def test_a_zero_byte_in_a_path_is_one_line(main: Main, words: list[str], capsys: pytest.CaptureFixture[str]):
    assert "a\\x00b" in refused(main, [*words, "a\0b"], capsys)
