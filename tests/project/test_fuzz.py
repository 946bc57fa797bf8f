"""Damaged files and odd command lines: whatever comes, a command ends with 0, 1 or 2 and a few lines.

The small run is part of every test; `nox -s slow` runs the large one.
"""

import contextlib
import io
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import card, check, compare, export, plot, predict, prepare, run, runs, score, table
from bench.base import cli
from bench.data import cards
from bench.results import record
from tests import records, trees
from tests.training.test_log import row

MAINS: dict[str, Callable[[list[str]], int]] = {
    "card": card.main,
    "check": check.main,
    "compare": compare.main,
    "export": export.main,
    "plot": plot.main,
    "predict": predict.main,
    "prepare": prepare.main,
    "run": run.main,
    "runs": runs.main,
    "score": score.main,
    "table": table.main,
}
MOST_LINES = 10
OWN = ["--dataset", "fuzzed", "--show", "--images"]
FEW = settings(max_examples=25, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=150, suppress_health_check=list(HealthCheck))
ODD = [
    "",
    "%s",
    "a\nb",
    "../..",
    "\udce9",
    "nan",
    "-1",
    "é" * 300,
    "[" * 500,
    "1e999",
    "--",
    "@size=",
]
OPTIONS = ["--dataset", "--method", "--run", "--output", "--set", "--lr", "--crops", "--seeds", "--profile"]
OPTIONS += ["--predictions", "--labels", "--images", "--top", "--format", "--source", "--device", "--jobs"]
VALUES = ["demo", "srn", "all", "auto", "meta", "0", "text", "demo/srn-seed0", *ODD]


def ends_well(main: Callable[[list[str]], int], words: list[str]) -> None:
    """The command ends with 0, 1 or 2 and says at most ten lines on standard error."""
    out, err = io.StringIO(), io.StringIO()
    shown = (contextlib.redirect_stdout(out), contextlib.redirect_stderr(err))
    with shown[0], shown[1], pytest.raises(SystemExit) as ended:
        cli.run_command(lambda: main(words))
    said = err.getvalue()
    assert ended.value.code in (0, 1, 2), (words, said)
    assert "Traceback" not in said
    if ended.value.code == 2:
        assert said.startswith("error: ") or "\nerror: " in said, said
    assert said.count("\n") <= MOST_LINES, said


@contextlib.contextmanager
def scratch() -> Any:
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def lines_of(data: st.DataObject) -> list[str]:
    pairs = data.draw(st.lists(st.tuples(st.sampled_from(OPTIONS), st.sampled_from(VALUES)), max_size=5))
    return [word for option, value in pairs for word in (option, *([value] if value else []))]


def try_a_command_line(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(MAINS)))
    with scratch() as folder:
        words = lines_of(data)
        if name == "run":
            words += ["--dataset", "demo", "--jobs", "0"]  # a line that could train is none of ours
        if name == "prepare":
            words += ["--dataset", "no-such-data-set"]
        places = ["--runs", str(folder)] if name in ("check", "export", "plot", "runs", "table") else []
        with contextlib.chdir(folder):
            ends_well(MAINS[name], [*words, *places])


def damaged(data: st.DataObject, content: bytes) -> bytes:
    """The content with a part cut out, changed or repeated, or another value in the place of one."""
    kind = data.draw(st.sampled_from(["cut", "flip", "repeat", "token", "deep", "bytes"]))
    at = data.draw(st.integers(0, max(0, len(content) - 1)))
    length = data.draw(st.integers(1, 40))
    if kind == "cut":
        return content[:at] + content[at + length :]
    if kind == "flip":
        return content[:at] + bytes([data.draw(st.integers(0, 255))]) + content[at + 1 :]
    if kind == "repeat":
        return content[: at + length] + content[at:]
    if kind == "bytes":
        return content[:at] + data.draw(st.binary(max_size=20)) + content[at:]
    if kind == "deep":
        return content[:at] + b"[" * 20_000 + content[at:]
    tokens = [b"null", b"[]", b"{}", b'"x"', b"-1", b"1e999", b"NaN", b"true", b"1" * 5000]
    return content.replace(
        data.draw(st.sampled_from(value_tokens(content))), data.draw(st.sampled_from(tokens)), 1
    )


def value_tokens(content: bytes) -> list[bytes]:
    """The values in a text of TOML, JSON or CSV."""
    separated = content.replace(b"=", b" ").replace(b":", b" ").replace(b",", b" ")
    return [word.strip(b"{}[]") for word in separated.split() if word.strip(b"{}[]")] or [b" "]


def record_file(folder: Path) -> Path:
    return record.write_record(records.fake(), folder / "demo")


def log_file(folder: Path) -> Path:
    path = folder / "demo" / "srn-seed0.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(row(epoch=n)) + "\n" for n in (1, 2, 3)), encoding="utf-8")
    return path


