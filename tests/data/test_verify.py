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
        how = f"delete {made.folder} and run: python -m bench.prepare --dataset coco"
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
    with pytest.raises(InputError, match="manifest.json is not a manifest of a store; delete"):
        store.open_store(tmp_path)
