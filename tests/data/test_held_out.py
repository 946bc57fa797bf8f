"""Which images of a small data set are held out; large data sets stay as they are."""

from pathlib import Path

import numpy as np
import pytest

from bench.data import held_out, preparation, shards
from bench.data.formats import LeftOut, Sample
from tests.prepared import go, numbered, numbered_tree


def samples(*labels: str, groups: bool = False) -> list[Sample]:
    """Images `a0`, `a1`, ... with these labels as digits; groups: two neighbours are one group."""
    return [
        Sample(
            f"a{n}",
            Path(f"a{n}.jpg"),
            np.array([*map(int, row)], np.int8),
            group=f"g{n // 2}" if groups else "",
        )
        for n, row in enumerate(labels)
    ]


@pytest.fixture(autouse=True)
def _no_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "is_held_out", lambda group: group == "hashed")


def labels_of(chosen: frozenset[str], items: list[Sample]) -> list[int]:
    """How many of the held-out images have each label."""
    rows = [item.labels_C for item in items if (item.group or item.id) in chosen]
    return np.sum(rows, axis=0).tolist()


def test_every_label_has_a_held_out_image_and_one_to_train_on():
    items = samples(*["100"] * 10, *["010"] * 8, *["001"] * 2)
    assert labels_of(held_out.further_groups(items), items) == [1, 1, 1]


def test_an_image_with_several_missing_labels_is_preferred():
    items = samples(*["100"] * 4, *["010"] * 4, "110", *["000"] * 6)
    assert held_out.further_groups(items) == {"a8"}


def test_the_only_image_of_a_label_is_trained_on():
    items = samples("11", *["10"] * 9)
    chosen = held_out.further_groups(items)
    assert len(chosen) == 1
    assert labels_of(chosen, items) == [1, 0]


def test_no_more_than_a_fifth_is_held_out_however_many_labels_there_are():
    items = samples(*("".join("1" if column == n // 2 else "0" for column in range(10)) for n in range(20)))
    assert len(held_out.further_groups(items)) == 4


def test_without_any_label_one_image_is_held_out_and_never_the_only_one():
    assert len(held_out.further_groups(samples("0", "0", "0"))) == 1
    assert not held_out.further_groups(samples("1"))
    assert not held_out.further_groups([LeftOut("x", "missing")])


def test_images_of_a_group_stay_together():
    assert held_out.further_groups(samples(*["10"] * 6, groups=True)) <= {"g0", "g1", "g2"}


def test_labels_that_the_hash_holds_out_need_no_further_image():
    hashed = Sample("hashed", Path("h.jpg"), np.array([1, 1], np.int8))
    assert not held_out.further_groups([hashed, *samples(*["11"] * 9)])


def test_a_small_store_has_held_out_images_and_says_how_few(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    store = go(numbered(), numbered_tree(tmp_path / "source"), tmp_path)
    assert (store.held_out.labels_NC == 1).any(axis=0).all()
    assert len(store.held_out) == store.manifest["counts"]["train"]["held_out"] == 1
    assert "own: 1 of 96 training images are held out: nothing is trained on them" in capsys.readouterr().err


def test_a_store_of_many_images_is_split_by_the_hash_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(held_out, "SMALL", 96)
    monkeypatch.setattr(preparation.held_out, "further_groups", None)  # calling it would fail
    assert not len(go(numbered(), numbered_tree(tmp_path / "source"), tmp_path).held_out)
