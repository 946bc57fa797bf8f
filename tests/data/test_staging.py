"""A complete new store replaces the old one; disk space is checked first; interruptions are resumed."""

import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.base.errors import InputError
from bench.base.paths import ROOT
from bench.data import held_out, preparation, shards, staging, store
from bench.data.cards import Sizes
from tests.prepared import coco, go, numbered, numbered_tree

pytestmark = pytest.mark.usefixtures("alone")


class TestDiskSpace:
    def test_is_printed_first(
        self, source: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(staging.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 30e9})())
        monkeypatch.setattr(preparation, "store_bytes", lambda *_: 22_986_000_000)
        go(coco(), source, tmp_path)
        line = "MS-COCO: 4 images for training and 2 for testing need 23.0 GB in"
        assert f"{line} {tmp_path}/data/coco, where 30.0 GB are free\n" in capsys.readouterr().err

    def test_is_estimated_within_5_percent(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        stated = []
        monkeypatch.setattr(held_out, "SMALL", 0)  # of four images one more held out would be a fifth
        monkeypatch.setattr(
            staging.StagingFolder,
            "begin",
            lambda self, needed, _: (self.unfinished.mkdir(), stated.append(needed)),
        )
        made = go(coco(sizes=Sizes(200, 150)), source, tmp_path)
        taken = sum(path.stat().st_size for path in made.folder.iterdir())
        assert taken == pytest.approx(stated[0], rel=0.05)

    def test_that_is_too_small_stops_the_preparation(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(staging.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 9})())
        with pytest.raises(
            InputError,
            match=r"need 35.6 KB in .*, where 9 bytes are free; free some space, or give another",
        ):
            go(coco(), source, tmp_path)

    def test_that_runs_out_is_reported_with_path_and_bytes(self, source: Path, tmp_path: Path):
        """The system refuses files larger than 60 kB; the old store can still be read."""
        before = go(coco(), source, tmp_path)
        path = tmp_path / "data" / "coco.unfinished" / "train-00000.arrow"
        allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, allowed[1]))
        try:
            with pytest.raises(InputError, match=rf"cannot write {path} beyond [\d,]+ bytes: File too large"):
                go(coco(sizes=Sizes(100, 100)), source, tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
        assert store.open_store(before.folder).train.images(np.array([0])).shape == (1, 48, 48, 3)
        assert list(path.parent.iterdir()) == []


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Neither gone nor a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def interrupt(_: object) -> None:
    raise KeyboardInterrupt


class TestInterruptedPreparation:
    def test_is_resumed_after_a_kill_without_making_finished_shards_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        """Its worker processes end too; the result is the same as without interruption."""
        root, data = numbered_tree(tmp_path / "source"), tmp_path / "data"
        monkeypatch.setattr(shards, "MAX_ITEMS", 4)
        whole = preparation.prepare(numbered(), source=root, data=tmp_path / "whole")
        code = (
            "import time; from pathlib import Path\n"
            "from bench.data import preparation, shards; from tests import prepared\n"
            "shards.MAX_ITEMS, preparation.cores, every = 4, lambda: 2, preparation._shards\n"
            "def slowly(*how):\n"
            "    for number, shard in enumerate(every(*how)):\n"
            "        yield time.sleep(0.5 * (number > 6)) or shard\n"
            "preparation._shards = slowly\n"
            f"preparation.prepare(prepared.numbered(), source=Path({str(root)!r}), data=Path({str(data)!r}))"
        )
        facts = data / "own.unfinished" / "facts"
        with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as process:
            wait_for(lambda: facts.is_dir() and len(list(facts.glob("*.json"))) >= 3)
            workers = children(process.pid)
            process.kill()
        assert len(workers) >= 2
        wait_for(lambda: not any(map(is_running, workers)))
        assert not (data / "own").exists()
        done = {path.stem for path in facts.glob("*.json")}
        before = {name: (facts.parent / f"{name}.arrow").stat().st_mtime_ns for name in done}
        made = preparation.prepare(numbered(), source=root, data=data)
        assert 3 <= len(done) < 25, "it was killed before the end"
        assert {name: (made.folder / f"{name}.arrow").stat().st_mtime_ns for name in done} == before
        assert made.fingerprint == whole.fingerprint
        names = {path.name for path in whole.folder.iterdir()}
        assert {path.name for path in made.folder.iterdir()} == names

    def test_between_the_two_renames_leaves_the_new_store_usable(self, source: Path, tmp_path: Path):
        made = go(coco(), source, tmp_path)
        made.folder.rename(tmp_path / "data" / "coco.unfinished")
        assert preparation.prepare(coco(), data=tmp_path / "data").fingerprint == made.fingerprint

    def test_of_a_further_preparation_leaves_the_old_store_usable(self, source: Path, tmp_path: Path):
        made = go(coco(), source, tmp_path)
        made.folder.rename(tmp_path / "data" / "coco.replaced")
        (tmp_path / "data" / "coco.unfinished").mkdir()
        assert preparation.prepare(coco(), data=tmp_path / "data").fingerprint == made.fingerprint

    def test_reads_files_that_changed_since_again(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(shards, "MAX_ITEMS", 1)
        with monkeypatch.context() as interrupted:
            interrupted.setattr(preparation.assembly, "assemble", interrupt)
            with pytest.raises(KeyboardInterrupt):
                go(coco(), source, tmp_path)
        path = source / "train2014" / "COCO_train2014_000000000030.jpg"
        Image.new("RGB", (40, 30), (200, 10, 10)).save(path)
        made = go(coco(), source, tmp_path)
        assert np.abs(made.train.images(np.array([3])).astype(int) - [200, 10, 10]).max() < 4

    def test_makes_damaged_facts_again(self, source: Path, tmp_path: Path):
        facts = tmp_path / "data" / "coco.unfinished" / "facts"
        facts.mkdir(parents=True)
        (facts / "train-00000.json").write_text('{"key": "abc"', encoding="utf-8")
        (facts / "test-00000.json").write_text('{"colour": "red"}', encoding="utf-8")
        assert len(go(coco(), source, tmp_path).train) == 4


def test_of_two_processes_that_prepare_the_same_store_one_waits_for_the_other(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The second one, here a thread, uses the store that the first one made."""
    monkeypatch.setattr(staging, "say", lambda line: (printed.append(line), release.set()))
    printed: list[str] = []
    release, made = threading.Event(), []
    where = staging.StagingFolder(tmp_path / "data" / "coco")
    second = threading.Thread(target=lambda: made.append(go(coco(), source, tmp_path)))
    with where.locked():
        second.start()
        assert release.wait(60)
        shutil.copytree(preparation.prepare(coco(), source=source, data=tmp_path / "b").folder, where.folder)
        before = (where.folder / "manifest.json").stat().st_mtime_ns
    second.join(60)
    assert printed[0] == f"waiting for another process that prepares {where.folder}"
    assert (made[0].folder / "manifest.json").stat().st_mtime_ns == before


def test_a_folder_that_cannot_be_written_is_named(source: Path, tmp_path: Path):
    (tmp_path / "data").write_text("a file", encoding="utf-8")
    with pytest.raises(InputError, match=r"data/coco: cannot be entered: .*: --data DIR"):
        go(coco(), source, tmp_path)
