"""Labels of a large data set: counted exactly, in blocks, without copies of the whole matrix."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.data import arrow_files
from bench.data.store import Store
from bench.report import gain
from bench.training import batches, method


def old_formula(labels_NC: NDArray[np.int8]) -> NDArray[np.int64]:
    positive_NC = (labels_NC == 1).astype(np.int64)
    counts_CC: NDArray[np.int64] = positive_NC.T @ positive_NC
    return counts_CC


@pytest.mark.parametrize("batches_of_a_block", [1, 2, 64])
def test_the_cooccurrence_is_that_of_the_whole_matrix(
    store: Store, batches_of_a_block: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(arrow_files, "BLOCK_BATCHES", batches_of_a_block)
    for data in (store, store.all_in_training):
        expected_CC = old_formula(data.train.labels_NC[data.fitted])
        counts_CC = method.labels_of(data).cooccurrence_CC
        assert counts_CC.dtype == np.int64
        assert np.array_equal(counts_CC, expected_CC)


@dataclass
class Made:
    """A store, and its view, of random labels."""

    labels_NC: NDArray[np.int8]
    manifest: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.train, self.fitted = self, np.arange(1, len(self.labels_NC))
        self.manifest = {"labels": [str(label) for label in range(self.labels_NC.shape[1])]}

    def __len__(self) -> int:
        return len(self.labels_NC)

    def label_blocks(self) -> Iterator[NDArray[np.int8]]:
        yield from np.split(self.labels_NC, range(1000, len(self), 1000))


def test_no_copy_of_all_labels_is_made():
    labels_NC = np.random.default_rng(0).integers(-1, 2, (20_000, 100)).astype(np.int8)
    made: Any = Made(labels_NC)
    for count in (lambda: method.labels_of(made), lambda: gain.companions(labels_NC)):
        tracemalloc.start()
        count()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1.5 * labels_NC.nbytes  # a copy in int64 takes 8 times as much
    assert np.array_equal(method.labels_of(made).cooccurrence_CC, old_formula(labels_NC[1:]))


def test_training_reads_the_labels_of_its_batch_only(store: Store, monkeypatch: pytest.MonkeyPatch):
    whole_NC = store.train.labels_NC
    view = Store(store.folder, store.manifest).train
    monkeypatch.setattr(type(view), "labels_NC", None)
    monkeypatch.setattr(type(view), "targets_NC", None)
    wanted = [np.array([5, 3]), np.array([100, 5])]
    for indices_B, (_, labels_BC) in zip(
        wanted, batches.read_ahead(view, wanted, torch.device("cpu")), strict=True
    ):
        assert np.array_equal(labels_BC.numpy(), (whole_NC[indices_B] == 1).astype(np.float32))
