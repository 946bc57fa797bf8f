"""`python -m bench.perf labels`: what a large data set's labels take in memory, step by step."""

import json
import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.base.errors import InputError
from bench.data import survey
from bench.perf import __main__ as perf
from bench.perf import labels
from bench.perf.labels import Made


@pytest.fixture
def made(tmp_path: Path) -> Made:
    data = Made(tmp_path, 2100, 7)
    labels.make(data)
    return data


def test_the_made_up_lists_and_store_have_the_same_labels(made: Made):
    view = made.store.train
    assert list(made.store.files("train").values()) == [1024, 1024, 52]
    assert np.array_equal(view.labels_NC, np.concatenate(list(labels.blocks(made))))
    counts = survey.survey(made.card, made.folder)
    assert [counts[split].images for split in ("train", "test")] == [2100, 1024]
    assert counts["train"].positives_C.tolist() == (view.labels_NC == 1).sum(axis=0).tolist()


def test_each_step_is_measured(made: Made, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    steps = {name: work(made) for name, work in labels.STEPS.items()}
    assert steps["a training process"] == 2100 * 7
    assert steps["metrics"] == 5 * 2100 * 7
    assert steps["read and count the lists"] > 2100 * 2 * 7
    monkeypatch.setattr(labels, "map_unordered", lambda work, items, **_: map(work, items))
    assert perf.main(["labels", "--images", "300", "--labels", "4", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["step"] for row in rows] == list(labels.STEPS)
    assert perf.main(["labels", "--images", "300", "--labels", "4"]) == 0
    assert "300 x 4" in capsys.readouterr().out


@pytest.mark.skipif(not labels.STATUS.exists(), reason="needs Linux")
def test_memory_of_its_own_counts_what_is_written_and_no_mapped_file():
    before = labels.own_memory()
    with mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
        for start in range(0, len(block), mmap.PAGESIZE):
            block[start] = 1
        assert 60e6 < labels.own_memory() - before < 80e6


def test_wrong_numbers_and_other_systems_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(InputError, match="--images and --labels must be at least 1"):
        labels.main(["--images", "0"])
    monkeypatch.setattr(labels, "STATUS", tmp_path / "none")
    with pytest.raises(InputError, match="which only Linux has"):
        labels.main([])
