import doctest

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
