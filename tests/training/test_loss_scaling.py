"""Losses and gradients that are not finite, and the scale of the loss under float16."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.base.errors import InputError
from bench.data.store import Store
from bench.training import loop, loss_scaling, stage_checkpoint
from bench.training.loss_scaling import FIRST_SCALE, LossScaling, ScalingState
from tests.killing import stage_run
from tests.training.test_loop import Killed, dying

CPU = torch.device("cpu")
HALF = torch.float16


def add(scaling: LossScaling, *, loss: float = 1.0, gradient: float = 1.0) -> float:
    """Add a step; whether the update is skipped."""
    skipped = float(scaling.add(torch.tensor(loss), [torch.tensor([gradient, 1.0])]))
    scaling.adjust()
    return skipped


def test_the_scale_is_that_of_torchs_own_scaler(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loss_scaling, "GROWTH_STEPS", 3)
    scaling = LossScaling(HALF, CPU, ScalingState())
    reference: Any = torch.amp.GradScaler("cpu", init_scale=FIRST_SCALE, growth_interval=3)
    parameter = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    for gradient in (1, math.inf, 1, 1, 1, math.nan, math.inf, 1, 1, 1, 1, 1, 1, 1):
        reference.scale(torch.ones(()))
        parameter.grad = torch.full((2,), float(gradient))
        reference.step(optimizer)
        reference.update()
        assert add(scaling, gradient=gradient) == (not math.isfinite(gradient))
        assert float(scaling.scale) == reference.get_scale()
    assert scaling.state().skipped == 3
    assert scaling.all_finite


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("wrong", [{"loss": math.nan}, {"gradient": math.inf}])
def test_without_scaling_the_first_value_that_is_not_finite_ends_all_updates(
    precision: torch.dtype, wrong: dict[str, float]
):
    scaling = LossScaling(precision, CPU, ScalingState())
    scaling.begin(0.0, 0)
    assert [add(scaling), add(scaling, **wrong), add(scaling)] == [0, 1, 1]
    assert int(scaling.finite_steps) == 1
    assert scaling.grad_scale is None
    assert scaling.fault("step 2") == (
        "loss or gradient is not finite at step 2: lower the learning rate (--set lr=...)"
    )
    assert scaling.facts(scaling.state()) == {}


def test_under_float16_a_loss_that_is_not_finite_ends_all_updates():
    scaling = LossScaling(HALF, CPU, ScalingState())
    assert [add(scaling), add(scaling, loss=math.inf), add(scaling)] == [0, 1, 1]
    assert scaling.fault("step 2").startswith("loss is not finite at step 2: lower the learning rate")
    assert scaling.fault("step 2").endswith("or use --precision bf16 or fp32")


def test_gradients_that_overflow_at_every_scale_end_all_updates():
    scaling = LossScaling(HALF, CPU, ScalingState(scale=2.0))
    assert [add(scaling, gradient=math.inf) for _ in range(2)] == [1, 1]
    assert scaling.all_finite  # the scale is 1, and then below it
    assert [add(scaling), add(scaling)] == [1, 1]
    assert scaling.fault("step 3").startswith("gradients overflow float16 at step 3, even if the loss is not")


def overflowing(settings: loop.StageRun, at: int) -> tuple[loop.StageRun, list[int]]:
    """The same training in float16, whose gradients overflow in that step while its loss stays finite."""
    steps = [0]

    def loss(model: Any, images_BCHW: Tensor, labels_BC: Tensor) -> tuple[Tensor, Tensor]:
        loss, logits_BC = settings.stage.loss(model, images_BCHW, labels_BC)
        if model.trunk.training:
            steps[0] += 1
        return (loss + (model.classifier.bias * 0).sqrt().sum() if steps[0] == at else loss), logits_BC

    half = replace(settings.pixels, precision=HALF)
    return replace(settings, stage=replace(settings.stage, loss=loss), pixels=half), steps


def test_a_step_whose_gradients_overflow_is_skipped_and_counted(store: Store, tmp_path: Path):
    """Also if it is the first, before which the optimizer has no momentum."""
    model, settings = stage_run(store, tmp_path / "c")
    rows: list[dict[str, Any]] = []
    half, _ = overflowing(replace(settings, note=rows.append), at=1)
    history = loop.train(model, half)
    assert [row["skipped_steps"] for row in rows] == [1, 0, 0]
    assert [row["loss_scale"] for row in rows] == [FIRST_SCALE / 2] * 3
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    assert history[-1]["loss"] < history[0]["loss"]


@pytest.mark.parametrize("at", [1, 3, 6])
def test_under_float16_a_killed_training_goes_on_to_the_same_bits(
    at: int, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """With its scale, its count of good steps, and its skipped steps."""
    monkeypatch.setattr(loop, "LOG_STEPS", 1)
    monkeypatch.setattr(stage_checkpoint, "SAVING_SHARE", math.inf)
    monkeypatch.setattr(loss_scaling, "GROWTH_STEPS", 3)
    rows: list[dict[str, Any]] = []
    model, settings = stage_run(store, tmp_path / "whole")
    whole, _ = overflowing(replace(settings, note=rows.append), at=2)
    history = loop.train(model, whole)

    killed, settings = stage_run(store, tmp_path / "interrupted")
    interrupted, steps = overflowing(replace(settings, note=rows.append), at=2)
    with pytest.raises(Killed):
        loop.train(killed, replace(interrupted, feed=dying(interrupted.feed, at)))
    again, _ = stage_run(store, tmp_path / "interrupted")
    steps[0] = at
    assert loop.train(again, interrupted) == history
    assert all(torch.equal(again.state_dict()[key], tensor) for key, tensor in model.state_dict().items())
    assert [row["loss_scale"] for row in rows[:3]] == [row["loss_scale"] for row in rows[-3:]]
    assert rows[0]["skipped_steps"] == 1


def test_a_loss_that_is_not_finite_is_an_error_under_float16_too(store: Store, tmp_path: Path):
    model, settings = stage_run(store, tmp_path / "c")
    half, _ = overflowing(settings, at=0)

    def bad(*given: Any) -> tuple[Tensor, Tensor]:
        loss, logits_BC = settings.stage.loss(*given)
        return loss * math.nan, logits_BC

    message = r"^loss is not finite at stage main, epoch 1, step 1: .* or use --precision bf16 or fp32$"
    with pytest.raises(InputError, match=message):
        loop.train(model, replace(half, stage=replace(half.stage, loss=bad)))
