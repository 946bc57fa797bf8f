"""Records on the Hub: bench.check pushes them, bench.table and bench.check read them; Hub on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from bench import check, table
from bench.base import paths
from bench.data import cards
from bench.results.record import file_name
from tests import hub_server
from tests.hub_server import Hub
from tests.records import fake, refused, write_all, write_card


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders without results, and no card but this one."""
    monkeypatch.setattr(paths, "REPRODUCED", tmp_path / "reproduced")
    monkeypatch.setattr(cards, "CARDS", tmp_path / "cards")
    write_card(tmp_path / "cards", "demo", evaluation='top3 = "thresholded"')
    return tmp_path


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_server.hub(monkeypatch, tmp_path / "cache") as server:
        yield server


def push(results: Path, *words: str) -> int:
    return check.main(
        ["--dataset", "demo", "--runs", str(results / "runs"), "--push", "mine/results", *words]
    )


def rows(results: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[list[dict], list[str]]:
    """(the reproduced rows that have numbers, the notes) of the table."""
    capsys.readouterr()
    args = ["--dataset", "demo", "--runs", str(results / "mine"), "--format", "json", *words]
    assert table.main(args) == 0
    found = json.loads(capsys.readouterr().out)
    return [row for row in found["rows"] if row["source"] == "reproduced" and row["n"]], found["notes"]


def test_a_pushed_record_is_a_row_of_the_table_marked_with_its_source(
    results: Path, server: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    theirs = [fake(seed=seed, shift=seed / 10) for seed in (0, 1)]
    write_all(results / "runs" / "demo", *theirs)
    write_all(results / "mine" / "demo", fake(seed=0, shift=1))
    alone, _ = rows(results, capsys)
    assert push(results) == 0
    commit = server.repositories["dataset", "mine/results"].commits[-1][0]
    assert capsys.readouterr().out == f"pushed: 2 records of demo to hf:mine/results@{commit}\n"
    both, notes = rows(results, capsys, "--records", "hf:mine/results")
    assert both[0] == alone[0]
    other = both[1]
    origin = f"hf:mine/results@{commit[:12]}"
    assert (other["n"], other["method"], other["records"]) == (2, "srn", origin)
    assert other["all"]["mAP"] == pytest.approx(sum(r["metrics"]["srn2017"]["mAP"] for r in theirs) / 2)
    assert f"of {origin}" in other["marks"]
    assert any(note.startswith(f"of {origin}: made elsewhere") for note in notes)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert rows(results, capsys, "--records", f"hf:mine/results@{commit}")[0] == both


def test_the_repository_has_the_layout_of_the_accepted_records_in_one_commit(results: Path, server: Hub):
    record = fake()
    write_all(results / "runs" / "demo", record)
    push(results, "--private")
    repository = server.repositories["dataset", "mine/results"]
    files = server.files("dataset", "mine/results")
    path = f"demo/{file_name(record)}"
    assert (len(repository.commits), repository.private) == (2, True)
    assert files.keys() == {".gitattributes", "README.md", path}
    assert files[path] == (results / "runs" / path).read_bytes()
    assert b"--records hf:mine/results" in files["README.md"]


def test_a_readme_of_their_own_and_records_of_other_data_sets_stay(results: Path, server: Hub):
    server.add("dataset", "mine/results", {"README.md": b"ours", "coco/srn-seed0.json": b"{}"})
    write_all(results / "runs" / "demo", fake())
    push(results)
    files = server.files("dataset", "mine/results")
    assert files["README.md"] == b"ours"
    assert {name for name in files if "/" in name} == {"coco/srn-seed0.json", "demo/srn-seed0.json"}


def test_records_that_are_edited_or_of_partial_data_are_not_pushed(
    results: Path, server: Hub, capsys: pytest.CaptureFixture[str]
):
    folder = results / "runs" / "demo"
    write_all(folder, fake(data={"partial": True}))
    alone = ["--dataset", "demo", "--private", "--runs", str(results / "runs")]
    assert "--private belongs to --push ORG/NAME" in refused(check.main, alone, capsys)
    words = ["--dataset", "demo", "--runs", str(results / "runs"), "--push", "mine/results"]
    line = refused(check.main, words, capsys)
    assert line == "error: made from partial data: srn seed 0; add --allow-partial to push them\n"
    path = folder / "srn-seed0.json"
    path.write_text(path.read_text(encoding="utf-8").replace("123456", "654321"), encoding="utf-8")
    assert "error: edited by hand: srn seed 0" in refused(check.main, [*words, "--allow-partial"], capsys)
    assert server.repositories == {}


def test_damaged_records_are_named_and_edited_ones_are_marked(
    results: Path, server: Hub, capsys: pytest.CaptureFixture[str]
):
    write_all(results / "theirs", fake(), fake("srn_att"))
    good, edited = (
        (results / "theirs" / name).read_bytes() for name in ("srn-seed0.json", "srn_att-seed0.json")
    )
    files = {
        "demo/srn-seed0.json": good,
        "demo/srn_att-seed0.json": edited.replace(b"123456", b"654321"),
        "demo/broken.json": b"{",
        "demo/other-seed0.json": good,
        "demo/wrong-seed0.json": b'{"schema": "x"}',
        "demo/run.py": b"raise SystemExit",
    }
    server.add("dataset", "mine/results", files)
    found, notes = rows(results, capsys, "--records", "hf:mine/results")
    marks = {row["method"]: set(row["marks"]) for row in found}
    assert marks.keys() == {"srn", "srn_att"}
    assert "edited by hand" in marks["srn_att"]
    assert "edited by hand" not in marks["srn"]
    left_out = [
        note.partition(": ")[2] for note in notes if note.startswith("Not shown, of hf:mine/results@")
    ]
    assert [line.partition(":")[0] for line in left_out] == [
        "broken.json",
        "other-seed0.json",
        "wrong-seed0.json",
    ]
    assert "not JSON" in left_out[0]
    assert "rename it to srn-seed0.json" in left_out[1]
    assert "not a record: its schema is 'x'" in left_out[2]
    assert not [request for request in server.asked if "run.py" in request]


def test_more_damaged_records_than_ten_are_counted(
    results: Path, server: Hub, capsys: pytest.CaptureFixture[str]
):
    server.add("dataset", "mine/results", {f"demo/{number:02}.json": b"{" for number in range(13)})
    _, notes = rows(results, capsys, "--records", "hf:mine/results")
    lines = [note for note in notes if note.startswith("Not shown")]
    assert len(lines) == 11
    assert lines[-1].endswith(": 3 more files.")


def test_check_compares_records_of_the_hub_with_the_accepted_ones(
    results: Path, server: Hub, capsys: pytest.CaptureFixture[str]
):
    write_all(results / "reproduced" / "demo", fake(), fake(seed=1))
    write_all(results / "runs" / "demo", fake(), fake(seed=1))
    push(results)
    capsys.readouterr()
    assert check.main(["--dataset", "demo", "--records", "hf:mine/results"]) == 0
    assert "no number moved" in capsys.readouterr().out
    server.add("dataset", "mine/empty", {"coco/srn-seed0.json": b"{}"})
    for command in (check.main, table.main):
        capsys.readouterr()
        line = refused(command, ["--dataset", "demo", "--records", "hf:mine/empty"], capsys)
        assert line.startswith("error: hf:mine/empty: its commit ")
        assert line.endswith(" has no demo/*.json\n")


def test_records_of_other_data_are_marked_as_such(results: Path, capsys: pytest.CaptureFixture[str]):
    write_all(results / "mine" / "demo", fake())
    write_all(results / "theirs", fake(data={"fingerprint": "ee" * 32}))
    own, other = rows(results, capsys, "--records", str(results / "theirs"))[0]
    assert "data eeeeeeee" in other["marks"]
    assert not [mark for mark in own["marks"] if mark.startswith("data ")]


def test_a_folder_of_records_is_shown_beside_ours_too(results: Path, capsys: pytest.CaptureFixture[str]):
    write_all(results / "theirs", fake())
    (row,) = rows(results, capsys, "--records", str(results / "theirs"))[0]
    assert f"of {results / 'theirs'}" in row["marks"]
    (results / "none").mkdir()
    line = refused(table.main, ["--dataset", "demo", "--records", str(results / "none")], capsys)
    assert f"--records {results / 'none'}: no records in {results / 'none'}" in line
