"""Runs by the names that users call them, and the list of runs."""

from pathlib import Path

import pytest

from bench import runs as command
from bench.base.errors import InputError
from bench.deploy.find_run import find_run, give_name, list_runs
from tests.records import fake, refused, write_all


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three runs of the demo, the one of seed 1 written last."""
    records = [fake("srn", seed) for seed in (0, 1)] + [fake("resnet101")]
    for number, one in enumerate(records):
        one["provenance"] = one["provenance"] | {"written": f"2026-01-0{(3, 9, 5)[number]}T00:00:00+00:00"}
    write_all(tmp_path / "runs" / "demo", *records)
    return tmp_path / "runs"


@pytest.mark.parametrize(
    ("wanted", "run"),
    [
        ("demo/srn-seed0", "srn-seed0"),
        ("srn-seed0", "srn-seed0"),
        ("srn-seed0.json", "srn-seed0"),
        ("demo", "srn-seed1"),
        ("srn", "srn-seed1"),
        ("demo/resnet101", "resnet101-seed0"),
    ],
)
def test_a_name_that_fits_several_runs_means_the_newest(folder: Path, wanted: str, run: str):
    assert find_run(wanted, folder) == folder / "demo" / f"{run}.json"


def test_a_path_comes_before_all_names(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    assert find_run("demo", folder) == Path("demo")


def test_a_name_given_means_that_run_until_another_gets_it(folder: Path):
    give_name("mine", "demo/srn-seed0", folder)
    assert find_run("mine", folder).stem == "srn-seed0"
    give_name("mine", "demo/resnet101-seed0", folder)
    assert find_run("mine", folder).stem == "resnet101-seed0"
    assert [run.names for run in list_runs(folder)] == [(), ("mine",), ()]


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\nb", "x" * 101, " a"])
def test_a_name_that_could_be_a_path_is_refused(folder: Path, name: str):
    with pytest.raises(InputError, match="--name "):
        give_name(name, "demo/srn-seed0", folder)


def test_an_unknown_name_lists_the_runs_there_are(folder: Path):
    names = "demo/srn-seed1, demo/resnet101-seed0, demo/srn-seed0"
    with pytest.raises(InputError, match=f"choose from: {names}$"):
        find_run("snr", folder)
    with pytest.raises(InputError, match="train one with python -m bench.run"):
        find_run("n" * 300, folder / "none")


def test_the_list_has_the_newest_run_first(folder: Path, capsys: pytest.CaptureFixture[str]):
    give_name("mine", "demo/srn-seed0", folder)
    assert command.main(["--runs", str(folder)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows[0] == ["demo/srn-seed1", "srn", "1", "80.00", "2026-01-09", "00:00"]
    assert [row[0] for row in rows[1:]] == ["demo/resnet101-seed0", "demo/srn-seed0"]
    assert rows[2][-1] == "mine"


def test_a_damaged_record_is_named(folder: Path, capsys: pytest.CaptureFixture[str]):
    (folder / "demo" / "bad.json").write_text("{", encoding="utf-8")
    assert "bad.json: not JSON: " in refused(command.main, ["--runs", str(folder)], capsys)
