"""Verifying a store: a flipped bit, a truncated or missing file and a wrong manifest are detected."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.base.errors import InputError
from bench.data import store, verify
from bench.data.store import Store
from tests.prepared import coco, go

pytestmark = pytest.mark.usefixtures("alone")


class TestVerify:
    @pytest.fixture
    def made(self, source: Path, tmp_path: Path) -> Store:
        return go(coco(), source, tmp_path)

    def test_an_unchanged_store_is_intact(self, made: Store):
        message = verify.verify(made)
        assert (
            message
            == f"{made.folder} is intact: {6 + len(made.held_out)} images in 3 files match their checksums"
        )

    @pytest.mark.parametrize("part", ["pixel", "label", "id"])
    def test_a_flipped_bit_is_detected(self, made: Store, part: str):
        path = made.folder / "train-00000.arrow"
        content = bytearray(path.read_bytes())
        image = made.train.images(np.array([1])).tobytes()
        needle = {
            "pixel": image,
            "label": made.train.labels_NC[1].tobytes(),
            "id": b"COCO_train2014_000000000009",
        }
        content[content.index(needle[part]) + 20] ^= 1
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            verify.verify(store.open_store(made.folder))
        where = f"--data {made.folder.parent} --source {made.manifest['source']}"
        how = f"delete {made.folder} and run: python -m bench.prepare --dataset coco {where}"
        start = f"{made.folder} is damaged; {how}\n  image 1 of train-00000.arrow (COCO_train2014_"
        assert str(caught.value).startswith(start)

    @pytest.mark.parametrize("kept", [0, 100, 2000, -3000])
    def test_a_truncated_file_is_detected_by_verifying_and_by_reading(self, made: Store, kept: int):
        path = made.folder / "test-00000.arrow"
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(
            InputError, match=r"damaged; .*\n  test-00000.arrow (cannot be read|has 0 images)"
        ):
            verify.verify(store.open_store(made.folder))
        with pytest.raises(InputError, match=r"test-00000.arrow (cannot be read|has 0 images instead of 2)"):
            len(store.open_store(made.folder).test)

    def test_a_missing_file_is_named(self, made: Store):
        (made.folder / "held_out-00000.arrow").unlink()
        with pytest.raises(InputError, match="held_out-00000.arrow cannot be read"):
            verify.verify(store.open_store(made.folder))
        with pytest.raises(
            InputError,
            match="held_out-00000.arrow cannot be read .*; delete .* and run: python -m bench.prepare",
        ):
            len(store.open_store(made.folder).held_out)

    def test_checksums_that_do_not_match_the_manifest_are_named(self, made: Store):
        (made.folder / "checksums.bin").unlink()
        with pytest.raises(
            InputError, match="checksums.bin does not match the fingerprint in manifest.json; delete"
        ):
            verify.verify(made)

    def test_several_processes_check_a_large_store(self, made: Store, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(verify, "SINGLE_PROCESS_BYTES", 0)
        monkeypatch.setattr(verify, "cores", lambda: 2)
        assert "is intact" in verify.verify(made)


def test_a_store_of_another_version_is_reported(source: Path, tmp_path: Path):
    folder = go(coco(), source, tmp_path).folder
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["made_from"]["layout"] = 1
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(
        InputError, match="was made by another version of the suite; run: python -m bench.prepare"
    ):
        store.open_store(folder)
    assert go(coco(), source, tmp_path).manifest["made_from"]["layout"] == store.LAYOUT


@pytest.mark.parametrize("text", ["[]", "{}"])
def test_a_file_that_is_not_a_manifest_is_named(tmp_path: Path, text: str):
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="manifest.json is damaged .*; delete"):
        store.open_store(tmp_path)


class TestReading:
    """What a run reads is compared with its checksum when it is first read: nothing damaged is trained on."""

    def test_a_changed_pixel_is_named_when_the_image_is_read(self, source: Path, tmp_path: Path):
        made = go(coco(), source, tmp_path)
        _flip(made, made.train.images(np.array([1])).tobytes())
        opened = store.open_store(made.folder)
        assert len(opened.train.images(np.array([0, 2, 3]))) == 3
        with pytest.raises(InputError, match=r"coco is damaged: image 1 of train-00000.arrow is not what"):
            opened.train.images(np.array([2, 1]))

    @pytest.mark.parametrize("part", ["label", "id"])
    def test_a_changed_label_or_id_is_named_when_the_file_is_opened(
        self, source: Path, tmp_path: Path, part: str
    ):
        made = go(coco(), source, tmp_path)
        labels = made.train.labels_NC[1].tobytes()
        _flip(made, {"label": labels, "id": b"COCO_train2014_000000000009"}[part])
        with pytest.raises(InputError, match=r"is damaged: image 1 of train-00000.arrow .*; delete"):
            len(store.open_store(made.folder).train)

    def test_images_that_are_read_again_are_not_compared_again(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        made = go(coco(), source, tmp_path)
        made.train.images(np.arange(4))
        monkeypatch.setattr(store.hashlib, "sha256", None)
        assert len(made.train.images(np.array([3, 0, 3]))) == 3

    def test_other_marks_of_held_out_images_are_noticed(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        made = go(coco(), source, tmp_path)
        column = made.train.column
        marks = ~column("held_out")
        monkeypatch.setattr(made.train, "column", lambda name: marks if name == "held_out" else column(name))
        with pytest.raises(InputError, match="is damaged: train marks other images as held out"):
            _ = made.fitted

    def test_damage_anywhere_is_an_error_or_changes_nothing(self, source: Path, tmp_path: Path):
        made = go(coco(), source, tmp_path)
        path, before = made.folder / "train-00000.arrow", _everything(made)
        content, rng = path.read_bytes(), np.random.default_rng(0)
        # Most of a file is pixels: every second place is in what describes them, before or after.
        places = np.concatenate([rng.integers(0, 2000, 60), rng.integers(0, len(content), 60)])
        noticed = 0
        for place, value in zip(places.tolist(), rng.integers(1, 256, 120).tolist(), strict=True):
            damaged = bytearray(content)
            damaged[place] ^= value
            path.write_bytes(damaged)
            try:
                assert _everything(store.open_store(made.folder)) == before
            except InputError:
                noticed += 1
        assert noticed > 60


def _flip(made: Store, part: bytes) -> None:
    """Flip a bit of the training file, inside this part of it."""
    path = made.folder / "train-00000.arrow"
    content = bytearray(path.read_bytes())
    content[content.index(part) + 20] ^= 1
    path.write_bytes(content)


def _everything(made: Store) -> list[bytes]:
    """All that training reads of the training images."""
    images = made.train.images(np.arange(len(made.train)))
    ids = "\n".join(made.train.column("id")).encode()
    return [images.tobytes(), made.train.labels_NC.tobytes(), ids, made.fitted.tobytes()]


@pytest.mark.parametrize(
    ("old", "new"), [('"person"', '"persom"'), ('"partial": false', '"partial": true'), ('"coco"', '"x"')]
)
def test_a_manifest_that_was_changed_is_refused(source: Path, tmp_path: Path, old: str, new: str):
    path = go(coco(), source, tmp_path).folder / "manifest.json"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"manifest.json was changed after it was written; delete"):
        go(coco(), source, tmp_path)


def test_a_folder_in_place_of_the_manifest_is_named(tmp_path: Path):
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(InputError, match=r"manifest.json is damaged .*is a folder; a file is expected"):
        store.open_store(tmp_path)
