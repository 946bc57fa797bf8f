"""One process at a time learns a stage; a lock never outlives its process."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from bench.base import locks
from bench.base.paths import ROOT
from bench.training import method, stage_cache
from bench.training.stage_cache import StageContext
from tests.conftest import small_recipe
from tests.methods.test_contract import learn


def test_a_second_one_is_told_and_waits_until_the_first_lets_go(tmp_path: Path):
    said: list[str] = []
    told = threading.Event()

    def second() -> None:
        with locks.held(tmp_path / "x", waiting=told.set):
            said.append("second")

    thread = threading.Thread(target=second)
    with locks.held(tmp_path / "x", waiting=lambda: said.append("must not wait")):
        thread.start()
        assert told.wait(timeout=30)
        said.append("first")
    thread.join()
    assert said == ["first", "second"]
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_dead_process_is_free(tmp_path: Path):
    code = "import os, sys, pathlib; from bench.base import locks; "
    code += "lock = locks.held(pathlib.Path(sys.argv[1]), waiting=None); lock.__enter__(); os._exit(9)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "x")], cwd=ROOT, check=False)
    assert done.returncode == 9
    assert (tmp_path / "x").exists()
    with locks.held(tmp_path / "x", waiting=lambda: pytest.fail("nobody holds it")):
        pass


def test_two_that_want_the_same_stage_learn_it_once(
    context: StageContext, capsys: pytest.CaptureFixture[str]
):
    facts: list[dict[str, Any]] = []
    both = [threading.Thread(target=lambda: facts.extend(learn("resnet101", context)[1])) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(fact["reused"] for fact in facts) == [False, True]
    assert facts[0]["epochs"] == facts[1]["epochs"]
    assert "resnet101 main: another process is learning this stage; waiting for it" in capsys.readouterr().err
    assert [path.suffix for path in context.folder.iterdir()] == [".safetensors"]


def test_what_a_killed_process_left_half_written_is_swept(context: StageContext):
    (key,) = stage_cache.stage_keys(method.load_method("resnet101"), small_recipe("resnet101"), context, 0)
    context.folder.mkdir()
    (context.folder / f".{key}.unfinished.safetensors.abc").write_bytes(b"half")
    learn("resnet101", context)
    assert [path.name for path in context.folder.iterdir()] == [f"{key}.safetensors"]
