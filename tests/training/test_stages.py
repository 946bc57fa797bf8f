"""Stages: values with which nothing can be trained, and parts that the model lacks, are refused."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, get_origin

import pytest
import torch
from torch import nn

from bench import run
from bench.base import schema
from bench.base.errors import InputError
from bench.training import method, stage_cache, stages
from bench.training.stage_cache import StageContext
from methods import resnet101, srn
from tests import method_files
from tests.conftest import small_recipe
from tests.methods.test_contract import build, trainings


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("epochs", 0, "a whole number from 1 to 100000"),
        ("batch_size", 0, "a whole number from 1 to 65536"),
        ("lr", -1.0, "a number above 0"),
        ("lr", float("nan"), "a number above 0"),
        ("lr_min", float("inf"), "a number from 0"),
        ("momentum", 1.0, "a number from 0, below 1"),
        ("weight_decay", -0.1, "a number from 0"),
        ("new_layers_lr", 0.0, "a number above 0"),
        ("crops", (0,), "whole numbers from 16 to 256"),
        ("crops", (256, -3), "whole numbers from 16 to 256"),
        ("crops", (9999,), "whole numbers from 16 to 256"),
        ("milestones", (2.0, 3.0), "numbers above 0, at most 1, each higher than the one before"),
        ("milestones", (-1.0,), "numbers above 0, at most 1"),
        ("milestones", (0.9, 0.7), "numbers above 0, at most 1, each higher than the one before"),
        ("patience", -1, "a whole number from 1, or none"),
        ("threshold", float("nan"), "a number from 0, below 1"),
        ("max_distort", -3, "a whole number from 0 to 100, or none"),
        ("input_size", 0, "a whole number from 32 to 2048"),
        ("jitter", 2.0, "a number from 0 to 1"),
    ],
)
def test_a_recipe_that_cannot_be_trained_with_is_refused(field: str, value: Any, allowed: str):
    shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
    with pytest.raises(InputError, match=f"^{field}={shown}: give {allowed}"):
        small_recipe("resnet101", **{field: value})


@pytest.mark.parametrize("name", method_files.working())
def test_every_number_of_a_recipe_has_a_range(name: str):
    for field, kind in schema.field_types(method.load_method(name).Config).items():
        is_number = "int" in str(kind) or "float" in str(kind)
        assert not is_number or get_origin(kind) is Annotated, field


def test_a_range_is_kept_where_a_method_gives_another_default_and_narrowed_where_it_says_so():
    msrn = method.load_method("msrn")
    with pytest.raises(InputError, match="batch_size=0: give a whole number from 1 to 65536"):
        method.recipe(msrn, "demo", {"batch_size": "0"})
    with pytest.raises(InputError, match="input_size=32: give a whole number from 64 to 2048"):
        method.recipe(msrn, "demo", {"input_size": "32"})


def test_a_stage_says_its_name_with_a_value_that_it_cannot_take():
    (stage,) = resnet101.stages(small_recipe("resnet101"))
    with pytest.raises(InputError, match="stage main: epochs=0: give a whole number from 1"):
        replace(stage, epochs=0)


def test_a_stage_of_no_epochs_is_refused_by_its_name(small_cards: Path, tmp_path: Path):
    """It would train until its schedule ends it."""
    words = ["--method", "srn", "--attention-epochs", "0", "--data", str(tmp_path), "--runs", str(tmp_path)]
    assert small_cards.exists()
    with pytest.raises(InputError, match="attention_epochs=0: give a whole number from 1"):
        run.main(["--dataset", "demo", *words])


@pytest.mark.parametrize("field", ["attention_width", "relation_width", "filters"])
def test_a_network_without_width_is_refused(field: str):
    with pytest.raises(InputError, match=f"{field}=0: give a whole number from 1 to "):
        srn.Config(**{field: 0})


@pytest.mark.parametrize(
    ("change", "message"),
    [({"neighbours": 0}, "neighbours=0: give a whole"), ({"temperature": 0.0}, "temperature=0.0: give a")],
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
