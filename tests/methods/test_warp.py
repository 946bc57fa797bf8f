"""WARP: its loss against the papers' sampling written out directly, and the rest of its training."""

import doctest
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.base import method_names
from bench.training import method, stages
from bench.training.method import Labels
from methods import resnet101, warp
from tests.conftest import small_recipe

SCORES = torch.tensor([[0.3, 1.9, -0.4, 0.9, 0.1, 2.2], [1.0, 0.2, 0.3, -3.0, 4.0, 0.5]])
LABELS = torch.tensor([[1.0, 0, 0, 1, 0, 0], [0, 0, 1, 0, 1, 0]])


@pytest.fixture
def model() -> Any:
    labels = Labels(tuple("abcdefghij"), np.zeros((10, 10), dtype=np.int64))
    return method.build(method.load_method("warp"), small_recipe("warp"), labels, 0).eval()


def harmonic(rank: int) -> Fraction:
    """L(r) = 1 + 1/2 + ... + 1/r."""
    return sum((Fraction(1, j) for j in range(1, rank + 1)), Fraction(0))


def sampled(scores: list[float], labels: list[float], rng: np.random.Generator) -> float:
    """One image's loss as the papers draw it: for each positive label, trials until a negative violates."""
    negatives = [n for n, label in enumerate(labels) if label == 0]
    total = 0.0
    for p in (p for p, label in enumerate(labels) if label == 1):
        for trial in range(1, len(negatives) + 1):
            n = rng.choice(negatives)
            if 1 - scores[p] + scores[n] > 0:
                total += float(harmonic(len(negatives) // trial)) * (1 - scores[p] + scores[n])
                break
    return total


def test_it_is_the_mean_of_what_drawing_trials_gives():
    """Within four standard errors of 4,000 draws for each image."""
    rng = np.random.default_rng(0)
    for scores_C, labels_C in zip(SCORES, LABELS, strict=True):
        draws = [sampled(scores_C.tolist(), labels_C.tolist(), rng) for _ in range(4_000)]
        error = float(np.std(draws) / np.sqrt(len(draws)))
        exact = warp.warp(scores_C[None], labels_C[None]).item()
        assert error > 0
        assert exact == pytest.approx(np.mean(draws), abs=4 * error)


@pytest.mark.parametrize("negatives", [1, 2, 5, 12])
def test_the_expected_weight_is_the_sum_over_all_numbers_of_trials(negatives: int):
    """sum over t of P(T = t) L(floor(N / t)), in fractions."""
    violators = torch.arange(negatives + 1)
    weights = warp.expected_weight(violators[None], torch.tensor([[negatives]]))[0]
    for number in range(negatives + 1):
        share = Fraction(number, negatives)
        direct = sum(
            (1 - share) ** (t - 1) * share * harmonic(negatives // t) for t in range(1, negatives + 1)
        )
        assert weights[number].item() == pytest.approx(float(direct), rel=1e-5, abs=1e-6)


def test_its_gradient_is_the_expected_one_with_the_weights_held():
    """Every pair of a positive and a violator pulls its scores apart by E L / V; nothing else does."""
    scores = SCORES.clone().requires_grad_()
    warp.warp(scores, LABELS).backward()
    expected = torch.zeros_like(SCORES)
    for image, labels in enumerate(LABELS):
        negatives = [n for n in range(6) if labels[n] == 0]
        for p in (p for p in range(6) if labels[p] == 1):
            violators = [n for n in negatives if 1 - SCORES[image, p] + SCORES[image, n] > 0]
            weight = warp.expected_weight(
                torch.tensor([[len(violators)] * 6]), torch.tensor([[len(negatives)]])
            )
            for n in violators:
                pull = weight[0, 0] / len(violators) / len(LABELS)
                expected[image, p] -= pull
                expected[image, n] += pull
    torch.testing.assert_close(scores.grad, expected)


@pytest.mark.parametrize(
    ("scores", "labels"),
    [([0.5, 2.0], [0.0, 0.0]), ([0.5, 2.0], [1.0, 1.0]), ([5.0, 2.0], [1.0, 0.0])],
    ids=["no positive label", "no negative label", "no violator"],
)
def test_what_leaves_nothing_to_order_costs_nothing(scores: list[float], labels: list[float]):
    scores_BC = torch.tensor([scores], requires_grad=True)
    loss = warp.warp(scores_BC, torch.tensor([labels]))
    loss.backward()
    assert loss.item() == 0
    assert scores_BC.grad is not None
    assert torch.equal(scores_BC.grad, torch.zeros(1, 2))


def test_nothing_is_drawn_and_a_batch_is_the_mean_of_its_images():
    before = torch.get_rng_state()
    whole = warp.warp(SCORES, LABELS)
    alone = [warp.warp(SCORES[k : k + 1], LABELS[k : k + 1]) for k in range(2)]
    torch.testing.assert_close(whole, (alone[0] + alone[1]) / 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_is_computed_in_float32():
    assert warp.warp(SCORES.bfloat16(), LABELS).dtype == torch.float32


def test_scale_and_shift_keep_every_order(model: Any):
    images = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        model.calibration.scale.fill_(-3.0)
        model.calibration.shift.fill_(0.7)
        scores_BC, logits_BC = model.main_logits(images), model.logits(images)
    torch.testing.assert_close(logits_BC, np.exp(-3.0) * scores_BC + 0.7)


def gradients(model: Any, loss: Tensor) -> dict[str, Tensor | None]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}


def test_fitting_them_leaves_what_the_ranking_teaches_as_it_is(model: Any):
    images, labels = torch.randn(4, 3, 64, 64), torch.randint(0, 2, (4, 10)).float()
    both = gradients(model, warp.main_loss(model, images, labels)[0])
    ranking = gradients(model, warp.warp(model.main_logits(images), labels))
    for name, gradient in both.items():
        if name.startswith("calibration"):
            assert ranking[name] is None
            assert gradient is not None
            assert gradient != 0
        else:
            assert ranking[name] is not None
            assert torch.equal(gradient, ranking[name])  # type: ignore[arg-type]


def test_it_has_resnet101s_recipe_on_every_card_and_two_parameters_more(model: Any):
    assert {card: vars(recipe) for card, recipe in warp.RECIPES.items()} == {
        card: vars(recipe) for card, recipe in resnet101.RECIPES.items()
    }
    (stage,) = warp.stages(warp.RECIPES["coco"])
    names_of = {name for name, _ in stages.learned(model, stage)}
    assert names_of == set(model.state_dict())
    assert names_of - {name for name in names_of if name.startswith(("trunk", "classifier"))} == {
        "calibration.scale",
        "calibration.shift",
    }


def test_its_rows_say_that_their_features_are_others():
    assert list(method_names.marks("warp")) == ["other features"]


def test_the_doctests_hold():
    assert doctest.testmod(warp).failed == 0
