"""Read the manifest of a store: what the store holds and what it was made from; its entries are checked."""

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from bench.base import paths, schema, structured_files
from bench.base.errors import InputError
from bench.base.schema import Range

MANIFEST = "manifest.json"
LAYOUT = 3  # raise it when the content of stores changes for the same card and reader: all are made again
Number = Annotated[int, Range(0)]


@dataclass(frozen=True)
class _Counts:
    """Of a view."""

    images: Number
    positives: Number
    held_out: Number


@dataclass(frozen=True)
class _OfViews:
    train: _Counts
    held_out: _Counts
    test: _Counts


@dataclass(frozen=True)
class _Files:
    """The number of images in each Arrow file of a view."""

    train: tuple[Number, ...]
    held_out: tuple[Number, ...]
    test: tuple[Number, ...]


@dataclass(frozen=True)
class _MadeFrom:
    layout: int
    card: str
    reader: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class _Manifest:
    """The entries of a manifest of this layout, with their types."""

    dataset: str
    made_from: _MadeFrom
    partial: bool
    counts: _OfViews
    left_out: Mapping[str, Mapping[str, int]]
    files: _Files
    fingerprint: str
    sources: str
    libraries: Mapping[str, str]
    exif: str
    overlap: str
    resample: str
    expected: Mapping[str, Mapping[str, Any]]
    labels: tuple[str, ...]
    differences: tuple[str, ...]
    repeated: Mapping[str, int]
    turned: int
    listed: str
    checksum: str
    source: str | None = None
    times: str | None = None  # stores that were made earlier have none
    storage: str = "pixels"  # written for others only


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the store in a folder; InputError if there is none, with the command that makes it.

    InputError too if it is not what was written, unless another version of the suite wrote it.
    """
    path = folder / MANIFEST
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, where the folder of a store is needed; move it away")
    if not path.exists():
        raise InputError(f"{folder} holds no prepared data; {how_to_prepare(folder)}")
    try:
        manifest = structured_files.read_json_object(path)
        made_from = manifest.get("made_from")
        if not isinstance(made_from, dict):
            raise InputError("made_from must be a table")
        if made_from.get("layout") == LAYOUT:
            schema.build(_Manifest, manifest, where="")
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(f"{path} is damaged ({reason}); {how_to_replace(folder)}") from error
    if made_from.get("layout") == LAYOUT and manifest["checksum"] != checksum(manifest):
        raise InputError(f"{path} was changed after it was written; {how_to_replace(folder)}")
    return manifest


def checksum(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest's other entries."""
    others = {name: value for name, value in manifest.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()


def how_to_replace(folder: Path) -> str:
    """The end of a message about a damaged store: how to make it again."""
    return f"delete {folder} and {how_to_prepare(folder)}"


def how_to_prepare(folder: Path) -> str:
    """The command that makes the store in a folder, from the source that an existing manifest names."""
    words = ["python", "-m", "bench.prepare", "--dataset", folder.name]
    if folder.parent.absolute() != paths.DATA:
        words += ["--data", str(folder.parent)]
    try:
        source = structured_files.read_json_object(folder / MANIFEST).get("source")
    except InputError:  # no manifest, or a damaged one
        source = None
    if isinstance(source, str):
        words += ["--source", source]
    return f"run: {shlex.join(words)}"
