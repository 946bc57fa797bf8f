"""Losses against plain loops over images and labels; what is not known has a gradient of exactly 0."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.base.errors import InputError
from methods._losses import Criterion, bce
from methods._recipe import Recipe

LABELS = torch.tensor([[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 1.0, -1.0], [-1.0, -1.0, 0.0, 1.0]])
LOGITS = torch.tensor([[0.3, -2.0, 1.5, 3.0], [-4.0, -0.1, 6.0, 0.2], [0.0, 2.0, -3.5, -1.0]])


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def plain_bce(x: float, y: float) -> float:
    return -math.log(sigmoid(x)) if y else -math.log(1 - sigmoid(x))


def plain_asymmetric(x: float, y: float, gp: float = 0.0, gn: float = 4.0, m: float = 0.05) -> float:
    p = sigmoid(x)
    shifted = max(p - m, 0.0)
    return -((1 - p) ** gp) * math.log(p) if y else -(shifted**gn) * math.log(1 - shifted)


def plain_focal(x: float, y: float) -> float:
    q = sigmoid(x) if y else 1 - sigmoid(x)
    return -((1 - q) ** 2) * math.log(q)


PLAIN = {"bce": plain_bce, "asymmetric": plain_asymmetric, "focal": plain_focal}


def plain(name: str, labels: Tensor = LABELS) -> float:
    return sum(
        PLAIN[name](x, y)
        for row, targets in zip(LOGITS.tolist(), labels.tolist(), strict=True)
        for x, y in zip(row, targets, strict=True)
        if y >= 0
    )


@pytest.mark.parametrize("name", PLAIN)
class TestEveryLoss:
    def test_it_is_the_sum_over_known_labels_divided_by_the_batch(self, name: Any):
        assert Criterion(name)(LOGITS, LABELS).item() == pytest.approx(plain(name) / 3, rel=1e-5)
        everything = LABELS.clamp(min=0)
        assert Criterion(name)(LOGITS, everything).item() == pytest.approx(
            plain(name, everything) / 3, rel=1e-5
        )

    def test_the_mean_is_c_times_smaller(self, name: Any):
        total = Criterion(name)(LOGITS, LABELS).item()
        assert Criterion(name, "mean")(LOGITS, LABELS).item() == pytest.approx(total / 4, rel=1e-6)

    def test_what_is_not_known_has_a_gradient_of_exactly_0_and_all_else_has_one(self, name: Any):
        logits = LOGITS.clone().requires_grad_()
        Criterion(name, margin=0.0)(logits, LABELS).backward()
        assert logits.grad is not None
        assert torch.equal(logits.grad == 0, LABELS < 0)

    def test_it_is_computed_in_float32_and_stays_finite(self, name: Any):
        logits = torch.tensor([[-300.0, 300.0, 80.0, -80.0]], dtype=torch.bfloat16, requires_grad=True)
        loss = Criterion(name)(logits, torch.tensor([[1.0, 0.0, 0.0, 1.0]]))
        loss.backward()
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


def test_asymmetric_without_focusing_and_margin_is_the_cross_entropy():
    plainest = Criterion("asymmetric", gamma_neg=0.0, margin=0.0)
    assert plainest(LOGITS, LABELS).item() == pytest.approx(bce(LOGITS, LABELS).item(), rel=1e-6)


def test_the_focusing_weights_of_the_asymmetric_loss_carry_no_gradient():
    logits = torch.tensor([[1.2, -0.7]], requires_grad=True)
    Criterion("asymmetric", gamma_pos=1.0)(logits, torch.tensor([[1.0, 0.0]])).backward()
    positive, negative = sigmoid(1.2), sigmoid(-0.7)
    shifted = negative - 0.05
    slope = shifted**4 / (1 - shifted) * negative * (1 - negative)
    assert logits.grad is not None
    assert logits.grad.tolist()[0] == pytest.approx([-(1 - positive) * (1 - positive), slope], rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"margin": 0.1}, "margin=0.1 counts only with loss=asymmetric, but it is bce; leave it out, or"),
        ({"loss": "asymmetric", "focal_gamma": 1.0}, "focal_gamma=1.0 counts only with loss=focal"),
    ],
)
def test_a_field_that_the_loss_has_not_is_refused(changes: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        Recipe(**changes)
