"""Trackers, which get the rows of a run's log: TensorBoard, Weights & Biases, MLflow; off unless asked for.

Nothing is sent over a network unless the user's settings of the tracker's package say so: wandb is offline
without WANDB_MODE=online, and MLflow writes below `runs/` without MLFLOW_TRACKING_URI.
"""

import importlib.util
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from bench.base import progress, structured_files
from bench.base.atomic_files import write_atomically
from bench.base.errors import InputError, unknown
from bench.base.run_folder import RunFolder

FIELDS = (
    *("loss", "held_out_loss", "held_out_mAP", "lr", "lr_first", "images_per_second", "memory_bytes"),
    *("raw_held_out_loss", "raw_held_out_mAP", "averaged_held_out_loss", "averaged_held_out_mAP"),
    *("test_mAP", "raw_test_mAP", "averaged_test_mAP"),
)
PROJECT = "multilabel-bench"
# Both packages report their own use and faults to their makers, unless they are told not to.
NO_REPORTS = {"WANDB_ERROR_REPORTING": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
HELP = "give the rows of TensorBoard to wandb or mlflow too, offline unless their settings say otherwise"
# Name -> (the option that asks for it, the package, what installs it).
PACKAGES = {
    "tensorboard": ("--tensorboard", "tensorboard", "tensorboard"),
    "wandb": ("--track wandb", "wandb", "wandb"),
    "mlflow": ("--track mlflow", "mlflow", "mlflow-skinny"),
}


class Tracker(Protocol):
    """Where the rows of a run go besides its log."""

    def write(self, row: Mapping[str, Any]) -> None:
        """Add a row of the log."""

    def close(self) -> None:
        """Mark the run as finished."""


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told about a run: its data set, name and facts; key: of all that determines it.

    fresh: the run begins anew, whatever was tracked before.
    """

    dataset: str
    name: str
    facts: Mapping[str, Any]
    key: str
    folder: RunFolder
    fresh: bool = False

    def identity(self, tracker: str) -> str | None:
        """The tracker's own name of this run; None if it was not tracked before, or was another run then."""
        file = self.folder.tracked(self.name)
        stored = structured_files.read_json_object(file).get(tracker, {}) if file.exists() else {}
        same = isinstance(stored, dict) and stored.get("key") == self.key and not self.fresh
        return str(stored["id"]) if same else None

    def remember(self, tracker: str, identity: str) -> None:
        """Keep the tracker's name of this run, so that a resumed run goes on under it."""
        file = self.folder.tracked(self.name)
        others = structured_files.read_json_object(file) if file.exists() else {}
        write_atomically(file, json.dumps({**others, tracker: {"id": identity, "key": self.key}}) + "\n")


def chosen(text: str, *, tensorboard: bool = False) -> list[str]:
    """The trackers of a list such as `wandb,mlflow`; InputError for one that is unknown or not installed."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in WRITERS:
            raise unknown("tracker", name, WRITERS)
    names = list(dict.fromkeys([*(["tensorboard"] if tensorboard else []), *names]))
    check(names)
    return names


def is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def check(names: Sequence[str]) -> None:
    """InputError, before any work, for a tracker whose package is not installed."""
    for name in names:
        option, package, install = PACKAGES[name]
        if not is_installed(package):
            raise InputError(f"{option} needs a package that is not installed: pip install {install}")


def open_all(names: Sequence[str], run: TrackedRun) -> list[Tracker]:
    """The trackers of these names, ready for the run's rows; InputError where one cannot be opened."""
    check(names)
    for variable, value in NO_REPORTS.items():
        os.environ.setdefault(variable, value)
    trackers: list[Tracker] = []
    for name in names:
        try:
            trackers.append(_Guarded(name, WRITERS[name](run)))
        except Exception as fault:
            reason = " ".join(str(fault).split())[:300] or type(fault).__name__
            option = PACKAGES[name][0]
            raise InputError(
                f"{option}: the run cannot be tracked: {reason}; or leave {option} out"
            ) from fault
    return trackers


def _values(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a row that are tracked, each named by stage and field."""
    for name in FIELDS:
        if row.get(name) is not None:
            yield f"{row['stage']}/{name}", row[name]


class _Guarded:
    """A tracker whose faults are said once and stop no training; the run's own log has every row."""

    def __init__(self, name: str, tracker: Tracker) -> None:
        self.name, self.tracker, self.failed = name, tracker, False

    def write(self, row: Mapping[str, Any]) -> None:
        try:
            self.tracker.write(row)
        except Exception as fault:  # noqa: BLE001 (of any package, and of a network)
            if not self.failed:
                reason = " ".join(str(fault).split())[:200] or type(fault).__name__
                where = f"stage {row['stage']}, epoch {row['epoch']}"
                progress.say(f"{self.name}: not tracked from {where} on, while it fails: {reason}")
            self.failed = True

    def close(self) -> None:
        with suppress(Exception):
            self.tracker.close()


class TensorBoard:
    """Writes TensorBoard's files."""

    def __init__(self, run: TrackedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 (needs an optional package)

        self.writer: Any = SummaryWriter(str(run.folder.tensorboard(run.name)))

    def write(self, row: Mapping[str, Any]) -> None:
        for name, value in _values(row):
            self.writer.add_scalar(name, value, row["epoch"])
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class Wandb:
    """Writes to Weights & Biases, offline unless WANDB_MODE says otherwise; a stage's axis is its epoch."""

    def __init__(self, run: TrackedRun) -> None:
        import wandb  # noqa: PLC0415 (an optional package)

        identity = run.identity("wandb") or secrets.token_hex(4)
        folder = run.folder.tracker("wandb")
        folder.mkdir(parents=True, exist_ok=True)
        self.run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            mode=os.environ.get("WANDB_MODE", "offline"),
            dir=os.environ.get("WANDB_DIR", str(folder)),
            id=identity,
            resume="allow",
            group=run.dataset,
            name=run.name,
            config=dict(run.facts),
        )
        run.remember("wandb", identity)
        self.stages: set[str] = set()

    def write(self, row: Mapping[str, Any]) -> None:
        stage = row["stage"]
        if stage not in self.stages:
            self.stages.add(stage)
            self.run.define_metric(f"{stage}/epoch")
            self.run.define_metric(f"{stage}/*", step_metric=f"{stage}/epoch")
        self.run.log({f"{stage}/epoch": row["epoch"], **dict(_values(row))})

    def close(self) -> None:
        self.run.finish()


class Mlflow:
    """Writes to MLflow: where MLFLOW_TRACKING_URI says, else to a folder below `runs/`."""

    def __init__(self, run: TrackedRun) -> None:
        import mlflow  # noqa: PLC0415 (an optional package)

        own = run.folder.tracker("mlflow").resolve().as_uri()
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # new versions refuse it otherwise
        self.client: Any = mlflow.MlflowClient(os.environ.get("MLFLOW_TRACKING_URI", own))
        self.id = run.identity("mlflow") or self._begin(run)
        self.client.update_run(self.id, status="RUNNING")

    def _begin(self, run: TrackedRun) -> str:
        """The tracked run's id; runs of one data set are an experiment."""
        identity = str(self.client.create_run(self._experiment(run), run_name=run.name).info.run_id)
        for name, value in run.facts.items():
            self.client.log_param(identity, name, value)
        run.remember("mlflow", identity)
        return identity

    def _experiment(self, run: TrackedRun) -> str:
        title = f"{PROJECT}/{run.dataset}"
        if there := self.client.get_experiment_by_name(title):
            return str(there.experiment_id)
        try:
            return str(self.client.create_experiment(title))
        except Exception:
            if there := self.client.get_experiment_by_name(title):  # another task was faster
                return str(there.experiment_id)
            raise

    def write(self, row: Mapping[str, Any]) -> None:
        for name, value in _values(row):
            self.client.log_metric(self.id, name, value, step=row["epoch"])

    def close(self) -> None:
        self.client.set_terminated(self.id)


WRITERS: dict[str, Callable[[TrackedRun], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": Wandb,
    "mlflow": Mlflow,
}
