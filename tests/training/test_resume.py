"""Resuming: a training killed at any moment, also while saving, ends with the same weights and history."""

import random
import signal
from pathlib import Path
from typing import Any

import pytest

from bench.base import atomic_files
from bench.base.errors import InputError
from bench.data.store import Store
from bench.training import loop, stage_checkpoint
from tests.killing import POINTS, content, stage_run, start

Content = tuple[dict[str, bytes], dict[str, Any]]


@pytest.fixture(scope="module")
def uninterrupted(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Content:
    """The last checkpoint of a training that nothing disturbed: weights, momentum, history, position."""
    file = tmp_path_factory.mktemp("whole") / "c.safetensors"
    process, _ = start(store, file)
    process.join()
    assert process.exitcode == 0
    return content(file)


def die(store: Store, file: Path, after: float) -> bool:
    """Train into the file, for that many seconds; whether SIGKILL still found the process at work."""
    process, begun = start(store, file)
    assert begun.recv() == "learning"
    process.join(timeout=after)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def end(store: Store, file: Path) -> Content:
    """Train on to the end; the last checkpoint."""
    process, _ = start(store, file)
    process.join()
    assert process.exitcode == 0
    return content(file)


def die_often(store: Store, folder: Path, *, times: int, whole: Content) -> None:
    """SIGKILL at random moments; every training that comes to its end in between must have made the same."""
    moments, file, killed = random.Random(0), folder / "c.safetensors", 0
    while killed < times:
        if die(store, file, moments.uniform(0, 0.4)):
            killed += 1
        else:
            assert content(file) == whole
            file.unlink()
    assert end(store, file) == whole
    file.unlink()


def die_while_saving(store: Store, folder: Path, *, numbers: tuple[int, ...], whole: Content) -> None:
    """SIGKILL at every point of saving, at each of the numbered checkpoints of a process's life."""
    file = folder / "c.safetensors"
    for number in numbers:
        for point in POINTS:
            process, _ = start(store, file, dies=(point, number))
            process.join()
            assert process.exitcode == -signal.SIGKILL, point
        assert end(store, file) == whole
        file.unlink()


def test_sigkill_at_random_moments_changes_no_bit(store: Store, uninterrupted: Content, tmp_path: Path):
    die_often(store, tmp_path, times=5, whole=uninterrupted)


def test_sigkill_while_saving_changes_no_bit(store: Store, uninterrupted: Content, tmp_path: Path):
    die_while_saving(store, tmp_path, numbers=(2,), whole=uninterrupted)


@pytest.mark.slow
def test_sixty_deaths_change_no_bit(store: Store, uninterrupted: Content, tmp_path: Path):
    """50 at random moments, 10 while saving: the first checkpoint of a life, and the second."""
    die_often(store, tmp_path, times=50, whole=uninterrupted)
    die_while_saving(store, tmp_path, numbers=(1, 2), whole=uninterrupted)


def test_a_full_disk_names_the_file_and_its_bytes_and_what_was_saved_still_serves(
    store: Store, uninterrupted: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loop, "LOG_STEPS", 1)
    monkeypatch.setattr(stage_checkpoint, "SAVING_SHARE", float("inf"))
    file, writes = tmp_path / "c.safetensors", [0]

    def full(_: int) -> None:
        writes[0] += 1
        if writes[0] == 3:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(atomic_files.os, "fsync", full)
        with pytest.raises(InputError, match=r"cannot write .*c.safetensors \([\d,]+ bytes\): No space left"):
            loop.train(*stage_run(store, file))
    assert list(tmp_path.iterdir()) == [file]
    loop.train(*stage_run(store, file))
    assert content(file) == uninterrupted


def test_a_damaged_checkpoint_is_named_and_not_taken(store: Store, tmp_path: Path):
    file = tmp_path / "c.safetensors"
    loop.train(*stage_run(store, file, epochs=1))
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InputError, match=r"c.safetensors is damaged .*delete it and run again"):
        loop.train(*stage_run(store, file, epochs=1))
