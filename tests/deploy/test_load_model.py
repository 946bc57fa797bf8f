"""A run comes back from its record and stages, with nothing left to chance; what does not fit is named."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from bench import export
from bench.base import method_names
from bench.base.errors import InputError
from bench.data.cards import Card
from bench.data.store import Store
from bench.deploy import load_model
from bench.scoring import predictions
from bench.training import inference, method, tensor_file
from tests.records import fake, write_all
from tests.runs import finished

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", method_names.methods_in_order())
def test_every_method_predicts_from_its_stages_and_exported_what_it_predicted_when_it_was_trained(
    name: str, small_card: Card, store: Store, tmp_path: Path
):
    """To the bit: a weight that came from no stage would be another."""
    path = finished(name, card=small_card, store=store, folder=tmp_path / "demo")
    found = load_model.load_model(path, CPU)
    export.export(found, tmp_path / "exported")
    kept = predictions.read_predictions(path.parent / "predictions" / path.with_suffix(".safetensors").name)
    for one in (found, load_model.load_model(tmp_path / "exported", CPU)):
        assert np.array_equal(inference.predict(one.model, store.test, one.pixels), kept.logits_NC)
        assert (one.labels, one.input_size) == (small_card.labels, 64)
    assert np.ptp(kept.logits_NC, axis=0).min() > 0  # the images matter


@pytest.fixture(scope="module")
def original(small_card: Card, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(
        "resnet101", card=small_card, store=store, folder=tmp_path_factory.mktemp("runs") / "demo"
    )


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    """The record of a run that a test may spoil."""
    return shutil.copytree(original.parent, tmp_path / "runs" / "demo") / original.name


def stage_of(run: Path) -> Path:
    (key,) = [stage["key"] for stage in json.loads(run.read_text(encoding="utf-8"))["stages"]]
    return run.parent / "stages" / f"{key}.safetensors"


def change(run: Path, **entries: Any) -> None:
    made = json.loads(run.read_text(encoding="utf-8"))
    for name, value in entries.items():
        made[name] = made[name] | value if isinstance(value, dict) else value
    run.write_text(json.dumps(made), encoding="utf-8")


def refusal(run: Path) -> str:
    with pytest.raises(InputError) as mistake:
        load_model.load_model(run, CPU)
    message = str(mistake.value)
    assert "\n" not in message
    return message


def test_pretrained_weights_are_not_needed_again(run: Path):
    change(run, recipe={"from_scratch": False, "trunk_weights": "w.pth", "trunk": "resnet10_narrow"})
    assert load_model.load_model(run, CPU).labels[0] == "zero"


def test_a_field_that_came_later_has_its_default(run: Path):
    made = json.loads(run.read_text(encoding="utf-8"))
    del made["recipe"]["select"]
    run.write_text(json.dumps(made), encoding="utf-8")
    assert load_model.load_model(run, CPU).input_size == 64


def test_a_stage_that_is_gone_is_named_with_the_command_that_makes_it(run: Path):
    stage_of(run).unlink()
    command = "train it again: python -m bench.run --dataset demo --method resnet101 --seeds 0"
    assert re.search(rf"its stage main is not there \(.*{stage_of(run).name}\); {command}", refusal(run))


def test_a_damaged_stage_is_named(run: Path):
    content = bytearray(stage_of(run).read_bytes())
    content[-1] ^= 1
    stage_of(run).write_bytes(content)
    assert re.search(rf"{stage_of(run).name} is damaged", refusal(run))
    stage_of(run).write_bytes(content[:-100])
    assert re.search(rf"{stage_of(run).name} cannot be read", refusal(run))


@pytest.mark.parametrize("how", ["missing", "unexpected", "another shape"])
def test_tensors_that_do_not_fit_are_refused_and_nothing_stays_random(run: Path, how: str):
    tensors, facts = tensor_file.load(stage_of(run))
    bias = tensors.pop("classifier.bias")
    if how != "missing":
        tensors |= (
            {"classifier.bias": bias[:1]}
            if how == "another shape"
            else {"head": bias.clone(), "classifier.bias": bias}
        )
    tensor_file.save(stage_of(run), tensors, facts)
    change(run, provenance={"commit": "0123456789abcdef"})
    reason = {"missing": "Missing key.*classifier.bias", "unexpected": 'Unexpected key.*"head"'}
    assert re.search(
        rf"its tensors do not fit this code \(.*{reason.get(how, 'size mismatch for classifier.bias')}.*\); "
        "check out 0123456789ab",
        refusal(run),
    )
    change(run, provenance={"commit": None})
    assert refusal(run).endswith("use the code that made it")


def test_a_model_with_a_tensor_that_no_stage_keeps_is_refused(run: Path, monkeypatch: pytest.MonkeyPatch):
    def build(*arguments: Any) -> torch.nn.Module:
        model = whole(*arguments)
        model.register_buffer("graph", torch.eye(10), persistent=False)
        return model

    whole = method.build
    monkeypatch.setattr(method, "build", build)
    assert "made from data that its stages do not hold: graph" in refusal(run)


def test_a_recipe_of_other_code_is_refused(run: Path):
    change(run, recipe={"warmup": 3})
    assert re.search("made by other code: unknown recipe field 'warmup'", refusal(run))


def test_a_file_that_is_no_record_is_refused(tmp_path: Path):
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "weights.safetensors")
    assert re.search("weights.safetensors: not a record", refusal(tmp_path / "weights.safetensors"))


class TestFinding:
    def test_a_run_is_found_by_path_and_by_name(self, tmp_path: Path):
        write_all(tmp_path / "demo", fake("srn"), fake("srn_att", variant="budget=equal"))
        path = tmp_path / "demo" / "srn-seed0.json"
        for name in ("srn-seed0", "demo/srn-seed0", "srn-seed0.json", str(path)):
            assert load_model.find_run(name, tmp_path) == path
        assert (
            load_model.find_run("srn_att@budget=equal-seed0", tmp_path).name
            == "srn_att@budget=equal-seed0.json"
        )

    def test_an_unknown_name_lists_what_there_is(self, tmp_path: Path):
        write_all(tmp_path / "demo", fake("srn"), fake("srn", seed=1))
        with pytest.raises(InputError, match=r"--run snr: .*choose from: demo/srn-seed0, demo/srn-seed1$"):
            load_model.find_run("snr", tmp_path)

    def test_without_runs_the_command_that_trains_is_named(self, tmp_path: Path):
        with pytest.raises(InputError, match="--run srn-seed0: .*; train one with python -m bench.run$"):
            load_model.find_run("srn-seed0", tmp_path)

    def test_a_name_that_two_data_sets_have_is_asked_for(self, tmp_path: Path):
        for dataset in ("demo", "coco"):
            write_all(tmp_path / dataset, fake("srn", dataset=dataset))
        with pytest.raises(InputError, match="which one\\? choose from: coco/srn-seed0, demo/srn-seed0"):
            load_model.find_run("srn-seed0", tmp_path)
