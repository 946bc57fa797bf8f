"""The learning rate: plateaus and milestones, and the other schedules against torch's own."""

import doctest
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from bench.training import schedule
from bench.training.schedule import Plateau, Schedule

PAPER = Schedule(lr=1e-3, lr_min=1e-5)


def rates(losses: list[float], rule: Schedule = PAPER) -> list[float]:
    """The rate of each epoch, as long as the stage goes on."""
    state, seen = Plateau(lr=rule.lr), []
    for epoch, loss in enumerate(losses, start=1):
        seen.append(round(state.lr, 9))
        if not state.step(rule, epoch=epoch, loss=loss):
            break
    return seen


def test_the_doctests_hold():
    assert doctest.testmod(schedule).failed == 0


def test_the_rate_stays_while_the_loss_falls():
    assert rates([5, 4, 3, 2, 1]) == [1e-3] * 5


def test_two_saturated_epochs_divide_the_rate_and_below_the_least_the_stage_ends():
    assert rates([5.0] * 20) == [1e-3] * 3 + [1e-4] * 2 + [1e-5] * 2


def test_less_than_a_thousandth_is_no_improvement():
    assert rates([5.0, 4.9951, 4.9951]) == rates([5.0, 5.0, 5.0])
    assert rates([5.0, 4.9949, 4.9949, 4.9949]) == [1e-3] * 4


def test_a_loss_that_is_no_number_counts_as_saturated():
    assert rates([5.0, float("nan"), float("nan"), 1.0])[-1] == 1e-4


def test_milestones_divide_the_rate_at_the_latest():
    rule = Schedule(lr=1.0, lr_min=0.0, patience=None, milestones=(2, 3))
    assert rates([5, 4, 3, 2, 1], rule) == [1.0, 1.0, 0.1, 0.01, 0.01]


def test_a_drop_by_saturation_uses_up_a_milestone():
    rule = Schedule(lr=1.0, lr_min=0.0, patience=1, milestones=(3,))
    assert rates([5.0, 5.0, 4.0, 3.0, 2.0], rule) == [1.0, 1.0, 0.1, 0.1, 0.1]


STEPS = 7


def every_step(rule: Schedule, epochs: int) -> list[float]:
    return [
        rule.rate(rule.lr, epoch=epoch, step=step, steps=STEPS)
        for epoch in range(1, epochs + 1)
        for step in range(STEPS)
    ]


def torchs(scheduler: Any, optimizer: torch.optim.Optimizer, steps: int, key: str = "lr") -> list[float]:
    values = []
    for _ in range(steps):
        group = optimizer.param_groups[0]
        values.append(group["betas"][0] if key == "beta" else group[key])
        optimizer.step()
        scheduler.step()
    return values


class TestRateOfEveryStep:
    def optimizer(self, lr: float = 0.1) -> torch.optim.Optimizer:
        return torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=lr)

    def test_one_cycle_is_torchs_laid_out_for_more_epochs_than_are_trained(self):
        rule = Schedule(
            0.1, 0.0, sched="onecycle", sched_epochs=10, rise=0.2, cycle_momentum=True, patience=None
        )
        optimizer = self.optimizer()
        cycle = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10 * STEPS, pct_start=0.2)
        assert every_step(rule, 5) == pytest.approx(torchs(cycle, optimizer, 5 * STEPS), rel=1e-9)
        assert every_step(rule, 10)[-1] == pytest.approx(0.1 / 25e4)
        optimizer = self.optimizer()
        cycle = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10 * STEPS, pct_start=0.2)
        momenta = [
            rule.cycled_momentum(epoch=1 + k // STEPS, step=k % STEPS, steps=STEPS) for k in range(10 * STEPS)
        ]
        assert momenta == pytest.approx(torchs(cycle, optimizer, 10 * STEPS, "beta"), rel=1e-9)

    def test_cosine_is_torchs_per_step_and_per_epoch(self):
        for by, unit in (("step", STEPS), ("epoch", 1)):
            rule = Schedule(0.1, 1e-3, sched="cosine", sched_by=by, sched_epochs=6)  # type: ignore[arg-type]
            optimizer = self.optimizer()
            cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=6 * unit, eta_min=1e-3)
            expected = torchs(cosine, optimizer, 6 * unit)
            assert every_step(rule, 6)[:: STEPS // unit] == pytest.approx(expected, rel=1e-9)

    def test_steps_drop_after_so_many_epochs_and_the_held_out_loss_plays_no_part(self):
        rule = Schedule(1.0, 0.1, sched="step", decay_epochs=2)
        assert every_step(rule, 5)[::STEPS] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
        assert rates([5.0] * 9, rule) == [1.0] * 9

    def test_the_warm_up_grows_linearly_by_step_or_by_epoch(self):
        by_step = Schedule(1.0, 0.0, warmup_epochs=2)
        assert every_step(by_step, 3)[: 2 * STEPS] == pytest.approx([k / 14 for k in range(1, 15)])
        assert every_step(by_step, 3)[2 * STEPS :] == [1.0] * STEPS
        by_epoch = Schedule(1.0, 0.0, sched="step", warmup_epochs=2, sched_by="epoch")
        assert every_step(by_epoch, 3)[::STEPS] == [0.5, 1.0, 1.0]

    def test_the_usual_schedule_is_the_rate_of_the_plateau(self):
        assert every_step(PAPER, 2) == [1e-3] * 2 * STEPS
