"""Optimizers, clipping and averaging: what torch's own do, step by step, and what ends a stage."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bench.base.errors import InputError
from bench.data.store import Store
from bench.training import loop, stages, weight_average
from bench.training.distributed import SINGLE_PROCESS
from bench.training.learners import TrainingLearner
from bench.training.loss_scaling import LossScaling, ScalingState
from bench.training.stages import Stage
from bench.training.training_step import Rates, TrainingStep, build_optimizer
from tests.conftest import small_recipe
from tests.killing import stage_run

CPU = torch.device("cpu")
STATE = ScalingState()


@pytest.fixture
def stage(store: Store, tmp_path: Path) -> Stage:
    own = stage_run(store, tmp_path / "c")[1].stage
    return replace(own, schedule=replace(own.schedule, lr=2e-3))


class Line(nn.Module):
    """Two layers, of which one has a bias: parameters of one axis and of two."""

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(0)
        self.trunk, self.classifier = nn.Linear(3, 4), nn.Linear(4, 2)
        for parameter in self.parameters():
            nn.init.normal_(parameter, generator=random)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return ((self.classifier(self.trunk(x)) - y) ** 2).sum()


def steps(stage: Stage, *, precision: torch.dtype = torch.float32, number: int = 4) -> Line:
    """A model after steps of the harness."""
    model = Line()
    optimizer = build_optimizer(model, stage, CPU)
    scaling = LossScaling(precision, CPU, STATE)
    no_autocast = lambda: torch.autocast("cpu", enabled=False)  # noqa: E731
    step = TrainingStep(model, optimizer, scaling, SINGLE_PROCESS, no_autocast, clip_norm=stage.clip_norm)
    rates = Rates(optimizer, stage.schedule, number)
    for done in range(number):
        rates.set(stage.schedule.lr, epoch=1, step=done)
        step(*data(done))
    return model


def data(done: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(done)
    return torch.randn(8, 3, generator=random), torch.randn(8, 2, generator=random)


def plainly(stage: Stage, kind: Any, *, clip: float = 0.0, number: int = 4, **settings: Any) -> Line:
    """The same with torch's optimizer as it comes."""
    model = Line()
    groups = stages.parameter_groups(model, stage)
    for group in groups:
        group["lr"] = stage.schedule.lr * group["factor"]
    optimizer = kind(groups, weight_decay=stage.weight_decay, **settings)
    for done in range(number):
        optimizer.zero_grad()
        model(*data(done)).backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
    return model


