"""The store: counted against the card, lossless, held out by a hash; what was there stays when preparing
fails.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import formats, prepare
from bench.cards import Card, Split
from bench.errors import InputError
from bench.store import Store, open_store


def test_the_store_holds_the_readers_pixels_labels_and_ids(store: Store, small_card: Card):
    samples = list(formats.reader(small_card.format)(small_card, "test", None))
    assert store.test.column("id").tolist() == [sample.id for sample in samples]
    assert np.array_equal(store.test.labels_NC, np.stack([sample.labels_C for sample in samples]))
    assert np.array_equal(store.test.images(np.arange(48)), np.stack([sample.image for sample in samples]))


def test_images_come_in_the_order_asked_for(store: Store):
    wanted = np.array([7, 3, 7])
    assert np.array_equal(store.train.images(wanted), store.train.images(np.arange(8))[wanted])


def test_held_out_images_are_some_of_the_training_images_and_never_learned_from(store: Store):
    held_out = store.held_out.column("id").tolist()
    fitted = store.train.column("id")[store.fitted].tolist()
    assert 0 < len(held_out) < 20
    assert sorted(held_out + fitted) == sorted(store.train.column("id").tolist())


def test_a_twentieth_of_the_groups_is_held_out_and_always_the_same():
    chosen = [prepare.held_out(f"image {number}") for number in range(20_000)]
    assert 0.045 < np.mean(chosen) < 0.055
    assert prepare.held_out("train-00000") is prepare.held_out("train-00000")


def test_preparing_twice_gives_the_same_fingerprint_and_other_data_another(small_card: Card, tmp_path: Path):
    first, second = (prepare.prepare(small_card, data=tmp_path / name) for name in "ab")
    assert first.fingerprint == second.fingerprint
    other = replace(small_card, options={**small_card.options, "noise": 0.2})
    assert prepare.prepare(other, data=tmp_path / "c").fingerprint != first.fingerprint


def test_what_is_prepared_is_not_prepared_again(small_card: Card, store: Store):
    manifest = store.folder / "manifest.json"
    before = manifest.stat().st_mtime_ns
    prepare.prepare(small_card, data=store.folder.parent)
    assert manifest.stat().st_mtime_ns == before


def test_counts_that_differ_from_the_card_stop_the_preparation_and_leave_the_store_as_it_was(
    small_card: Card, tmp_path: Path
):
    prepared = prepare.prepare(small_card, data=tmp_path)
    wrong = replace(small_card, test=Split(48, positives=1))
    with pytest.raises(
        InputError, match=r"demo is not what its card says: test: 1 positives expected, \d+ found"
    ):
        prepare.prepare(wrong, data=tmp_path)
    assert open_store(tmp_path / "demo").fingerprint == prepared.fingerprint


def test_an_unprepared_data_set_says_how_to_prepare_it(tmp_path: Path):
    with pytest.raises(InputError, match="run: python -m bench.prepare --dataset coco"):
        open_store(tmp_path / "coco")


def test_a_damaged_manifest_is_named(tmp_path: Path):
    (tmp_path / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="manifest.json is damaged"):
        open_store(tmp_path)


def write_image(path: Path) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.mark.parametrize(
    ("box", "part"),
    [
        (None, (slice(0, 30), slice(0, 40))),
        ((5, 6, 10, 12), (slice(6, 18), slice(5, 15))),
        ((-4, 20, 10, 100), (slice(20, 30), slice(0, 6))),
    ],
)
def test_a_box_is_clipped_to_its_image(tmp_path: Path, box, part):
    pixels = write_image(tmp_path / "a.png")
    assert np.array_equal(prepare._decode(tmp_path / "a.png", box), pixels[part])


def test_a_box_beside_its_image_is_named(tmp_path: Path):
    write_image(tmp_path / "a.png")
    with pytest.raises(
        InputError, match=r"a.png: nothing of the box \(50, 0, 5, 5\) lies inside its 40 x 30 pixels"
    ):
        prepare._decode(tmp_path / "a.png", (50, 0, 5, 5))


def test_a_file_that_is_missing_cut_short_or_no_image_is_named(tmp_path: Path):
    write_image(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:-1500])
    (tmp_path / "text.png").write_text("no image", encoding="utf-8")
    for name in ("none.png", "cut.png", "text.png"):
        with pytest.raises(InputError, match=f"{name} is missing or no whole image"):
            prepare._decode(tmp_path / name, None)


def test_grey_images_have_three_equal_channels(tmp_path: Path):
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "grey.png")
    pixels = prepare._decode(tmp_path / "grey.png", None)
    assert pixels.shape == (8, 8, 3)
    assert np.array_equal(pixels[:, :, 0], pixels[:, :, 2])


def test_an_approximate_count_is_not_refused(small_card: Card, tmp_path: Path):
    """Of NUS-WIDE many images are gone for good: missing images are the rule there."""
    fewer = replace(small_card, test=Split(48, positives=1, approximate=True))
    assert prepare.prepare(fewer, data=tmp_path).manifest["counts"]["test"]["images"] == 48


def test_resizing_is_pils_antialiased_bilinear_and_squashes_the_aspect():
    image = np.random.default_rng(0).integers(0, 256, (40, 90, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR))
    assert np.array_equal(prepare.resize(image, 32), expected)