def config_file(folder: Path) -> Path:
    path = folder / "model" / "config.json"
    path.parent.mkdir()
    text = {"schema": "multilabel-bench/model/1", "id2label": {"0": "a"}, "record": records.fake()}
    path.write_text(json.dumps(text), encoding="utf-8")
    return path


def manifest_file(folder: Path) -> Path:
    path = folder / "demo" / "manifest.json"
    path.parent.mkdir()
    made = {"layout": 2, "card": "c" * 64}
    text = {"made_from": made, "files": {"train": [1], "held_out": [1], "test": [1]}, "fingerprint": "f"}
    path.write_text(json.dumps(text), encoding="utf-8")
    return path


def card_file(folder: Path) -> Path:
    path = folder / "demo.toml"
    shutil.copy(cards.CARDS / "demo.toml", path)
    return path


def csv_file(folder: Path) -> Path:
    path = folder / "p.csv"
    path.write_text("id,a,b\nx,0.5,-1\ny,1.5,2\n", encoding="utf-8")
    (folder / "y.csv").write_text("id,a,b\nx,0,1\ny,1,0\n", encoding="utf-8")
    return path


def tags_file(folder: Path) -> Path:
    path = folder / "tags.csv"
    path.write_text('file,tags\n1.jpg,"a,b"\n2.jpg,a\n3.jpg,"a,b"\n', encoding="utf-8")
    for n in (1, 2, 3):
        trees.jpeg(folder / f"{n}.jpg")
    return path


def export_file(folder: Path) -> Path:
    path = folder / "export.json"
    images = [{"id": n, "file_name": f"{n}.jpg"} for n in (1, 2, 3)]
    annotations = [{"image_id": n, "category_id": 1} for n in (1, 2, 3)]
    text = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "a"}]}
    path.write_text(json.dumps(text), encoding="utf-8")
    for n in (1, 2, 3):
        trees.jpeg(folder / f"{n}.jpg")
    return path


def npz_file(folder: Path) -> Path:
    path = folder / "p.npz"
    np.savez(path, logits=np.eye(3), labels=np.eye(3, dtype=int))
    return path


Commands = Callable[[Path], list[tuple[str, list[str]]]]
READERS: dict[str, tuple[Callable[[Path], Path], Commands]] = {
    "record": (record_file, lambda f: [("table", ["--dataset", "demo", "--runs", str(f)])]),
    "runs": (record_file, lambda f: [("runs", ["--runs", str(f)])]),
    "export": (
        record_file,
        lambda f: [("export", ["--run", str(f / "demo" / "srn-seed0.json"), "--output", str(f / "o")])],
    ),
    "log": (log_file, lambda f: [("plot", ["--dataset", "demo", "--runs", str(f)])]),
    "config": (config_file, lambda f: [("export", ["--run", str(f / "model"), "--output", str(f / "o")])]),
    "manifest": (manifest_file, lambda f: [("prepare", ["--dataset", "demo", "--data", str(f), "--verify"])]),
    "card": (card_file, lambda f: [("plot", ["--dataset", "demo", "--runs", str(f)])]),
    "csv": (
        csv_file,
        lambda f: [("score", ["--predictions", str(f / "p.csv"), "--labels", str(f / "y.csv")])],
    ),
    "tags": (tags_file, lambda f: [("card", [*OWN, str(f), "--tags", str(f / "tags.csv")])]),
    "coco": (export_file, lambda f: [("card", [*OWN, str(f), "--coco", str(f / "export.json")])]),
    "npz": (npz_file, lambda f: [("score", ["--predictions", str(f / "p.npz")])]),
}


def try_a_damaged_file(kind: str, data: st.DataObject) -> None:
    make, commands = READERS[kind]
    with scratch() as folder:
        path = make(folder)
        path.write_bytes(damaged(data, path.read_bytes()))
        patched = mock.patch.object(cards, "CARDS", folder) if kind == "card" else contextlib.nullcontext()
        with patched:
            for name, words in commands(folder):
                ends_well(MAINS[name], words)


@FEW
@given(st.data())
def test_odd_command_lines_end_well(data: st.DataObject):
    try_a_command_line(data)


@pytest.mark.parametrize("kind", READERS)
@FEW
@given(data=st.data())
def test_damaged_files_end_well(kind: str, data: st.DataObject):
    try_a_damaged_file(kind, data)


@pytest.mark.slow
@MANY
@given(st.data())
def test_many_odd_command_lines_end_well(data: st.DataObject):
    try_a_command_line(data)


@pytest.mark.slow
@pytest.mark.parametrize("kind", READERS)
@MANY
@given(data=st.data())
def test_many_damaged_files_end_well(kind: str, data: st.DataObject):
    try_a_damaged_file(kind, data)
