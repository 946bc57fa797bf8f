"""The log of a run, `runs/<dataset>/<run>.jsonl`: one JSON line for each epoch of each stage.

A row has stage, key (the stage's, shortened), epoch, lr, loss, held_out_loss, held_out_mAP (percent), and, if
this run learned it, images_per_second, memory_bytes (the device's peak), seconds and processes.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.base.errors import InputError

EpochRow = dict[str, Any]
DRAWN = ("loss", "held_out_loss", "held_out_mAP", "lr", "images_per_second", "memory_bytes")


class Log:
    """A run's log, that is written line by line; with a folder for them, TensorBoard's files as well."""

    def __init__(self, path: Path, *, tensorboard: Path | None = None) -> None:
        self.path = path
        self._known = {_place(row) for row in rows(path)}
        self._board = _board(tensorboard) if tensorboard else None

    def write(self, row: EpochRow) -> None:
        """Add a row."""
        self._known.add(_place(row))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                file.write(_break(self.path) + json.dumps(row).encode() + b"\n")
        except OSError as fault:
            raise InputError(f"cannot write {self.path}: {fault.strerror}") from fault
        if self._board:
            for name in DRAWN:
                if row.get(name) is not None:
                    self._board.add_scalar(f"{row['stage']}/{name}", row[name], row["epoch"])
            self._board.flush()

    def recall(self, stage: str, key: str, epochs: Iterable[Mapping[str, Any]]) -> None:
        """Add the rows of a stage that was learned before, as far as they are not there."""
        for epoch in epochs:
            row = {"stage": stage, "key": key[:12], **epoch}
            if _place(row) not in self._known:
                self.write(row)


def rows(path: Path) -> list[EpochRow]:
    """The log's latest training, stage after stage and epoch after epoch; none where there is no file.

    Of a stage only the rows of its last key count, of an epoch the last one; a line that a killed process
    left unfinished is passed over.
    """
    found = [row for line in _lines(path) if (row := _row(line))]
    last = {row["stage"]: row["key"] for row in found}
    latest = {_place(row): row for row in found if row["key"] == last[row["stage"]]}
    stages = list(last)
    return sorted(latest.values(), key=lambda row: (stages.index(row["stage"]), row["epoch"]))


def _place(row: Mapping[str, Any]) -> tuple[str, str, int]:
    return row["stage"], row["key"], row["epoch"]


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


def _row(line: bytes) -> EpochRow | None:
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError):
        return None


def _break(path: Path) -> bytes:
    """A new line, where the last one was left unfinished."""
    content = path.read_bytes()
    return b"\n" if content and not content.endswith(b"\n") else b""


def _board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 (an optional package behind it)
    except ImportError as missing:
        raise InputError("--tensorboard needs a package more: pip install tensorboard") from missing
    return SummaryWriter(str(folder))
