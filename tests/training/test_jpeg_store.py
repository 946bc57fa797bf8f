"""Training on a store of JPEG files: the same batches for any number of threads, no bit lost in a kill."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.data import preparation, stored_images
from bench.data.cards import Card
from bench.data.store import Store
from bench.training import batches
from bench.training.batches import InputTransform
from bench.training.distributed import Processes
from tests.killing import POINTS, content, stage_run, start

PIXELS = InputTransform((0.5,) * 3, (0.5,) * 3, torch.device("cpu"))


@pytest.fixture(scope="module")
def jpegs(small_card: Card, tmp_path_factory: pytest.TempPathFactory) -> Store:
    card = replace(small_card, name="demo@storage=jpeg", storage="jpeg")
    return preparation.prepare(card, data=tmp_path_factory.mktemp("jpegs"))


def epoch(store: Store) -> list[batches.Batch]:
    stage = stage_run(store, Path())[1].stage
    plan = batches.plan(store.fitted, stage=stage, seed=0, epoch=2)
    return list(batches.training(store.train, plan, stage=stage, seed=0, epoch=2, pixels=PIXELS))


def test_batches_are_the_same_for_any_number_of_threads(jpegs: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stored_images, "threads", lambda: 1)
    expected = epoch(jpegs)
    monkeypatch.setattr(stored_images, "threads", lambda: 6)
    for batch, one in zip(epoch(jpegs), expected, strict=True):
        assert torch.equal(batch.images_BCHW, one.images_BCHW)
        assert torch.equal(batch.labels_BC, one.labels_BC)


def test_draws_and_labels_are_those_of_a_store_of_pixels(jpegs: Store, store: Store):
    for batch, one in zip(epoch(jpegs), epoch(store), strict=True):
        assert torch.equal(batch.labels_BC, one.labels_BC)
        difference = (batch.images_BCHW - one.images_BCHW).abs()
        assert 0 < difference.mean() < 0.1  # an image in another place or another crop would be 0.3 off


def test_several_processes_read_the_same_images(jpegs: Store):
    def images(processes: Processes) -> list[bytes]:
        dealt = batches.evaluation(jpegs.test, batch_size=10, pixels=PIXELS, processes=processes)
        return [batch.images_BCHW.numpy().tobytes() for batch in dealt]

    whole = images(Processes())
    parts = [images(Processes(rank, 2)) for rank in range(2)]
    assert [parts[k % 2][k // 2] for k in range(len(whole))] == whole


def test_a_killed_training_ends_as_an_uninterrupted_one(jpegs: Store, tmp_path: Path):
    whole, file = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    process, _ = start(jpegs, whole)
    process.join()
    assert process.exitcode == 0
    process, _ = start(jpegs, file, dies=(POINTS[1], 3))
    process.join()
    assert process.exitcode == -signal.SIGKILL
    process, _ = start(jpegs, file)
    process.join()
    assert content(file) == content(whole)
