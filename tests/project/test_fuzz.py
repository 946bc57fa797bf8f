"""Damaged files and odd command lines: whatever comes, a command ends with 0, 1 or 2 and a few lines.

The small run is part of every test; `nox -s slow` runs the large one.
"""

import contextlib
import io
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import card, check, compare, export, plot, predict, prepare, run, runs, score, table
from bench.base import cli
from bench.data import cards
from bench.deploy.load_model import CONFIG
from bench.training.trunk import load_trunk
from tests import fuzzed_files as files


def load_weights(words: list[str]) -> int:
    """What every command does with `--trunk-weights`."""
    load_trunk(files.WITH_WEIGHTS, weights=words[0])
    return 0


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
    "trunk": load_weights,
}
MOST_LINES = 10
OWN = ["--dataset", "fuzzed", "--show", "--images"]
FEW = settings(max_examples=15, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=300, suppress_health_check=list(HealthCheck))
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
    name = data.draw(st.sampled_from(sorted(MAINS.keys() - {"trunk"})))
    with scratch() as folder:
        words = lines_of(data)
        if name == "run":
            words += ["--dataset", "demo", "--jobs", "0"]  # a line that could train is none of ours
        if name == "prepare":
            words += ["--dataset", "no-such-data-set"]
        places = ["--runs", str(folder)] if name in ("check", "export", "plot", "runs", "table") else []
        with contextlib.chdir(folder):
            ends_well(MAINS[name], [*words, *places])


def damaged(data: st.DataObject, content: bytes) -> bytes:  # noqa: PLR0911 (a case for each kind)
    """The content with a part cut out, changed or repeated, or another value in the place of one.

    Of a safetensors file sometimes the header alone, whose length, its first eight bytes, then fits.
    """
    size = int.from_bytes(content[:8], "little")
    if content[8:9] == b"{" and size < len(content) and data.draw(st.booleans()):
        header = damaged(data, content[8 : 8 + size])
        return len(header).to_bytes(8, "little") + header + content[8 + size :]
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


Commands = Callable[[Path], list[tuple[str, list[str]]]]


def verify_demo(folder: Path) -> list[tuple[str, list[str]]]:
    return [("prepare", ["--dataset", "demo", "--data", str(folder), "--verify"])]


def prepare_listed(folder: Path) -> list[tuple[str, list[str]]]:
    places = ["--source", str(folder), "--data", str(folder / "data")]
    return [("prepare", ["--dataset", "listed", *places])]


def predict_one(folder: Path) -> list[tuple[str, list[str]]]:
    words = ["--run", str(folder / "model"), "--images", str(folder / "1.jpg"), "--device", "cpu"]
    return [("predict", words)]


READERS: dict[str, tuple[Callable[[Path], Path], Commands]] = {
    "record": (files.record_file, lambda f: [("table", ["--dataset", "demo", "--runs", str(f)])]),
    "runs": (files.record_file, lambda f: [("runs", ["--runs", str(f)])]),
    "export": (
        files.record_file,
        lambda f: [("export", ["--run", str(f / "demo" / "srn-seed0.json"), "--output", str(f / "o")])],
    ),
    "log": (files.log_file, lambda f: [("plot", ["--dataset", "demo", "--runs", str(f)])]),
    "manifest": (files.manifest_file, verify_demo),
    "card": (files.card_file, lambda f: [("plot", ["--dataset", "demo", "--runs", str(f)])]),
    "csv": (
        files.csv_file,
        lambda f: [("score", ["--predictions", str(f / "p.csv"), "--labels", str(f / "y.csv")])],
    ),
    "tags": (files.tags_file, lambda f: [("card", [*OWN, str(f), "--tags", str(f / "tags.csv")])]),
    "coco": (files.export_file, lambda f: [("card", [*OWN, str(f), "--coco", str(f / "export.json")])]),
    "columns": (files.columns_file, lambda f: [("card", [*OWN, str(f), "--tags", str(f / "tags.csv")])]),
    "pairs": (files.pairs_file, lambda f: [("card", [*OWN, str(f), "--tags", str(f / "tags.csv")])]),
    "list": (files.list_file, prepare_listed),
    "matrix of labels": (files.matrix_of_labels_file, prepare_listed),
    "labelled list": (files.labelled_list_file, prepare_listed),
    "predictions": (
        files.predictions_file,
        lambda f: [("score", ["--predictions", str(f / "p.safetensors")])],
    ),
    "exported weights": (files.exported_file, predict_one),
    "exported configuration": (
        lambda f: files.exported_file(f).with_name(CONFIG),
        predict_one,
    ),
    "trunk weights": (files.trunk_file, lambda f: [("trunk", [str(f / "w.safetensors")])]),
    "npz": (files.npz_file, lambda f: [("score", ["--predictions", str(f / "p.npz")])]),
}


def try_a_damaged_file(kind: str, data: st.DataObject) -> None:
    make, commands = READERS[kind]
    with scratch() as folder:
        path = make(folder)
        path.write_bytes(damaged(data, path.read_bytes()))
        has_card = any(folder.glob("*.toml"))
        with mock.patch.object(cards, "CARDS", folder) if has_card else contextlib.nullcontext():
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
