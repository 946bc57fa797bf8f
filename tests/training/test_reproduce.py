"""What `reproduce` checks itself: recorded runs, test labels that score alike, batches that do not fit."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.base.errors import InputError
from bench.base.run_folder import RunFolder
from bench.data.cards import Card
from bench.data.store import Store
from bench.results import record
from bench.training import reproduce, stage_cache
from bench.training.reproduce import Run
from bench.training.stage_cache import StageContext
from tests.runs import BRIEF

CHANGES: Any = {field: str(value) for field, value in BRIEF.items()}


@pytest.fixture
def again(
    small_card: Card, context: StageContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Any]:
    """(the record of a run, a function that reproduces it: (line, whether a stage was asked for))."""
    folder, asked = RunFolder(tmp_path / "demo"), []
    real = stage_cache.run_stages

    def run_stages(*args: Any, **how: Any) -> Any:
        asked.append(1)
        return real(*args, **how)

    def go(card: Card = small_card, **how: Any) -> tuple[str, bool]:
        asked.clear()
        run = Run(card, "resnet101", CHANGES, 0)
        return reproduce.reproduce(run, replace(context, **how), folder), bool(asked)

    monkeypatch.setattr(stage_cache, "run_stages", run_stages)
    go()
    (path,) = folder.path.glob("*.json")
    return path, go


def test_an_unchanged_record_is_not_made_again_and_its_map_is_said(again: tuple[Path, Any]):
    path, go = again
    before, mean_ap = path.read_bytes(), record.read_record(path)["metrics"]["srn2017"]["mAP"]
    line, trained = go()
    assert not trained
    assert line.startswith(f"ResNet-101 seed 0: unchanged, nothing to train; mAP {mean_ap:.2f} in ")
    assert path.read_bytes() == before


def test_a_record_that_was_edited_is_made_again_with_the_true_number(again: tuple[Path, Any]):
    path, go = again
    before = record.read_record(path)
    facts = json.loads(path.read_text(encoding="utf-8"))
    facts["metrics"]["srn2017"]["mAP"] = 99.0
    path.write_text(json.dumps(facts), encoding="utf-8")
    assert record.is_edited(record.read_record(path))
    line, _ = go()
    after = record.read_record(path)
    assert line.startswith("ResNet-101 seed 0: recorded, mAP ")
    assert after["metrics"] == before["metrics"]
    assert not record.is_edited(after)


@pytest.mark.parametrize("change", [{"fresh": True}, {"card": "another protocol"}])
def test_a_record_of_another_protocol_or_with_fresh_is_made_again(
    change: dict[str, Any], again: tuple[Path, Any], small_card: Card
):
    path, go = again
    rules = replace(small_card.evaluation, top3="forced")
    line, _ = go(replace(small_card, evaluation=rules)) if "card" in change else go(**change)
    assert line.startswith("ResNet-101 seed 0: recorded, ")
    expected = "forced" if "card" in change else "thresholded"
    assert record.read_record(path)["protocol"]["top3"] == expected


class Views:
    """A store whose test labels are others."""

    def __init__(self, store: Store, labels_NC: Any) -> None:
        self.test = type("Test", (), {"labels_NC": labels_NC})()
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.mark.parametrize(
    ("labels", "unspecified", "message"),
    [
        ([[0, 0], [0, 0]], None, "test set of demo: no label is 1, so there is nothing to find"),
        ([[1, 1], [1, 1]], None, "test set of demo: every label is 1, so that any prediction has mAP 100"),
        ([[1, 0], [0, 1]], "excluded", "none is -1, but 0 means unspecified here"),
        ([[-1, 0], [0, -1]], "negative", "no label is 1"),
    ],
)
def test_test_labels_that_any_prediction_scores_alike_are_refused_before_training(
    labels: Any, unspecified: Any, message: str, small_card: Card, context: StageContext, tmp_path: Path
):
    rules = replace(small_card.evaluation, unspecified=unspecified)
    run = Run(replace(small_card, evaluation=rules), "resnet101", CHANGES, 0)
    others: Any = Views(context.store, np.array(labels, np.int8))
    with pytest.raises(InputError, match=message):
        reproduce.reproduce(run, replace(context, store=others), RunFolder(tmp_path / "demo"))
    assert not list(tmp_path.rglob("*.safetensors"))
    assert not list(tmp_path.rglob("*.json*"))


def test_test_labels_that_the_owner_keeps_are_not_checked(small_card: Card, context: StageContext):
    rules = replace(small_card.evaluation, result_files="{label}.txt")
    others: Any = Views(context.store, np.zeros((2, 10), np.int8))
    reproduce._check_test_labels(replace(small_card, evaluation=rules), replace(context, store=others))


@pytest.mark.parametrize("batch_size", [96, 1000])
def test_a_batch_is_said_to_be_smaller_only_if_it_is(
    batch_size: int, small_card: Card, capsys: pytest.CaptureFixture[str]
):
    run = Run(small_card, "resnet101", {}, 0)
    module = reproduce.method.load_method("resnet101")
    reproduce._say_if_batches_are_smaller(
        run, module, replace(run.recipe, batch_size=batch_size), quiet=False
    )
    said = capsys.readouterr().err
    assert bool(said) == (batch_size != run.recipe.batch_size)
    if said:
        assert said.startswith(
            f"ResNet-101 seed 0: {batch_size} images to train on do not fill a batch of 96"
        )


def test_a_batch_that_was_asked_for_and_does_not_fit_is_refused_before_training(
    small_card: Card, context: StageContext, tmp_path: Path
):
    run = Run(small_card, "resnet101", {"batch_size": "1000"}, 0)
    with pytest.raises(InputError, match=f"give --batch-size {len(context.store.fitted)} or less"):
        reproduce.reproduce(run, context, RunFolder(tmp_path / "demo"))
    assert not (tmp_path / "demo").exists()
