"""File locks: one process at a time trains a stage; the lock of a dead process is released."""

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


def test_a_second_holder_is_notified_and_waits_for_the_first(tmp_path: Path):
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with locks.held(tmp_path / "x", waiting=waiting.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with locks.held(tmp_path / "x", waiting=lambda: order.append("must not wait")):
        thread.start()
        assert waiting.wait(timeout=30)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_dead_process_is_released(tmp_path: Path):
    code = "import os, sys, pathlib; from bench.base import locks; "
    code += "lock = locks.held(pathlib.Path(sys.argv[1]), waiting=None); lock.__enter__(); os._exit(9)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "x")], cwd=ROOT, check=False)
    assert done.returncode == 9
    assert (tmp_path / "x").exists()
    with locks.held(tmp_path / "x", waiting=lambda: pytest.fail("nobody holds it")):
        pass


def test_two_threads_that_need_the_same_stage_train_it_once(
    context: StageContext, capsys: pytest.CaptureFixture[str]
):
    facts: list[dict[str, Any]] = []
    threads = [
        threading.Thread(target=lambda: facts.extend(learn("resnet101", context)[1])) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fact["reused"] for fact in facts) == [False, True]
    assert facts[0]["epochs"] == facts[1]["epochs"]
    assert "resnet101 main: another process is learning this stage; waiting for it" in capsys.readouterr().err
    assert [path.suffix for path in context.folder.iterdir()] == [".safetensors"]


def test_a_file_that_a_killed_process_left_half_written_is_deleted(context: StageContext):
    (key,) = stage_cache.stage_keys(method.load_method("resnet101"), small_recipe("resnet101"), context, 0)
    context.folder.mkdir()
    (context.folder / f".{key}.unfinished.safetensors.abc").write_bytes(b"half")
    learn("resnet101", context)
    assert [path.name for path in context.folder.iterdir()] == [f"{key}.safetensors"]
