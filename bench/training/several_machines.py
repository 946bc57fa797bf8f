"""Checks that processes on several machines see the same runs and data, before they train together."""

import secrets
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.base.run_folder import RunFolder
from bench.data.cards import Card
from bench.data.manifest import MANIFEST
from bench.data.store import Store
from bench.training.distributed import Processes


def open_stores(
    needed: Mapping[str, Card],
    prepare: Callable[[Card], Store],
    processes: Processes,
    *,
    data: Path,
    runs: RunFolder,
) -> dict[str, Store]:
    """The store of each card, by its name; the first process prepares what is missing.

    data: the folder of all stores. Raises InputError, on all processes, where another machine has no such
    store, or one with other content, or does not see the first process's folder of runs.
    """
    with processes.main_first():
        missing = [data / name for name in needed if not (data / name / MANIFEST).exists()]
        stores = {name: prepare(card) for name, card in needed.items() if processes.is_main or not missing}
    if processes.size > 1:
        prints = {name: store.fingerprint for name, store in stores.items()}
        expected = processes.broadcast(prints)
        fault = _missing(missing) if not processes.is_main and missing else ""
        if not fault and prints != expected:
            names = [str(data / name) for name in needed if prints[name] != expected[name]]
            fault = f"{', '.join(names)} has other content than on the first machine; prepare it there again"
        other_runs = _other_runs(runs, processes)  # all take part in this
        processes.raise_together(_on_this_machine(fault or other_runs))
    return stores


def _missing(folders: list[Path]) -> str:
    names = ", ".join(map(str, folders))
    commands = "; ".join(f"python -m bench.prepare --dataset {folder.name}" for folder in folders)
    return (
        f"{names} is not there; give a folder that all machines share, --data DIR, or run there: {commands}"
    )


def _other_runs(runs: RunFolder, processes: Processes) -> str:
    """What to say where this process does not see a file that the first one wrote into the folder of runs."""
    name = processes.broadcast(f".seen-by-all-{secrets.token_hex(8)}")
    mark = runs.path / name
    if processes.is_main:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    processes.broadcast(None)
    is_seen = mark.exists()
    processes.gather([is_seen])  # all have looked
    if processes.is_main:
        mark.unlink()
    if is_seen:
        return ""
    return f"{runs.path} is not the folder of the first process; give one that all machines share: --runs DIR"


def _on_this_machine(fault: str) -> str:
    return f"{socket.gethostname()}: {fault}" if fault else ""
