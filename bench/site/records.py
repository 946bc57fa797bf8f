"""Read the records that the pages show: the accepted ones, and those of run folders that are given."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.base import paths
from bench.base.errors import InputError
from bench.data import cards
from bench.results.published import full_dataset_name, known_datasets
from bench.results.record import VOLATILE, Record, file_name, read_folder, record_name, shown

Origin = Literal["accepted", "runs"]  # also the folder of the pages and files of these records


@dataclass(frozen=True)
class RecordFile:
    """A record, the file it is in, and whether it is an accepted one."""

    record: Record
    path: Path
    origin: Origin


def read_all(folders: Sequence[Path]) -> list[RecordFile]:
    """The accepted records and those of the folders; one that equals an accepted record is not repeated.

    InputError: a broken record, a folder without records, two records of one run, an unknown data set.
    """
    accepted = [file for folder in _accepted_folders() for file in _read(folder, "accepted")]
    given = [file for folder in folders for file in _given(folder)]
    _refuse_twins(given)
    there = [_content(file.record) for file in accepted]
    fresh = [file for file in given if _content(file.record) not in there]
    for file in (*accepted, *fresh):
        _check_dataset(file)
    return [*accepted, *fresh]


def _accepted_folders() -> list[Path]:
    roots = dict.fromkeys([paths.REPRODUCED, paths.WORKPLACE / "results" / "reproduced"])
    names = {folder.name for root in roots if root.is_dir() for folder in root.iterdir() if folder.is_dir()}
    return [paths.accepted(name) for name in sorted(names)]


def _given(folder: Path) -> Iterator[RecordFile]:
    """The records directly in a folder or, if there are none, of the folders in it."""
    inner = sorted(path for path in folder.glob("*") if path.is_dir()) if folder.is_dir() else []
    found = _read(folder, "runs") or [file for path in inner for file in _read(path, "runs")]
    if not found:
        raise InputError(
            f"{folder}: holds no records; give --records a folder such as runs/demo, which bench.run has "
            "written"
        )
    yield from found


def _read(folder: Path, origin: Origin) -> list[RecordFile]:
    return [RecordFile(record, folder / file_name(record), origin) for record in read_folder(folder)]


def _refuse_twins(files: Iterable[RecordFile]) -> None:
    by_run: dict[tuple[str, str], RecordFile] = {}
    for file in files:
        run = file.record["dataset"], file_name(file.record)
        if (first := by_run.setdefault(run, file)) is not file:
            raise InputError(
                f"two records of {record_name(file.record)} on {run[0]}: {shown(first.path)} and "
                f"{shown(file.path)}; give one of the folders"
            )


def _check_dataset(file: RecordFile) -> None:
    """InputError unless the data set has a card or published rows, and the options that the name says."""
    name = file.record["dataset"]
    base = cards.base(name)
    if base not in known_datasets():
        remedy = f"--include DIR names the folder with datasets/{base}.toml"
        raise InputError(f"{file.path}: there is no card of its data set {base!r}; {remedy}")
    try:
        full = full_dataset_name(name)
    except InputError as error:
        raise InputError(f"{file.path}: data set {name!r}: {error}") from error
    if full != name:
        raise InputError(f"{file.path}: its data set is {name!r}, which is called {full!r}; run it again")


def _content(record: Record) -> Record:
    """What two records of the same command have in common."""
    return {key: value for key, value in record.items() if key not in VOLATILE}
