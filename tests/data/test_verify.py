"""A store against its manifest: a flipped bit, a file cut short or gone, a manifest that is none."""

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

    def test_a_store_as_it_was_made_is_whole(self, made: Store):
        found = verify.verify(made)
        assert (
            found == f"{made.folder} is whole: {6 + len(made.held_out)} images in 3 files are what they were"
        )

    @pytest.mark.parametrize("what", ["pixel", "label", "id"])
    def test_a_flipped_bit_is_found(self, made: Store, what: str):
        path = made.folder / "train-00000.arrow"
        content = bytearray(path.read_bytes())
        image = made.train.images(np.array([1])).tobytes()
        needle = {
            "pixel": image,
            "label": made.train.labels_NC[1].tobytes(),
            "id": b"COCO_train2014_000000000009",
        }
        content[content.index(needle[what]) + 20] ^= 1
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            verify.verify(store.open_store(made.folder))
        assert f"{made.folder} is damaged: image 1 of train-00000.arrow (COCO_train2014_" in str(caught.value)
        assert str(caught.value).endswith("; delete it, prepare again")

    @pytest.mark.parametrize("kept", [0, 100, 2000, -3000])
    def test_a_file_cut_short_is_found_by_verifying_and_by_reading(self, made: Store, kept: int):
        path = made.folder / "test-00000.arrow"
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(InputError, match=r"damaged: test-00000.arrow (cannot be read|holds 0 images)"):
            verify.verify(store.open_store(made.folder))
        with pytest.raises(
            InputError, match=r"test-00000.arrow (cannot be read|holds 0 images instead of 2)"
        ):
            len(store.open_store(made.folder).test)

    def test_a_file_that_is_gone_is_named(self, made: Store):
        (made.folder / "held_out-00000.arrow").unlink()
        with pytest.raises(InputError, match="held_out-00000.arrow cannot be read"):
            verify.verify(store.open_store(made.folder))
        with pytest.raises(InputError, match="held_out-00000.arrow cannot be read .*prepare again"):
            len(store.open_store(made.folder).held_out)

    def test_checksums_that_are_not_the_manifests_are_named(self, made: Store):
        (made.folder / "checksums.bin").unlink()
        with pytest.raises(InputError, match="checksums.bin does not have the fingerprint of the manifest"):
            verify.verify(made)

    def test_several_processes_check_a_large_store(self, made: Store, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(verify, "SMALL", 0)
        monkeypatch.setattr(verify, "cores", lambda: 2)
        assert "is whole" in verify.verify(made)


def test_a_store_of_another_version_is_told(source: Path, tmp_path: Path):
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
def test_a_manifest_that_is_none_is_named(tmp_path: Path, text: str):
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="manifest.json is no store's manifest; delete"):
        store.open_store(tmp_path)
