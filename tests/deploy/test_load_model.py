"""bench.deploy.load_model: a run's model is rebuilt exactly, and files that do not fit are refused."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from bench.base.errors import InputError
from bench.base.run_folder import RunFolder
from bench.data.cards import Card
from bench.data.store import Store
from bench.deploy import hub_folder, load_model
from bench.scoring import predictions
from bench.training import inference, method, tensor_file
from tests import method_files
from tests.runs import finished

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", method_files.working())
def test_every_method_loaded_or_exported_predicts_what_it_predicted_after_training(
    name: str, small_card: Card, store: Store, tmp_path: Path
):
    """To the bit: a weight that no stage holds would be a random one."""
    path = finished(name, card=small_card, store=store, folder=tmp_path / "demo")
    loaded = load_model.load_model(path, CPU)
    hub_folder.write_folder(loaded, tmp_path / "exported")
    kept = predictions.read_predictions(RunFolder(path.parent).predictions(path.stem))
    for again in (loaded, load_model.load_model(tmp_path / "exported", CPU)):
        assert np.array_equal(inference.predict(again.model, store.test, again.transform), kept.logits_NC)
        assert (again.labels, again.input_size) == (small_card.labels, 64)
    assert np.ptp(kept.logits_NC, axis=0).min() > 0  # the images matter


@pytest.fixture(scope="module")
def original(small_card: Card, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(
        "resnet101", card=small_card, store=store, folder=tmp_path_factory.mktemp("runs") / "demo"
    )


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    """The record of a run that a test may damage."""
    return shutil.copytree(original.parent, tmp_path / "runs" / "demo") / original.name


def stage_file(run: Path) -> Path:
    (key,) = [stage["key"] for stage in json.loads(run.read_text(encoding="utf-8"))["stages"]]
    return RunFolder(run.parent).stages / f"{key}.safetensors"


def change(run: Path, **entries: Any) -> None:
    record = json.loads(run.read_text(encoding="utf-8"))
    for name, value in entries.items():
        record[name] = record[name] | value if isinstance(value, dict) else value
    run.write_text(json.dumps(record), encoding="utf-8")


def refusal(run: Path) -> str:
    with pytest.raises(InputError) as mistake:
        load_model.load_model(run, CPU)
    message = str(mistake.value)
    assert "\n" not in message
    return message


def test_pretrained_weights_are_not_needed_again(run: Path):
    change(run, recipe={"from_scratch": False, "trunk_weights": "w.pth", "trunk": "resnet10_narrow"})
    assert load_model.load_model(run, CPU).labels[0] == "zero"


def test_a_field_that_is_newer_than_the_record_has_its_default(run: Path):
    record = json.loads(run.read_text(encoding="utf-8"))
    del record["recipe"]["select"]
    run.write_text(json.dumps(record), encoding="utf-8")
    assert load_model.load_model(run, CPU).input_size == 64


def test_a_missing_stage_is_named_with_the_command_that_trains_it(run: Path):
    stage_file(run).unlink()
    command = "train it again: python -m bench.run --dataset demo --method resnet101 --seeds 0"
    assert re.search(
        rf"the weights of its stage main are missing \(.*{stage_file(run).name}\); {command}", refusal(run)
    )


def test_a_damaged_stage_is_named(run: Path):
    content = bytearray(stage_file(run).read_bytes())
    content[-1] ^= 1
    stage_file(run).write_bytes(content)
    assert re.search(rf"{stage_file(run).name} is damaged", refusal(run))
    stage_file(run).write_bytes(content[:-100])
    assert re.search(rf"{stage_file(run).name} cannot be read", refusal(run))


@pytest.mark.parametrize("fault", ["missing", "unexpected", "another shape"])
def test_tensors_that_do_not_fit_are_refused_and_nothing_stays_random(run: Path, fault: str):
    tensors, facts = tensor_file.load(stage_file(run))
    bias = tensors.pop("classifier.bias")
    if fault != "missing":
        tensors |= (
            {"classifier.bias": bias[:1]}
            if fault == "another shape"
            else {"head": bias.clone(), "classifier.bias": bias}
        )
    tensor_file.save(stage_file(run), tensors, facts)
    change(run, provenance={"commit": "0123456789abcdef"})
    reason = {"missing": "Missing key.*classifier.bias", "unexpected": 'Unexpected key.*"head"'}
    wanted = reason.get(fault, "size mismatch for classifier.bias")
    assert re.search(
        rf"its tensors do not fit this code \(.*{wanted}.*\); check out 0123456789ab", refusal(run)
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
    assert re.search("weights.safetensors: not JSON", refusal(tmp_path / "weights.safetensors"))
