"""A store takes its place whole: room is needed first, and what is interrupted goes on where it was."""

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
from bench.data import preparation, shards, staging, store
from bench.data.cards import Sizes
from tests.prepared import coco, go, numbered, numbered_tree

pytestmark = pytest.mark.usefixtures("alone")


class TestRoom:
    def test_is_stated_first(
        self, source: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(staging.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 30e9})())
        monkeypatch.setattr(preparation, "store_bytes", lambda *_: 22_986_000_000)
        go(coco(), source, tmp_path)
        line = "MS-COCO: 4 images for training and 2 for testing take 23.0 GB in"
        assert f"{line} {tmp_path}/data/coco, where 30.0 GB are free\n" in capsys.readouterr().err

    def test_is_what_the_files_take(self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        stated = []
        monkeypatch.setattr(
            staging.StagingFolder,
            "begin",
            lambda self, need, _: (self.unfinished.mkdir(), stated.append(need)),
        )
        made = go(coco(sizes=Sizes(200, 150)), source, tmp_path)
        taken = sum(path.stat().st_size for path in made.folder.iterdir())
        assert taken == pytest.approx(stated[0], rel=0.05)

    def test_that_is_not_there_stops_it(self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(staging.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 9})())
        with pytest.raises(InputError, match=r"take 0.0 GB in .*; make room, or name another folder: --data"):
            go(coco(), source, tmp_path)

    def test_that_ends_on_the_way_is_named_with_path_and_bytes(self, source: Path, tmp_path: Path):
        """The system refuses files beyond 60 kB; what was there before still loads."""
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


class TestInterrupted:
    def test_by_a_kill_it_goes_on_and_makes_no_finished_shard_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        """The kill also ends the processes that helped; what comes out is what an uninterrupted run makes."""
        root, data = numbered_tree(tmp_path / "source"), tmp_path / "data"
        monkeypatch.setattr(shards, "ITEMS", 4)
        whole = preparation.prepare(numbered(), source=root, data=tmp_path / "whole")
        code = (
            "import time; from pathlib import Path\n"
            "from bench.data import preparation, shards; from tests import prepared\n"
            "shards.ITEMS, preparation.cores, every = 4, lambda: 2, preparation._shards\n"
            "def slowly(*how):\n"
            "    for number, shard in enumerate(every(*how)):\n"
            "        yield time.sleep(0.5 * (number > 6)) or shard\n"
            "preparation._shards = slowly\n"
            f"preparation.prepare(prepared.numbered(), source=Path({str(root)!r}), data=Path({str(data)!r}))"
        )
        facts = data / "own.unfinished" / "facts"
        with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as process:
            wait_for(lambda: facts.is_dir() and len(list(facts.glob("*.json"))) >= 3)
            helpers = children(process.pid)
            process.kill()
        assert len(helpers) >= 2
        wait_for(lambda: not any(map(is_running, helpers)))
        assert not (data / "own").exists()
        done = {path.stem for path in facts.glob("*.json")}
        before = {name: (facts.parent / f"{name}.arrow").stat().st_mtime_ns for name in done}
        made = preparation.prepare(numbered(), source=root, data=data)
        assert 3 <= len(done) < 25, "it was killed on the way"
        assert {name: (made.folder / f"{name}.arrow").stat().st_mtime_ns for name in done} == before
        assert made.fingerprint == whole.fingerprint
        names = {path.name for path in whole.folder.iterdir()}
        assert {path.name for path in made.folder.iterdir()} == names

    def test_between_two_renames_the_new_store_is_found(self, source: Path, tmp_path: Path):
        made = go(coco(), source, tmp_path)
        made.folder.rename(tmp_path / "data" / "coco.unfinished")
        assert preparation.prepare(coco(), data=tmp_path / "data").fingerprint == made.fingerprint

    def test_in_another_preparation_leaves_the_older_store(self, source: Path, tmp_path: Path):
        made = go(coco(), source, tmp_path)
        made.folder.rename(tmp_path / "data" / "coco.replaced")
        (tmp_path / "data" / "coco.unfinished").mkdir()
        assert preparation.prepare(coco(), data=tmp_path / "data").fingerprint == made.fingerprint

    def test_and_changed_files_are_read_again(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(shards, "ITEMS", 1)
        with monkeypatch.context() as interrupted:
            interrupted.setattr(preparation.assembly, "assemble", interrupt)
            with pytest.raises(KeyboardInterrupt):
                go(coco(), source, tmp_path)
        path = source / "train2014" / "COCO_train2014_000000000030.jpg"
        Image.new("RGB", (40, 30), (200, 10, 10)).save(path)
        made = go(coco(), source, tmp_path)
        assert np.abs(made.train.images(np.array([3])).astype(int) - [200, 10, 10]).max() < 4

    def test_facts_that_are_damaged_are_made_again(self, source: Path, tmp_path: Path):
        facts = tmp_path / "data" / "coco.unfinished" / "facts"
        facts.mkdir(parents=True)
        (facts / "train-00000.json").write_text('{"key": "abc"', encoding="utf-8")
        (facts / "test-00000.json").write_text('{"colour": "red"}', encoding="utf-8")
        assert len(go(coco(), source, tmp_path).train) == 4


def test_of_two_processes_that_prepare_the_same_one_waits_for_the_other(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The other one, a thread here, takes the store as it is then."""
    monkeypatch.setattr(staging, "say", lambda line: (said.append(line), release.set()))
    said: list[str] = []
    release, made = threading.Event(), []
    where = staging.StagingFolder(tmp_path / "data" / "coco")
    second = threading.Thread(target=lambda: made.append(go(coco(), source, tmp_path)))
    with where.alone():
        second.start()
        assert release.wait(60)
        shutil.copytree(preparation.prepare(coco(), source=source, data=tmp_path / "b").folder, where.folder)
        before = (where.folder / "manifest.json").stat().st_mtime_ns
    second.join(60)
    assert said[0] == f"another process prepares {where.folder}: waiting for it"
    assert (made[0].folder / "manifest.json").stat().st_mtime_ns == before


def test_a_folder_that_cannot_be_written_is_named(source: Path, tmp_path: Path):
    (tmp_path / "data").write_text("a file", encoding="utf-8")
    with pytest.raises(InputError, match=r"cannot write .*/data/coco.lock: (File exists|Not a directory)"):
        go(coco(), source, tmp_path)
