"""Stages: values with which nothing can be trained, and parts that the model lacks, are refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bench import run
from bench.base.errors import InputError
from bench.training import method, stage_cache, stages
from bench.training.stage_cache import StageContext
from methods import resnet101, srn
from tests.conftest import small_recipe
from tests.methods.test_contract import build, trainings


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("epochs", 0, "1 or more"),
        ("batch_size", 0, "1 or more"),
        ("lr", -1.0, "a number above 0"),
        ("lr", float("nan"), "a number above 0"),
        ("momentum", 1.0, "a number from 0, below 1"),
        ("weight_decay", -0.1, "0 or more"),
    ],
)
def test_a_recipe_that_cannot_be_trained_with_is_refused(field: str, value: Any, allowed: str):
    with pytest.raises(InputError, match=f"stage main: {field}={value}: give {allowed}"):
        resnet101.stages(small_recipe("resnet101", **{field: value}))


def test_a_stage_of_no_epochs_is_refused_by_its_name(small_cards: Path, tmp_path: Path):
    """It would train until its schedule ends it."""
    words = ["--method", "srn", "--attention-epochs", "0", "--data", str(tmp_path), "--runs", str(tmp_path)]
    assert small_cards.exists()
    with pytest.raises(InputError, match="stage attention: epochs=0: give 1 or more"):
        run.main(["--dataset", "demo", *words])


@pytest.mark.parametrize("field", ["attention_width", "relation_width", "filters"])
def test_a_network_without_width_is_refused(field: str):
    with pytest.raises(InputError, match=f"{field}=0: give 1 or more"):
        srn.Config(**{field: 0})


@pytest.mark.parametrize(
    ("change", "message"),
    [({"neighbours": 0}, "neighbours=0: give 1 or more"), ({"temperature": 0.0}, "temperature=0.0: give a")],
)
def test_a_vote_of_nobody_is_refused(change: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        method.load_method("knn").Config(**change)


class Gained(resnet101.Model):
    """ResNet-101 with a parameter that is no module."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.gain = nn.Parameter(torch.ones(()))


def test_a_parameter_may_be_trained_by_its_own_name(context: StageContext):
    config = small_recipe("resnet101")
    _, method_stages = build("resnet101", context)
    only = replace(trainings(method_stages)[0], trains={"gain": 1.0})
    as_method: Any = type("Made", (), {"Model": Gained, "Config": resnet101.Config})
    model = method.build(as_method, config, method.labels_of(context.store), 0)
    stages.prepare(model, only)
    assert [name for name, parameter in model.named_parameters() if parameter.requires_grad] == ["gain"]


def test_a_part_that_the_model_has_not_is_said_before_any_stage_learns(context: StageContext):
    model, method_stages = build("resnet101", context)
    wrong = replace(trainings(method_stages)[0], trains={"gain": 1.0})
    with pytest.raises(InputError, match="stage main trains 'gain', but the model has no such part"):
        next(
            stage_cache.run_stages(model, [(method_stages[0], "a"), (wrong, "b")], context, seed=0, title="t")
        )
    assert not list(context.folder.glob("*"))
