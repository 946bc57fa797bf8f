"""Thresholds fitted on held-out images, from the record to answers and model card."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench import predict, score
from bench.base.errors import InputError
from bench.data.cards import Card
from bench.data.store import Store
from bench.deploy import hub_folder, load_model, model_card
from bench.deploy.answers import Answer, Choice, as_csv, as_json, as_text
from bench.deploy.load_model import LoadedModel
from bench.results import record as records
from bench.scoring import predictions, thresholds
from bench.scoring.metrics import prediction_rule
from bench.scoring.profiles import get_profile
from tests.runs import finished

CPU = torch.device("cpu")
LOGITS = np.array([[2.0, 0.0, 0.5], [0.0, 1.0, -0.5]])


@pytest.fixture(scope="module")
def run(small_card: Card, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished("resnet101", card=small_card, store=store, folder=tmp_path_factory.mktemp("r") / "demo")


@pytest.fixture(scope="module")
def recorded(run: Path) -> dict[str, Any]:
    return records.read_record(run)


def model(facts: dict[str, Any] | None, labels: tuple[str, ...] = ("a", "b", "c")) -> LoadedModel:
    """A model of which only labels and thresholds count."""
    record = {"thresholds": facts} if facts else {}
    return LoadedModel(torch.nn.Identity(), {}, record, labels, None, 8)  # type: ignore[arg-type]


def facts_of(values: list[float], profile: str) -> dict[str, Any]:
    return thresholds.summary(np.array(values), ["a", "b", "c"], images=40, rules=get_profile(profile))


@pytest.mark.parametrize(("profile", "at_zero"), [("srn2017", False), ("csra", True), ("voc2007", True)])
def test_a_label_is_predicted_by_its_threshold_or_else_by_the_profiles(profile: str, at_zero: bool):
    """Label a has 1.5, c has -1; b keeps logit 0, which srn2017 compares strictly."""
    decided = model(facts_of([1.5, np.nan, -1.0], profile)).predicted(LOGITS)
    assert decided is not None
    assert decided.tolist() == [[True, at_zero, True], [False, True, True]]


def test_decisions_are_those_that_bench_score_counts():
    rules = get_profile("mcar")
    values = np.array([1.5, np.nan, -1.0])
    facts = facts_of(values.tolist(), "mcar")
    rules = thresholds.with_thresholds(rules, values)
    logits = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    decide = prediction_rule(rules, None)
    assert decide is not None
    found = model(facts).predicted(logits)
    assert found is not None
    assert np.array_equal(found, decide(logits))


def test_the_order_of_labels_is_the_models_and_not_the_records():
    loaded = model(facts_of([1.5, np.nan, -1.0], "srn2017"), ("c", "a", "b"))
    decided = loaded.predicted(np.zeros((1, 3)))
    assert decided is not None
    assert decided.tolist() == [[True, False, False]]


def test_a_record_without_thresholds_decides_nothing():
    assert model(None).predicted(LOGITS) is None


class TestAnswers:
    ANSWERS = (Answer("x.jpg", (("a", 0.9), ("b", 0.25)), predicted=frozenset("b")),)

    def test_text_marks_what_is_predicted_and_says_what_the_mark_means(self):
        lines = as_text(self.ANSWERS).splitlines()
        assert lines[2].split() == ["x.jpg", "a", "0.900", "b", "0.250*"]
        assert lines[-1].startswith(
            "* predicted: it passes the label's threshold, which was fitted on held-out"
        )
        assert "*" not in as_text([Answer("x.jpg", (("a", 0.9),))])

    def test_csv_and_json_say_it_of_every_label(self):
        rows = list(csv.DictReader(io.StringIO(as_csv(self.ANSWERS))))
        assert [row["predicted"] for row in rows] == ["no", "yes"]
        (answer,) = json.loads(as_json(self.ANSWERS))
        assert [label["predicted"] for label in answer["labels"]] == [False, True]

    def test_fitted_reports_those_alone_however_low_their_confidence(self):
        values = np.array([0.9, 0.25, 0.5])
        chosen = Choice(None, fitted=True).select("abc", values, frozenset("bc"))
        assert chosen == (("c", 0.5), ("b", 0.25))


def test_a_run_records_what_its_held_out_predictions_give(run: Path, recorded: dict[str, Any], store: Store):
    held_out = predictions.read_predictions(run.parent / "held_out" / f"{run.stem}.safetensors")
    assert held_out.facts["ids"] == store.held_out.column("id").tolist()
    assert np.array_equal(held_out.labels_NC, store.held_out.labels_NC)
    fitted = thresholds.fit_thresholds(held_out.logits_NC, held_out.labels_NC)
    names = held_out.facts["label_names"]
    assert recorded["thresholds"] == thresholds.summary(
        fitted, names, images=len(store.held_out), rules=get_profile("srn2017")
    )


def test_bench_score_takes_the_held_out_predictions_of_a_run(run: Path, capsys: pytest.CaptureFixture[str]):
    files = [str(run.parent / kind / f"{run.stem}.safetensors") for kind in ("predictions", "held_out")]
    assert score.main(["--predictions", files[0], "--held-out", files[1]]) == 0
    assert "srn2017, by label (fitted)" in capsys.readouterr().out


def test_predict_says_where_thresholds_come_from_and_the_export_predicts_the_same(
    run: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    loaded = load_model.load_model(run, CPU)
    facts = dict(loaded.record["thresholds"])
    # A second of training on few images leaves most labels to the profile; these thresholds decide something.
    facts["logits"] = {name: -1.5 if number < 4 else None for number, name in enumerate(loaded.labels)}
    changed = LoadedModel(**{**vars(loaded), "record": {**loaded.record, "thresholds": facts}})
    hub_folder.write_folder(changed, tmp_path / "model")
    image = store.test.images(np.arange(1))
    Image.fromarray(image[0]).save(tmp_path / "a.png")
    words = ["--run", str(tmp_path / "model"), "--images", str(tmp_path / "a.png"), "--device", "cpu"]
    assert predict.main([*words, "--threshold", "fitted", "--format", "json"]) == 0
    out, err = capsys.readouterr()
    logits_C = loaded.logits(image)[0]
    expected = {
        name
        for number, name in enumerate(loaded.labels)
        if (logits_C[number] >= -1.5 if number < 4 else logits_C[number] > 0)
    }
    assert {label["label"] for label in json.loads(out)[0]["labels"]} == expected
    held_out = len(store.held_out)
    assert err == (
        f"thresholds: 4 of 10 labels fitted on {held_out} held-out images; with less than 10 positives or "
        "negatives there, of the convention: four, five, six, seven, eight, nine\n"
    )
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "zero 0.182, one 0.182, two 0.182, three 0.182." in card
    assert "a label keeps the convention's 0.500:\nfour, five, six, seven, eight, nine." in card
    assert f"fitted on {held_out} held-out training\nimages, never on test images" in card


def test_an_older_run_says_that_it_has_no_thresholds(
    run: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    loaded = load_model.load_model(run, CPU)
    record = {key: value for key, value in loaded.record.items() if key != "thresholds"}
    old = LoadedModel(**{**vars(loaded), "record": record})
    assert "Thresholds" not in model_card.text(old, onnx=False)
    hub_folder.write_folder(old, tmp_path / "model")
    Image.fromarray(store.test.images(np.arange(1))[0]).save(tmp_path / "a.png")
    words = ["--run", str(tmp_path / "model"), "--images", str(tmp_path / "a.png"), "--device", "cpu"]
    assert predict.main([*words, "--format", "json"]) == 0
    assert "predicted" not in capsys.readouterr().out
    with pytest.raises(InputError, match="has no fitted thresholds, as an older version made it; train it"):
        predict.main([*words, "--threshold", "fitted"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": {"zero": "high"}}, "thresholds.logits.zero must be a number"),
        ({"logits": {"zero": 1.0}}, "label 'eight' is not in both thresholds.logits and its AP"),
        ({"otherwise": {"compare": "<", "logit": 0.0}}, "unknown thresholds.otherwise.compare '<'"),
        ({"least": "ten"}, "thresholds.least must be a"),
    ],
)
def test_a_record_whose_thresholds_are_damaged_is_refused(
    recorded: dict[str, Any], change: dict[str, Any], message: str
):
    records.check_record(recorded)
    with pytest.raises(InputError, match=message):
        records.check_record({**recorded, "thresholds": {**recorded["thresholds"], **change}})
