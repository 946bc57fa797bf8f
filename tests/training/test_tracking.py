"""Trackers get the rows of the log: TensorBoard, wandb and MLflow; a resumed run goes on under its name."""

import importlib
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.base.errors import InputError
from bench.base.run_folder import RunFolder
from bench.training import run_options, tracking
from bench.training.log import Log
from bench.training.tracking import TrackedRun
from tests.training.test_log import row, trained

FACTS = {"method": "srn", "seed": 0, "lr": 0.1}


def run(tmp_path: Path, **changes: Any) -> TrackedRun:
    how = {"key": "k", **changes}
    return TrackedRun("demo", "srn-seed0", FACTS, folder=RunFolder(tmp_path / "demo"), **how)


def tracked(name: str, tmp_path: Path, *rows: dict[str, Any], **changes: Any) -> None:
    log = Log(tmp_path / "r", trackers=tracking.open_all([name], run(tmp_path, **changes)))
    with log:
        for one in rows:
            log.write(one)


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of these packages but those of a test; each package counts as installed."""
    for name in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_DIR", "MLFLOW_TRACKING_URI", *tracking.NO_REPORTS):
        monkeypatch.setenv(name, "")  # so that it is as before after the test
        monkeypatch.delenv(name)
    monkeypatch.setattr(tracking, "is_installed", lambda _: True)


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Calls of the part of wandb that is used."""
    calls: list[Any] = []

    def init(**how: Any) -> Any:
        calls.append(("init", how))
        return SimpleNamespace(
            define_metric=lambda *names, **how: calls.append(("define", *names, how)),
            log=lambda values: calls.append(("log", values)),
            finish=lambda: calls.append(("finish",)),
        )

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    return calls


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Calls of the part of MLflow that is used."""
    calls: list[Any] = []

    class Client:
        def __init__(self, uri: str) -> None:
            calls.append(("client", uri))

        def get_experiment_by_name(self, name: str) -> Any:
            there = any(call[:2] == ("experiment", name) for call in calls)
            return SimpleNamespace(experiment_id="7") if there else None

        def create_experiment(self, name: str) -> str:
            calls.append(("experiment", name))
            return "7"

        def create_run(self, experiment: str, *, run_name: str) -> Any:
            calls.append(("run", experiment, run_name))
            return SimpleNamespace(info=SimpleNamespace(run_id=f"id{len(calls)}"))

        def __getattr__(self, name: str) -> Any:
            return lambda *words, **how: calls.append((name, *words, *how.items()))

    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(MlflowClient=Client))
    return calls


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the package itself
def test_tensorboard_gets_the_same_numbers(tmp_path: Path):
    reader = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    both = {"lr_first": 0.25, "averaged_held_out_mAP": 51.0, "test_mAP": 49.0}
    tracked("tensorboard", tmp_path, row(epoch=3, held_out_mAP=50.0, **both))
    events = reader.EventAccumulator(str(tmp_path / "demo" / "tensorboard" / "srn-seed0")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("main/held_out_mAP")] == [(3, 50.0)]
    assert {name: events.Scalars(f"main/{name}")[0].value for name in both} == both
    assert "main/images_per_second" not in events.Tags()["scalars"]


class TestWandb:
    def test_gets_every_row_with_the_epoch_as_axis_of_each_stage(self, wandb: list[Any], tmp_path: Path):
        tracked("wandb", tmp_path, row(epoch=1), row(epoch=2, held_out_mAP=50.0), row("joint"))
        axis = [("define", "main/epoch", {}), ("define", "main/*", {"step_metric": "main/epoch"})]
        values = {"main/loss": 2.0, "main/held_out_loss": 2.5, "main/lr": 0.1}
        assert wandb[1:5] == [
            *axis,
            ("log", {"main/epoch": 1, **values}),
            ("log", {"main/epoch": 2, **values, "main/held_out_mAP": 50.0}),
        ]
        assert wandb[-2][1]["joint/epoch"] == 1
        assert wandb[-1] == ("finish",)
        assert wandb[0][1]["config"] == FACTS
        assert wandb[0][1]["group"] == "demo"
        assert wandb[0][1]["name"] == "srn-seed0"

    def test_sends_nothing_unless_the_user_says_so(
        self, wandb: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        tracked("wandb", tmp_path)
        monkeypatch.setenv("WANDB_MODE", "online")
        monkeypatch.setenv("WANDB_PROJECT", "mine")
        tracked("wandb", tmp_path)
        asked = [call[1] for call in wandb if call[0] == "init"]
        assert [how["mode"] for how in asked] == ["offline", "online"]
        assert [how["project"] for how in asked] == ["multilabel-bench", "mine"]

    def test_goes_on_under_the_same_name_where_the_run_does(self, wandb: list[Any], tmp_path: Path):
        for changes in ({}, {}, {"key": "another recipe"}, {"key": "another recipe", "fresh": True}):
            tracked("wandb", tmp_path, **changes)
        first, second, third, fourth = (call[1] for call in wandb if call[0] == "init")
        assert first["id"] == second["id"]
        assert second["resume"] == "allow"
        assert len({first["id"], third["id"], fourth["id"]}) == 3


class TestMlflow:
    def test_gets_the_recipe_and_every_row(self, mlflow: list[Any], tmp_path: Path):
        tracked("mlflow", tmp_path, row(epoch=2, held_out_mAP=50.0))
        assert mlflow[:3] == [
            ("client", (tmp_path / "demo" / "tracked" / "mlflow").as_uri()),
            ("experiment", "multilabel-bench/demo"),
            ("run", "7", "srn-seed0"),
        ]
        assert [call[2:] for call in mlflow if call[0] == "log_param"] == list(FACTS.items())
        assert [call[2:] for call in mlflow if call[0] == "log_metric"] == [
            ("main/loss", 2.0, ("step", 2)),
            ("main/held_out_loss", 2.5, ("step", 2)),
            ("main/held_out_mAP", 50.0, ("step", 2)),
            ("main/lr", 0.1, ("step", 2)),
        ]
        assert mlflow[-1] == ("set_terminated", "id3")

    def test_goes_on_with_the_same_run_in_the_same_experiment(self, mlflow: list[Any], tmp_path: Path):
        for changes in ({}, {}, {"key": "another recipe"}):
            tracked("mlflow", tmp_path, **changes)
        assert len([call for call in mlflow if call[0] == "experiment"]) == 1
        ended = [call[1] for call in mlflow if call[0] == "set_terminated"]
        assert ended[0] == ended[1] != ended[2]

    def test_an_experiment_that_another_task_made_first_is_taken(self, mlflow: list[Any], tmp_path: Path):
        client = sys.modules["mlflow"].MlflowClient

        def create(_: Any, name: str) -> str:
            mlflow.append(("experiment", name))
            raise RuntimeError("RESOURCE_ALREADY_EXISTS")

        client.create_experiment = create
        tracked("mlflow", tmp_path)
        assert ("run", "7", "srn-seed0") in mlflow

    def test_goes_where_the_user_says(
        self, mlflow: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        tracked("mlflow", tmp_path)
        assert mlflow[0] == ("client", "http://127.0.0.1:9")


def test_no_package_reports_its_use_to_its_maker(wandb: list[Any], tmp_path: Path):
    tracked("wandb", tmp_path)
    assert (os.environ["WANDB_ERROR_REPORTING"], os.environ["MLFLOW_DISABLE_TELEMETRY"]) == ("false", "true")
    assert wandb


class TestFaults:
    @pytest.mark.parametrize(
        ("words", "package", "install"),
        [
            (["--tensorboard"], "tensorboard", "tensorboard"),
            (["--track", "wandb"], "wandb", "wandb"),
            (["--track", "mlflow"], "mlflow", "mlflow-skinny"),
        ],
    )
    def test_a_missing_package_is_one_line_before_any_work(
        self, words: list[str], package: str, install: str, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(tracking, "is_installed", lambda name: name != package)
        option = " ".join(words)
        with pytest.raises(
            InputError, match=f"^{option} needs a package that is not installed: pip install {install}$"
        ):
            run_options.parse(["--dataset", "demo", "--method", "srn", *words], description=None)

    def test_an_unknown_tracker_is_answered_with_those_there_are(self):
        with pytest.raises(
            InputError, match="unknown tracker 'comet'; choose from: tensorboard, wandb, mlflow"
        ):
            tracking.chosen("wandb,comet")
        assert tracking.chosen("mlflow,mlflow", tensorboard=True) == ["tensorboard", "mlflow"]
        assert tracking.chosen("") == []

    def test_a_run_that_cannot_be_tracked_is_said_before_it_trains(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        def init(**_: Any) -> None:
            raise RuntimeError("api_key not configured")

        monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
        with pytest.raises(
            InputError,
            match="--track wandb: the run cannot be tracked: api_key not configured; or leave --track wandb",
        ):
            tracking.open_all(["wandb"], run(tmp_path))

    def test_a_tracker_that_fails_is_said_once_and_stops_no_training(
        self, mlflow: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ):
        trackers = tracking.open_all(["mlflow"], run(tmp_path))

        def fail(*_: Any, **__: Any) -> None:
            raise OSError(101, "Network is down")

        trackers[0].tracker.client.log_metric = fail  # type: ignore[attr-defined]
        trackers[0].tracker.client.set_terminated = fail  # type: ignore[attr-defined]
        log = Log(tmp_path / "r", trackers=trackers)
        with log:
            for epoch in (1, 2):
                log.write(row(epoch=epoch))
        assert capsys.readouterr().err.splitlines() == [
            "mlflow: not tracked from stage main, epoch 1 on, while it fails: [Errno 101] Network is down"
        ]
        assert len((tmp_path / "r").read_text().splitlines()) == 2
        assert mlflow


def test_a_run_gives_the_rows_of_its_log_to_the_trackers(
    small_cards: Path, wandb: list[Any], mlflow: list[Any], tmp_path: Path
):
    assert small_cards.exists()
    folder = trained(tmp_path, "--method", "resnet101", "--track", "wandb,mlflow")
    (path,) = folder.glob("resnet101@*.jsonl")
    (line,) = [json.loads(text) for text in path.read_text().splitlines()]
    (given,) = [call[1] for call in wandb if call[0] == "log"]
    assert given == {
        "main/epoch": 1,
        **{f"main/{name}": line[name] for name in tracking.FIELDS if line.get(name) is not None},
    }
    assert {call[2]: call[3] for call in mlflow if call[0] == "log_metric"} == {
        name: value for name, value in given.items() if name != "main/epoch"
    }
    assert wandb[0][1]["config"].items() >= {"method": "resnet101", "seed": 0, "epochs": 1}.items()
    assert wandb[-1] == ("finish",)
    before = len(wandb)
    trained(tmp_path, "--method", "resnet101", "--track", "wandb")
    assert len(wandb) == before  # nothing was trained
