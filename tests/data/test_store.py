"""The store: compared with the card, lossless, held-out images chosen by a hash, unchanged after errors."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.base.errors import InputError
from bench.base.paths import ROOT
from bench.data import cards, formats, preparation, shards
from bench.data.cards import Card, Split
from bench.data.store import Store, open_store


def test_the_store_holds_the_readers_pixels_labels_and_ids(store: Store, small_card: Card):
    samples = list(formats.reader(small_card.format)(small_card, "test", None))
    assert store.test.column("id").tolist() == [sample.id for sample in samples]
    assert np.array_equal(store.test.labels_NC, np.stack([sample.labels_C for sample in samples]))
    assert np.array_equal(store.test.images(np.arange(48)), np.stack([sample.image for sample in samples]))


def test_images_are_returned_in_the_order_of_the_indices(store: Store):
    wanted = np.array([7, 3, 7])
    assert np.array_equal(store.train.images(wanted), store.train.images(np.arange(8))[wanted])


def test_held_out_images_are_training_images_that_are_not_used_for_training(store: Store):
    held_out = store.held_out.column("id").tolist()
    fitted = store.train.column("id")[store.fitted].tolist()
    assert 0 < len(held_out) < 20
    assert sorted(held_out + fitted) == sorted(store.train.column("id").tolist())


def test_a_twentieth_of_the_groups_is_held_out_and_always_the_same():
    chosen = [shards.is_held_out(f"image {number}") for number in range(20_000)]
    assert 0.045 < np.mean(chosen) < 0.055
    assert shards.is_held_out("train-00000") is shards.is_held_out("train-00000")


def test_preparing_twice_gives_the_same_fingerprint_and_other_data_another(small_card: Card, tmp_path: Path):
    first, second = (preparation.prepare(small_card, data=tmp_path / name) for name in "ab")
    assert first.fingerprint == second.fingerprint
    other = replace(small_card, options={**small_card.options, "noise": 0.2})
    assert preparation.prepare(other, data=tmp_path / "c").fingerprint != first.fingerprint


def test_an_existing_store_is_not_prepared_again(small_card: Card, store: Store):
    manifest = store.folder / "manifest.json"
    before = manifest.stat().st_mtime_ns
    preparation.prepare(small_card, data=store.folder.parent)
    assert manifest.stat().st_mtime_ns == before


def test_counts_that_differ_from_the_card_stop_the_preparation_and_leave_the_store_as_it_was(
    small_card: Card, tmp_path: Path
):
    prepared = preparation.prepare(small_card, data=tmp_path)
    wrong = replace(small_card, test=Split(48, positives=1))
    with pytest.raises(
        InputError,
        match=r"(?s)demo are not what its card says; .*test: 1 positives expected, \d+ found",
    ):
        preparation.prepare(wrong, data=tmp_path)
    assert open_store(tmp_path / "demo").fingerprint == prepared.fingerprint


def test_an_unprepared_data_set_says_how_to_prepare_it(tmp_path: Path):
    with pytest.raises(InputError, match="run: python -m bench.prepare --dataset coco"):
        open_store(tmp_path / "coco")


def test_a_damaged_manifest_is_named(tmp_path: Path):
    (tmp_path / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="manifest.json is damaged"):
        open_store(tmp_path)


def test_several_files_form_one_view(
    small_card: Card, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shards, "MAX_ITEMS", 25)
    cut = preparation.prepare(small_card, data=tmp_path)
    assert cut.manifest["files"]["train"] == [25, 25, 25, 25, 25, 25, 10]
    assert cut.fingerprint == store.fingerprint
    wanted = np.array([159, 3, 24, 25, 150])
    assert np.array_equal(cut.train.images(wanted), store.train.images(wanted))
    for name in ("id", "labels", "held_out"):
        assert np.array_equal(cut.train.column(name), store.train.column(name))
    assert np.array_equal(
        cut.held_out.images(np.arange(len(cut.held_out))),
        cut.train.images(np.flatnonzero(cut.train.column("held_out"))),
    )


def test_the_fingerprint_covers_ids_labels_and_pixels_in_order(store: Store):
    """It is the SHA-256 of the file of checksums."""
    digest = hashlib.sha256()
    for view in (store.train, store.held_out, store.test):
        images = view.images(np.arange(len(view)))
        for name, labels_C, image in zip(view.column("id"), view.labels_NC, images, strict=True):
            for part in (name.encode(), labels_C.tobytes(), image.tobytes()):
                digest.update(hashlib.sha256(part).digest())
    assert digest.hexdigest() == store.fingerprint
    assert hashlib.sha256((store.folder / "checksums.bin").read_bytes()).hexdigest() == store.fingerprint


def test_the_demo_has_the_fingerprint_of_the_accepted_results(tmp_path: Path):
    made = preparation.prepare(cards.load_card("demo"), data=tmp_path)
    assert made.fingerprint == "1bf71fe910912822ccd4aa8ba58afbe6f95b5eff5bfb9af9809d4b33ad033397"


def test_preparing_needs_no_torch_for_images_that_are_made_here():
    code = (
        "import sys; from bench.data import cards, preparation; card = cards.load_card('demo')\n"
        "print('torch' in sys.modules, 'datasets' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
