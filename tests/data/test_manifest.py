"""A store's manifest: every entry has its type, and a wrong one is a line that says how to make it again."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.base import paths
from bench.base.errors import InputError
from bench.data import manifest
from bench.data.manifest import checksum, how_to_prepare, read_manifest
from bench.data.store import Store, open_store

WRONG: dict[str, Any] = {
    "dataset": 1,
    "made_from": {"layout": manifest.LAYOUT},
    "partial": "no",
    "counts": {"train": {"images": 1}},
    "left_out": {"train": 3},
    "files": {"train": [-1], "held_out": [], "test": []},
    "fingerprint": None,
    "libraries": {"Pillow": 12},
    "labels": "cat",
    "repeated": {"train": "2"},
    "source": 5,
}


def write(folder: Path, content: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_entry_is_named_even_where_the_checksum_fits(key: str, store: Store, tmp_path: Path):
    changed = {**store.manifest, key: WRONG[key]}
    folder = write(tmp_path / "demo", {**changed, "checksum": checksum(changed)})
    with pytest.raises(
        InputError, match=rf"manifest.json is damaged \(.*{key}.*; delete .* and run: "
    ) as told:
        open_store(folder)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("key", ["fingerprint", "counts", "checksum", "files"])
def test_a_missing_entry_is_named(key: str, store: Store, tmp_path: Path):
    folder = write(tmp_path / "demo", {name: value for name, value in store.manifest.items() if name != key})
    with pytest.raises(InputError, match=rf"damaged \(missing: {key}\)"):
        read_manifest(folder)


@pytest.mark.parametrize("content", [[], 3, "text", None, {}, {"made_from": 3}])
def test_another_value_is_no_manifest(content: object, tmp_path: Path):
    with pytest.raises(InputError, match="manifest.json is damaged"):
        read_manifest(write(tmp_path / "demo", content))


def test_a_folder_in_its_place_and_a_file_in_place_of_the_store(tmp_path: Path):
    (tmp_path / "demo" / "manifest.json").mkdir(parents=True)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"manifest.json is damaged \(is a folder; a file is expected\)"):
        read_manifest(tmp_path / "demo")
    with pytest.raises(InputError, match="file is a file, where the folder of a store is needed"):
        read_manifest(tmp_path / "file")


def test_what_was_changed_after_writing_is_refused(store: Store, tmp_path: Path):
    folder = write(tmp_path / "demo", {**store.manifest, "turned": 7})
    with pytest.raises(InputError, match="was changed after it was written"):
        read_manifest(folder)


def test_the_command_that_makes_a_store_again_names_folder_and_source(store: Store, tmp_path: Path):
    assert how_to_prepare(paths.DATA / "no-such") == "run: python -m bench.prepare --dataset no-such"
    folder = write(tmp_path / "demo", {**store.manifest, "source": "/my pictures"})
    expected = f"--dataset demo --data {tmp_path} --source '/my pictures'"
    assert how_to_prepare(folder) == f"run: python -m bench.prepare {expected}"
