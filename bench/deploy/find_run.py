"""Find a run by what a user calls it: a path, a name of their own, `demo/srn-seed0`, `srn-seed0`, `demo`.

`hf:ORG/NAME` is an exported model on the Hugging Face Hub; of it, the two files that are read are fetched.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.base import hub, locks, paths, progress
from bench.base.atomic_files import write_atomically
from bench.base.errors import InputError
from bench.base.run_folder import RunFolder
from bench.base.structured_files import read_json_object
from bench.results import record
from bench.results.record import Record

LISTED = 10  # runs that a message names
EXPORTED = ("config.json", "model.safetensors")  # of a model on the Hub: all that is fetched


@dataclass(frozen=True)
class FoundRun:
    """A run that is there: its record, where that lies, and the names that the user gave it."""

    path: Path
    facts: Record
    names: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """`demo/srn-seed0`."""
        return f"{self.facts['dataset']}/{self.path.stem}"

    @property
    def written(self) -> str:
        """When the record was written, in UTC; sorts by time."""
        return str(self.facts["provenance"].get("written", ""))

    @property
    def mean_ap(self) -> float:
        """The record's main number, percent."""
        return float(self.facts["metrics"][self.facts["protocol"]["profile"]]["mAP"])


def list_runs(runs: Path | None = None) -> list[FoundRun]:
    """Every run under `runs/`, the newest first; InputError names a file that is no record."""
    folder = runs or paths.RUNS
    names = _names(folder)
    return sorted(_runs(folder, names), key=lambda run: run.written, reverse=True)


def find_run(wanted: str, runs: Path | None = None) -> Path:
    """The path that a user means. A name that fits several runs, as a data set's or a method's, means the
    newest of them.

    InputError lists the runs there are.
    """
    folder = runs or paths.RUNS
    if not wanted:
        raise InputError("--run: a name is expected; python -m bench.runs lists the runs there are")
    if hub.is_address(wanted):
        return _fetch(wanted)
    if _exists(Path(wanted)):
        return Path(wanted)
    there = list_runs(folder)
    for fits in (_has_name, _has_title, _is_of):
        if fitting := [run for run in there if fits(run, wanted)]:
            return fitting[0].path
    raise InputError(f"--run {wanted}: neither a path nor a run in {record.shown(folder)}; {_remedy(there)}")


def _fetch(wanted: str) -> Path:
    """The folder of an exported model on the Hub; a line says which commit of it is read."""
    there = hub.address(wanted, "model")
    folder = hub.download(there, EXPORTED, needed=EXPORTED)
    progress.say(f"{there}: commit {folder.name}")
    return folder


def give_name(name: str, title: str, runs: Path) -> None:
    """Let `--run NAME` mean a run from now on; title: as in `demo/srn-seed0`."""
    check_name(name)
    file = RunFolder.names_file(runs)
    with locks.held(file.with_name(f".{file.name}.lock"), waiting=lambda: None):
        names = _names(runs) | {name: title}
        write_atomically(file, json.dumps(names, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def check_name(name: str) -> None:
    """InputError unless the name can be told from a path."""
    if not name.isprintable() or set(name) & set("/\\") or name != name.strip() or not 0 < len(name) <= 100:
        raise InputError(f"--name {name!r}: give a short name without slashes, as in --name mine")


def _names(runs: Path) -> dict[str, str]:
    file = RunFolder.names_file(runs)
    if not file.exists():
        return {}
    return {str(name): str(title) for name, title in read_json_object(file).items()}


def _runs(folder: Path, names: dict[str, str]) -> Iterator[FoundRun]:
    for path in sorted(folder.glob("*/*.json")):
        if path.is_file() and not path.name.startswith("."):
            facts = record.read_record(path)
            title = f"{facts['dataset']}/{path.stem}"
            yield FoundRun(path, facts, tuple(name for name, meant in names.items() if meant == title))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _has_name(run: FoundRun, wanted: str) -> bool:
    return wanted in run.names


def _has_title(run: FoundRun, wanted: str) -> bool:
    return wanted in (run.title, run.path.stem, run.path.name)


def _is_of(run: FoundRun, wanted: str) -> bool:
    """Whether the run is of the data set, or `demo/srn`, of the method on it."""
    dataset, method = run.facts["dataset"], run.facts["method"]
    return wanted in (dataset, method, f"{dataset}/{method}")


def _remedy(there: list[FoundRun]) -> str:
    if not there:
        return "train one with python -m bench.run"
    more = f" and {len(there) - LISTED} more: python -m bench.runs" if len(there) > LISTED else ""
    return f"choose from: {', '.join(run.title for run in there[:LISTED])}{more}"
