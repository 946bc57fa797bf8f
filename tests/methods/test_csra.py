"""CSRA: its attention against plain loops and its limits, its recipe against the release's."""

import doctest
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.base.errors import InputError
from bench.training import method
from bench.training.method import Labels
from bench.training.stages import Stage
from methods import csra
from tests.conftest import small_recipe

B, C, D, H, W = 2, 3, 5, 2, 4
FEATURES = torch.randn(B, D, H, W, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def recipe(card: str = "coco", **changes: str) -> csra.Config:
    config: csra.Config = method.recipe(method.load_method("csra"), card, changes)
    return config


def main_stage(config: csra.Config) -> Stage:
    (stage,) = csra.stages(config)
    return stage


def attention(heads: int, lam: float) -> csra.ResidualAttention:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return csra.ResidualAttention(D, C, heads=heads, lam=lam).double()


def plain(features: Any, weights: Any, temperatures: list[float], lam: float) -> list[list[float]]:
    """The logits by loops over images, heads, labels and positions; weights: (heads, C, D) nested lists."""
    logits = []
    for image in features:
        positions = [[channel[row][column] for channel in image] for row in range(H) for column in range(W)]
        logits.append([0.0] * C)
        for head, temperature in zip(weights, temperatures, strict=True):
            for label, w in enumerate(head):
                norm = math.sqrt(sum(value**2 for value in w))
                scores = [sum(a * b for a, b in zip(w, x, strict=True)) / norm for x in positions]
                if math.isinf(temperature):
                    attended = max(scores)
                else:
                    weight = [math.exp(temperature * score) for score in scores]
                    attended = sum(a * s for a, s in zip(weight, scores, strict=True)) / sum(weight)
                logits[-1][label] += sum(scores) / len(scores) + lam * attended
    return logits


def by_loops(layer: csra.ResidualAttention, features_BDHW: Tensor, temperatures: list[float]) -> Tensor:
    weights = layer.weight.detach().reshape(layer.heads, C, D).tolist()
    return torch.tensor(plain(features_BDHW.tolist(), weights, temperatures, layer.lam), dtype=torch.float64)


OF_HEADS = {
    1: [1.0],
    2: [1.0, math.inf],
    3: [1.0, 2.0, math.inf],
    4: [1.0, 2.0, 4.0, math.inf],  # not 3, as in the release
    6: [1.0, 2.0, 3.0, 4.0, 5.0, math.inf],
    8: [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, math.inf],
}


@pytest.mark.parametrize("heads", OF_HEADS)
@pytest.mark.parametrize("lam", [0.0, 0.1, 0.5])
def test_it_is_the_sum_over_heads_of_mean_and_attended_scores(heads: int, lam: float):
    layer = attention(heads, lam)
    expected = by_loops(layer, FEATURES, OF_HEADS[heads])
    torch.testing.assert_close(layer(FEATURES), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("heads", [1, 4])
def test_its_gradient_is_that_of_the_loops(heads: int):
    """By central differences of the plain loops, for some weights and features, through norm and softmax."""
    layer, features = attention(heads, 0.5), FEATURES.clone().requires_grad_()
    factors = torch.linspace(-1, 1, B * C, dtype=torch.float64).view(B, C)
    (layer(features) * factors).sum().backward()
    assert layer.weight.grad is not None
    assert features.grad is not None
    step = 1e-6
    for tensor, gradient in ((layer.weight, layer.weight.grad), (features, features.grad)):
        for index in range(0, tensor.numel(), 7):
            ends = []
            for sign in (1, -1):
                with torch.no_grad():
                    tensor.view(-1)[index] += sign * step
                    ends.append((by_loops(layer, features, OF_HEADS[heads]) * factors).sum().item())
                    tensor.view(-1)[index] -= sign * step
            slope = (ends[0] - ends[1]) / (2 * step)
            assert gradient.reshape(-1)[index].item() == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_lambda_0_is_average_pooling_with_normalised_classifiers():
    layer = attention(1, 0.0)
    unit_CD = torch.nn.functional.normalize(layer.weight[:, :, 0, 0], dim=1)
    torch.testing.assert_close(layer(FEATURES), FEATURES.mean(dim=(2, 3)) @ unit_CD.T)


def test_a_large_temperature_tends_to_the_maximum_and_a_small_one_to_the_mean():
    scores_BCP = FEATURES.flatten(2)
    highest_BC, mean_BC = csra.pool(scores_BCP, math.inf), scores_BCP.mean(dim=2)
    assert torch.equal(highest_BC, scores_BCP.amax(dim=2))
    torch.testing.assert_close(csra.pool(scores_BCP, 1e4), highest_BC)
    torch.testing.assert_close(csra.pool(scores_BCP, 1e-9), mean_BC)
    pooled = [csra.pool(scores_BCP, temperature) for temperature in (1.0, 2.0, 5.0, math.inf)]
    assert all((low < high).all() for low, high in pairwise(pooled))


def test_equal_scores_at_all_positions_count_one_and_lambda_times_in_each_head():
    layer = attention(4, 0.5)
    flat = FEATURES[:, :, :1, :1].expand(-1, -1, H, W)
    unit_KCD = torch.nn.functional.normalize(layer.weight[:, :, 0, 0], dim=1).view(4, C, D)
    expected = 1.5 * torch.einsum("bd,kcd->bc", FEATURES[:, :, 0, 0], unit_KCD)
    torch.testing.assert_close(layer(flat), expected)


def test_the_length_of_a_classifier_does_not_count_not_even_0():
    layer = attention(2, 0.5)
    before = layer(FEATURES)
    with torch.no_grad():
        layer.weight.mul_(torch.linspace(0.1, 50, 2 * C, dtype=torch.float64)[:, None, None, None])
        torch.testing.assert_close(layer(FEATURES), before)
        layer.weight[0] = 0
    assert layer(FEATURES).isfinite().all()


def test_scores_are_pooled_in_float32_under_autocast():
    layer = attention(6, 0.5).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits_BC = layer(FEATURES.float())
    assert logits_BC.dtype == torch.float32
    torch.testing.assert_close(logits_BC, layer(FEATURES.float()), rtol=0.05, atol=0.05)


def test_on_a_vit_the_positions_are_the_tokens_of_the_patches():
    labels = Labels(tuple("abc"), np.zeros((3, 3), dtype=np.int64))
    config = small_recipe("csra", trunk="vit_narrow", heads=1, lam=0.3)
    model: Any = method.build(method.load_method("csra"), config, labels, 0).eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tokens_BPD = model.trunk.network.forward_features(images)[:, 1:]
        unit_CD = torch.nn.functional.normalize(model.classifier.weight[:, :, 0, 0], dim=1)
        scores_BPC = tokens_BPD @ unit_CD.T
        expected = scores_BPC.mean(dim=1) + 0.3 * (scores_BPC.softmax(dim=1) * scores_BPC).sum(dim=1)
        assert tokens_BPD.shape[1] == 16
        torch.testing.assert_close(model.logits(images), expected)


def test_the_recipe_is_that_of_the_release_for_coco():
    config = recipe()
    assert config == csra.Config()
    assert (config.heads, config.lam, config.input_size, config.trunk) == (6, 0.5, 448, "resnet101.tv_in1k")
    stage = main_stage(config)
    assert (stage.opt, stage.momentum, stage.weight_decay, stage.decay_norms) == ("sgd", 0.9, 1e-4, True)
    assert (stage.epochs, stage.batch_size, stage.trains) == (30, 16, {"trunk": 1.0, "classifier": 10.0})
    assert (stage.settings["loss"], stage.settings["reduction"]) == ("bce", "mean")
    augmentation = stage.augmentation
    assert (augmentation.crops, augmentation.scale, augmentation.ratio) == ((), (0.7, 1.0), (3 / 4, 4 / 3))
    assert (augmentation.mirror, augmentation.cutout, augmentation.randaugment) == (True, 0.0, 0)


@pytest.mark.parametrize(("card", "every"), [("coco", 5), ("voc2007", 4), ("wider", 5)])
def test_the_rate_warms_up_for_two_epochs_and_falls_to_a_tenth_every_five_on_voc_four(card: str, every: int):
    schedule, steps = main_stage(recipe(card)).schedule, 10
    for epoch in range(1, 31):
        for step in (0, 9):
            warm = min(1.0, ((epoch - 1) * steps + step + 1) / (2 * steps))
            expected = 0.01 * 0.1 ** ((epoch - 1) // every) * warm
            rate = schedule.rate(0.0, epoch=epoch, step=step, steps=steps)
            assert rate == pytest.approx(expected, rel=1e-9)


def test_voc_and_wider_have_the_releases_heads_and_trunks():
    voc, wider = recipe("voc2007"), recipe("wider")
    assert (voc.heads, voc.lam, voc.input_size) == (1, 0.1, 448)
    assert (wider.heads, wider.lam, wider.input_size) == (1, 0.3, 224)
    assert wider.trunk == "vit_base_patch16_224.orig_in21k_ft_in1k"
    assert (wider.scale, wider.crops, wider.mirror) == ((), (), True)


def test_on_equal_terms_the_loss_is_the_sum_over_labels_and_the_heads_stay():
    equal = recipe(terms="equal")
    assert (equal.reduction, equal.new_layers_lr, equal.input_size) == ("sum", 1.0, 224)
    assert (equal.heads, equal.lam) == (6, 0.5)


def test_its_size_is_six_classifiers_without_bias_more_than_the_trunk():
    labels = Labels(tuple(map(str, range(80))), np.zeros((80, 80), dtype=np.int64))
    config = small_recipe("csra", heads=6)
    model = method.build(method.load_method("csra"), config, labels, 0)
    own = {name: p.shape for name, p in model.named_parameters() if not name.startswith("trunk")}
    assert own == {"classifier.weight": (6 * 80, 128, 1, 1)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": "0"}, "heads=0"),
        ({"heads": "1.5"}, "heads=1.5: give a whole number, as in heads=6"),
        ({"lam": "-0.1"}, "lam=-0.1"),
        ({"scale": "1,0.7"}, "scale=1.0,0.7: give the lowest and the highest"),
        ({"gamma_neg": "2"}, "gamma_neg=2.0 counts only with loss=asymmetric"),
    ],
)
def test_a_wrong_value_is_refused_in_a_line(changes: dict[str, str], message: str):
    with pytest.raises(InputError, match=message) as raised:
        recipe(**changes)
    assert len(str(raised.value).splitlines()) == 1


def test_the_doctests_hold():
    assert doctest.testmod(csra).failed == 0
