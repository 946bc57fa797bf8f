"""The log of a run, `runs/<dataset>/<run>.jsonl`: one JSON line for each epoch of each stage.

A row has stage, key (the first 12 characters of the stage's key), epoch, lr (of the epoch's last step; if it
differs also lr_first, of its first), loss, held_out_loss and held_out_mAP (in percent; with averaged weights
also both with raw_ and averaged_ before them), under --watch-test test_mAP (the same), and, if this run
learned the stage itself, images_per_second, memory_bytes (the device's peak), seconds and processes; under
float16 also loss_scale, and skipped_steps: the updates that were skipped because gradients overflowed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Self

from bench.base import progress, schema, structured_files
from bench.base.errors import InputError
from bench.base.locks import Lease
from bench.base.schema import Range
from bench.training.tracking import TrackedRun, Tracker, open_all

EpochRow = dict[str, Any]


@dataclass(frozen=True)
class RowFacts:
    """The facts that every row of a log has, with their types."""

    stage: str
    key: str
    epoch: Annotated[int, Range(1)]
    lr: float
    loss: float
    held_out_loss: float | None
    held_out_mAP: float | None


class Log:
    """Writes a run's log line by line, and gives every row to the trackers as well."""

    def __init__(self, path: Path, *, trackers: Sequence[Tracker] = ()) -> None:
        self.path, self.trackers = path, trackers
        self._written = {_row_id(row) for row in rows(path)}

    def write(self, row: EpochRow) -> None:
        """Append a row; InputError where the file cannot be written."""
        self._written.add(_row_id(row))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                file.write(_missing_line_break(self.path) + json.dumps(row).encode() + b"\n")
        except OSError as error:
            raise InputError(
                f"cannot write {self.path}: {error.strerror}; make it writable, or choose another --runs"
            ) from error
        for tracker in self.trackers:
            tracker.write(row)

    @classmethod
    def of(cls, run: TrackedRun, track: Sequence[str]) -> Self:
        """The log of a run, with the trackers of these names."""
        return cls(run.folder.log(run.name), trackers=open_all(track, run))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Tell the trackers that the run has finished, unless it was stopped: it then goes on later."""
        for tracker in self.trackers if kind is None else ():
            tracker.close()

    def write_missing(self, stage: str, key: str, epochs: Iterable[Mapping[str, Any]]) -> None:
        """Append the rows of a stage that was learned in an earlier run, unless the log has them."""
        for epoch in epochs:
            row = {"stage": stage, "key": key[:12], **epoch}
            if _row_id(row) not in self._written:
                self.write(row)


@dataclass(frozen=True)
class RowWriter:
    """Writes a stage's rows to the log, if there is one; before that, the stage's lock must still be held."""

    log: Log | None
    stage: str
    key: str
    lease: Lease | None = None

    def __call__(self, row: Mapping[str, Any]) -> None:
        """Write the row of an epoch; InputError where the lock was lost."""
        if self.lease:
            self.lease.check()
        if self.log:
            self.log.write({"stage": self.stage, "key": self.key[:12], **row})


def rows(path: Path) -> list[EpochRow]:
    """The rows of the latest training, sorted by stage and epoch; none where there is no file.

    Of a stage only the rows with its last key count, and of an epoch only the last row. A line that a killed
    process left incomplete is skipped; of lines that are no rows the number and the first are said.
    """
    all_rows, wrong = [], []
    for number, line in enumerate(_lines(path), 1):
        try:
            all_rows += _row(line)
        except InputError as mistake:
            wrong.append(f"line {number}: {mistake}")
    if wrong:
        more = f" and {len(wrong) - 1} more" if wrong[1:] else ""
        progress.say(f"{path}: no row of a log, passed over: {wrong[0]}{more}")
    last_key = {row["stage"]: row["key"] for row in all_rows}
    latest = {_row_id(row): row for row in all_rows if row["key"] == last_key[row["stage"]]}
    stages = list(last_key)
    return sorted(latest.values(), key=lambda row: (stages.index(row["stage"]), row["epoch"]))


def _row_id(row: Mapping[str, Any]) -> tuple[str, str, int]:
    return row["stage"], row["key"], row["epoch"]


def _lines(path: Path) -> list[bytes]:
    return structured_files.read_bytes(path).splitlines() if path.exists() else []


def _row(line: bytes) -> list[EpochRow]:
    """The row on a line; none on an incomplete one; InputError for a line that is something else."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return []
    if not isinstance(row, dict):
        raise InputError("not an object")
    known = {field.name for field in fields(RowFacts)}
    schema.build(RowFacts, {name: value for name, value in row.items() if name in known}, where="")
    return [row]


def _missing_line_break(path: Path) -> bytes:
    """A line break if the last line lacks one, because its process was killed; else nothing."""
    content = path.read_bytes()
    return b"\n" if content and not content.endswith(b"\n") else b""