def assert_same(one: nn.Module, other: nn.Module) -> None:
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(tensor, other.state_dict()[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("precision", [torch.float32, torch.float16])
class TestStep:
    """Under float16 the loss is scaled: the optimizer, and the clipping, undo it."""

    @pytest.mark.parametrize("opt", ["adam", "adamw"])
    def test_adam_is_torchs(self, opt: Any, precision: torch.dtype, stage: Stage):
        own = replace(stage, opt=opt, betas=(0.8, 0.95), weight_decay=0.1, decay_norms=False)
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[opt]
        assert_same(steps(own, precision=precision), plainly(own, kind, betas=(0.8, 0.95)))

    @pytest.mark.parametrize("opt", ["sgd", "adamw"])
    def test_gradients_are_clipped_as_torch_clips_them(self, opt: Any, precision: torch.dtype, stage: Stage):
        own = replace(stage, opt=opt, clip_norm=0.5)
        kind: Any = torch.optim.AdamW if opt == "adamw" else torch.optim.SGD
        settings = {} if opt == "adamw" else {"momentum": 0.9}
        clipped = steps(own, precision=precision)
        assert_same(clipped, plainly(own, kind, clip=0.5, **settings))
        unclipped = steps(replace(own, clip_norm=0.0), precision=precision)
        assert not torch.allclose(clipped.trunk.weight, unclipped.trunk.weight)


def test_a_bound_above_every_norm_changes_no_bit(stage: Stage):
    one, other = steps(replace(stage, clip_norm=1e6)), steps(stage)
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


@pytest.mark.parametrize("opt", ["sgd", "adam"])
def test_the_momentum_cycles_against_the_rate(opt: Any, stage: Stage):
    cycle = replace(stage.schedule, sched="onecycle", rise=0.5, cycle_momentum=True, sched_epochs=1.0)
    optimizer = build_optimizer(Line(), replace(stage, opt=opt), CPU)
    seen = []
    for step in range(8):
        Rates(optimizer, cycle, 8).set(0.0, epoch=1, step=step)
        group = optimizer.param_groups[0]
        seen.append((float(group["lr"]), group["momentum"] if opt == "sgd" else group["betas"][0]))
    highest = max(seen)
    assert highest == (pytest.approx(cycle.lr), pytest.approx(0.85))
    assert seen[0][1] == seen[-1][1] == pytest.approx(0.95)


class TestAverage:
    def test_it_is_the_moving_average_of_all_that_the_stage_trains(self, stage: Stage):
        model = Line()
        average = weight_average.WeightAverage(model, replace(stage, ema=0.9))
        expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        for _ in range(3):
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(1)
            average.update()
            for name, tensor in model.state_dict().items():
                expected[name] = 0.9 * expected[name] + 0.1 * tensor
        for name, tensor in average.averages.items():
            torch.testing.assert_close(tensor, expected[name])
        raw, place = model.trunk.weight.detach().clone(), model.trunk.weight.data_ptr()
        with average.in_model():
            torch.testing.assert_close(model.trunk.weight.detach(), expected["trunk.weight"])
            assert model.trunk.weight.data_ptr() == place
        assert torch.equal(model.trunk.weight, raw)

    @pytest.mark.parametrize("select", ["last", "best"])
    @pytest.mark.parametrize("weights", ["raw", "averaged"])
    def test_both_are_validated_and_the_result_has_those_that_the_field_names(
        self, weights: Any, select: Any, store: Store, tmp_path: Path
    ):
        model, settings = stage_run(store, tmp_path / "c", ema=0.5, weights=weights, select=select)
        facts = TrainingLearner(model, settings).learn()
        assert facts["held_out"]["weights"] == weights
        row = facts["epochs"][-1 if select == "last" else facts["held_out"]["best"] - 1]
        assert row["raw_held_out_loss"] != row["averaged_held_out_loss"]
        for field in ("held_out_loss", "held_out_mAP"):
            assert row[field] == row[f"{weights}_{field}"]
        assert loop.validation.validate(model, settings) == (row["held_out_loss"], row["held_out_mAP"])

    def test_without_one_a_row_has_no_more_than_before(self, store: Store, tmp_path: Path):
        model, settings = stage_run(store, tmp_path / "c")
        facts = TrainingLearner(model, settings).learn()
        assert facts["epochs"][0].keys() == {"epoch", "lr", "loss", "held_out_loss", "held_out_mAP"}
        assert facts["held_out"].keys() == {"last", "best", "selected"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"betas": (0.8, 0.9)},
            "betas=.* counts only with opt=adam or adamw, but it is sgd; leave",
        ),
        ({"opt": "adamw", "momentum": 0.5}, "momentum=0.5 counts only with opt=sgd, but it is adamw"),
        ({"opt": "adam", "betas": (0.9,)}, "betas=0.9: give two numbers, as in betas=0.9,0.999"),
        ({"weights": "averaged"}, "weights=averaged counts only with ema, which is off; leave it out, or"),
        (
            {"sched": "cosine", "sched_epochs": 1},
            "sched_epochs=1: the schedule would end before the 2",
        ),
        ({"sched": "onecycle", "warmup_epochs": 2}, "warmup_epochs=2 counts only with sched=plateau or step"),
    ],
)
def test_fields_that_exclude_each_other_are_refused(changes: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        small_recipe("resnet101", **changes)


def test_training_all_images_needs_no_patience_where_the_schedule_has_none():
    assert small_recipe("resnet101", held_out=0, sched="onecycle").held_out == 0


def test_a_changing_momentum_is_why_steps_are_not_recorded(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    said: list[str] = []

    def recorder(*_args: Any, obstacle: str = "", **_others: Any) -> None:
        said.append(obstacle)

    monkeypatch.setattr(loop.captured_step, "recorder", recorder)
    schedule = replace(stage_run(store, tmp_path)[1].stage.schedule, sched="onecycle", cycle_momentum=True)
    loop.train(*stage_run(store, tmp_path / "c", schedule=schedule, epochs=1))
    assert "their momentum changes (cycle_momentum)" in said
