"""Best on test: watching the test set changes nothing, and what it gives stands beside the result, marked."""

import doctest
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import run, table
from bench.base.errors import InputError
from bench.base.protocol import Evaluation
from bench.data.store import Store
from bench.results import record
from bench.scoring import metrics
from bench.training import batches, best_on_test, inference, loop, stage_checkpoint
from bench.training.learners import TrainingLearner
from tests.killing import stage_run
from tests.training.test_loop import Killed, dying
from tests.training.test_run import FEW

RULES = Evaluation()


def watched_run(store: Store, file: Path, **changes: Any) -> Any:
    model, settings = stage_run(store, file, **changes)
    return model, replace(settings, watched=RULES)


def test_to_watch_changes_no_bit_of_weights_and_epochs(store: Store, tmp_path: Path):
    both = {"ema": 0.5, "weights": "averaged"}
    plain, usual = stage_run(store, tmp_path / "plain", **both)
    model, settings = watched_run(store, tmp_path / "watched", **both)
    facts, expected = TrainingLearner(model, settings).learn(), TrainingLearner(plain, usual).learn()
    assert all(torch.equal(model.state_dict()[key], tensor) for key, tensor in plain.state_dict().items())
    rows = facts.pop("watched")
    assert facts == expected
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert all(row["test_mAP"] == row["averaged_test_mAP"] != row["raw_test_mAP"] for row in rows)
    logits_NC = inference.predict(model, store.test, settings.pixels)
    assert rows[-1]["test_mAP"] == metrics.evaluate(logits_NC, store.test.labels_NC)["mAP"]


def test_killed_and_resumed_the_values_of_finished_epochs_are_kept(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stage_checkpoint, "SAVING_SHARE", math.inf)
    whole = TrainingLearner(*watched_run(store, tmp_path / "whole")).learn()
    model, settings = watched_run(store, tmp_path / "c")
    with pytest.raises(Killed):
        loop.train(model, replace(settings, feed=dying(batches.training, 6)))
    assert TrainingLearner(*watched_run(store, tmp_path / "c")).learn() == whole


def test_epochs_that_were_trained_without_it_are_said(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stage_checkpoint, "SAVING_SHARE", math.inf)
    model, settings = stage_run(store, tmp_path / "c")
    with pytest.raises(Killed):
        loop.train(model, replace(settings, feed=dying(batches.training, 6)))
    facts = {"name": "main", **TrainingLearner(*watched_run(store, tmp_path / "c")).learn()}
    assert [row["epoch"] for row in facts["watched"]] == [2, 3]
    made = {"stages": [facts], **best_on_test.facts_of_best(facts, 50.0, watched=RULES)}
    text = best_on_test.said_of_best(made, None)
    assert text.endswith("; 1 of 3 epochs were trained without it; to train them again: --fresh --watch-test")


def test_logits_that_are_not_finite_leave_a_gap_and_do_not_stop_the_training(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def none_finite(*_: Any, **__: Any) -> Any:
        return torch.full((48, 10), math.nan).numpy()

    monkeypatch.setattr(best_on_test.inference, "all_logits", none_finite)
    facts = TrainingLearner(*watched_run(store, tmp_path / "c")).learn()
    assert [row["test_mAP"] for row in facts["watched"]] == [None] * 3
    assert best_on_test.facts_of_best({"name": "main", **facts}, 50.0, watched=RULES) == {}


def test_the_best_is_the_highest_of_both_weights_and_all_epochs_and_the_earliest_of_equal_ones():
    values = [(60.0, 58.0), (61.0, 61.5), (61.5, None)]
    rows = [
        {"epoch": n, "test_mAP": averaged, "raw_test_mAP": raw, "averaged_test_mAP": averaged}
        for n, (raw, averaged) in enumerate(values, 1)
    ]
    stage = {"name": "joint", "watched": rows}
    made = best_on_test.facts_of_best(stage, 61.0, watched=RULES)["best_on_test"]
    assert best_on_test.facts_of_best(stage, 61.0, watched=None) == {}
    expected = {"stage": "joint", "epoch": 2, "weights": "averaged", "mAP": 61.5, "difference": 0.5}
    assert made == expected | {"epochs": rows}
    assert doctest.testmod(best_on_test).failed == 0


def test_a_last_stage_without_epochs_has_none_and_says_so():
    made = {"stages": [{"name": "features", "epochs": []}]}
    text = "; best on test: none, as the last stage, features, has no epochs"
    assert best_on_test.said_of_best(made, RULES) == text
    assert best_on_test.said_of_best(made, None) == ""


def test_a_run_records_it_beside_the_same_result_and_the_table_marks_it(
    small_cards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert small_cards.exists()
    words = ["--dataset", "demo", "--method", "resnet101", *FEW, "--runs", str(tmp_path / "runs")]
    words += ["--data", str(tmp_path / "data")]

    def made(*more: str) -> tuple[dict[str, Any], str]:
        capsys.readouterr()
        assert run.main([*words, *more]) == 0
        (written,) = record.read_folder(tmp_path / "runs" / "demo")
        kept = {name: value for name, value in written.items() if name not in record.VOLATILE}
        return kept, capsys.readouterr().out

    plain, _ = made()
    unchanged, said = made("--watch-test")
    assert unchanged == plain
    why = "best on test: not known, as stage main was trained without it; to train them again: --fresh"
    assert f"unchanged, nothing to train; mAP {plain['metrics']['srn2017']['mAP']:.2f}" in said
    assert why in said
    watched, said = made("--watch-test", "--fresh")
    best = watched.pop("best_on_test")
    assert watched == plain
    assert best["mAP"] == plain["metrics"]["srn2017"]["mAP"]
    assert (best["epoch"], best["difference"], len(best["epochs"])) == (1, 0.0, 1)
    assert "(+0.00) after epoch 1 of stage main, chosen on the test set: not comparable" in said
    (log,) = (tmp_path / "runs" / "demo").glob("*.jsonl")
    assert json.loads(log.read_text().splitlines()[-1])["test_mAP"] == best["mAP"]
    table.main(["--dataset", "demo", "--runs", str(tmp_path / "runs")])
    shown = capsys.readouterr().out
    (line,) = [line for line in shown.splitlines() if "best on test (not comparable)" in line]
    assert line.split()[-1] == f"{best['mAP']:.1f}"
    assert "chosen on the test set: not comparable with any row" in " ".join(shown.split())


def test_where_the_owner_keeps_the_test_labels_it_is_refused_before_any_work(tmp_path: Path):
    with pytest.raises(InputError, match="--watch-test: the owner of voc2012 keeps the test labels"):
        run.main(
            ["--dataset", "voc2012", "--method", "srn", "--watch-test", "--runs", str(tmp_path / "runs")]
        )
