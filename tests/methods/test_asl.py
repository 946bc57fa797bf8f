"""ASL: its loss against plain loops, its schedule against torch's own, its recipe against the release's."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import timm
import torch

from bench.base.errors import InputError
from bench.training import method, stage_cache, training_step
from bench.training.method import Labels
from bench.training.stage_cache import StageContext
from bench.training.stages import Stage
from bench.training.trunk import load_trunk
from methods import asl
from tests.conftest import small_recipe

LOGITS = [[0.3, -2.0, 1.5, 3.0], [-4.0, -0.1, 6.0, 0.2], [0.0, 2.0, -3.5, -1.0]]
LABELS = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
LABELS_BC = torch.tensor(LABELS)


def recipe(card: str = "coco", **changes: str) -> asl.Config:
    config: asl.Config = method.recipe(method.load_method("asl"), card, changes)
    return config


def main_stage(config: asl.Config) -> Stage:
    (stage,) = asl.stages(config)
    return stage


def criterion_of(config: asl.Config) -> Any:
    """What the loss needs of a model whose logits are its images."""
    model = asl.Model(config, Labels(("a",), np.zeros((1, 1), dtype=np.int64)), load_small())
    return SimpleNamespace(logits=lambda images: images, criterion=model.criterion, scale=model.scale)


def shared_terms(card: str) -> Any:
    return method.recipe(method.load_method("resnet101"), card, {"terms": "equal"})


def load_small() -> Any:
    return load_trunk("resnet10_narrow", from_scratch=True)


def loss_and_gradient(**changes: str) -> tuple[float, list[list[float]]]:
    logits_BC = torch.tensor(LOGITS, requires_grad=True)
    loss, same = asl.loss(criterion_of(recipe(**changes)), logits_BC, LABELS_BC)
    loss.backward()
    assert same is logits_BC
    assert logits_BC.grad is not None
    return loss.item(), logits_BC.grad.tolist()


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def plain(x: float, y: float, *, gp: float, gn: float, m: float) -> tuple[float, float]:
    """(the loss of a label, its slope with the focusing weight held)."""
    p = sigmoid(x)
    if y:
        weight = (1 - p) ** gp
        return -weight * math.log(p), -weight * (1 - p)
    shifted = max(p - m, 0.0)
    weight = shifted**gn
    return -weight * math.log(1 - shifted), weight / (1 - shifted) * p * (1 - p) if p > m else 0.0


@pytest.mark.parametrize(
    ("gp", "gn", "m"), [(0.0, 4.0, 0.05), (1.0, 4.0, 0.05), (0.0, 2.0, 0.2), (2.0, 2.0, 0.0)]
)
def test_the_loss_is_the_sum_over_labels_and_images_and_its_weights_carry_no_gradient(
    gp: float, gn: float, m: float
):
    given = {"gamma_pos": str(gp), "gamma_neg": str(gn), "margin": str(m), "batch_size": "3"}
    loss, gradient = loss_and_gradient(**given)
    expected = [
        [plain(x, y, gp=gp, gn=gn, m=m) for x, y in zip(row, labels, strict=True)]
        for row, labels in zip(LOGITS, LABELS, strict=True)
    ]
    assert loss == pytest.approx(sum(term for row in expected for term, _ in row), rel=1e-5)
    for row, slopes in zip(expected, gradient, strict=True):
        assert slopes == pytest.approx([slope for _, slope in row], rel=1e-4, abs=1e-9)


def test_a_negative_below_the_margin_has_neither_loss_nor_gradient():
    _, gradient = loss_and_gradient()
    assert gradient[1][0] == gradient[2][2] == 0  # p = 0.018 and 0.029
    assert all(slope != 0 for slope in gradient[0])


def test_without_focusing_and_margin_it_is_the_cross_entropy():
    loss, gradient = loss_and_gradient(gamma_neg="0", margin="0", batch_size="3")
    logits_BC = torch.tensor(LOGITS, requires_grad=True)
    total = torch.nn.functional.binary_cross_entropy_with_logits(logits_BC, LABELS_BC, reduction="sum")
    total.backward()
    assert loss == pytest.approx(total.item(), rel=1e-6)
    torch.testing.assert_close(torch.tensor(gradient), logits_BC.grad)


def test_the_sum_over_images_does_not_depend_on_the_share_of_the_batch_that_a_process_has():
    """Processes average their gradients: each one's loss is the batch's size times its own mean."""
    config = recipe(batch_size="6")
    model = criterion_of(config)
    whole, _ = asl.loss(model, torch.tensor(LOGITS * 2), LABELS_BC.repeat(2, 1))
    shares = [asl.loss(model, torch.tensor(LOGITS), LABELS_BC)[0] for _ in range(2)]
    assert whole.item() == pytest.approx(sum(share.item() for share in shares) / 2, rel=1e-6)
    assert criterion_of(replace(config, image_reduction="mean")).scale == 1


def test_the_model_is_resnet101s_on_tresnet_l_as_it_was_pretrained():
    pretraining: Any = timm.get_pretrained_cfg(asl.Config().trunk)
    assert (pretraining.architecture, pretraining.input_size[1:]) == ("tresnet_l", (224, 224))
    assert (pretraining.mean, pretraining.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    labels = Labels(tuple(map(str, range(80))), np.zeros((80, 80), dtype=np.int64))
    with torch.device("meta"):
        model = asl.Model(asl.Config(), labels, load_trunk("tresnet_l", input_size=448, from_scratch=True))
    assert f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.1f}" == "53.8"
    small = method.build(method.load_method("asl"), small_recipe("asl"), labels, 0)
    same = method.build(method.load_method("resnet101"), small_recipe("resnet101"), labels, 0)
    assert all(torch.equal(same.state_dict()[name], tensor) for name, tensor in small.state_dict().items())


def test_the_recipe_is_that_of_the_released_script():
    config = recipe()
    assert config == asl.Config()
    assert (config.input_size, config.batch_size, config.epochs, config.sched_epochs) == (448, 128, 40, 80)
    assert (config.gamma_pos, config.gamma_neg, config.margin, config.reduction) == (0.0, 4.0, 0.05, "sum")
    stage = main_stage(config)
    assert (stage.opt, stage.betas, stage.weight_decay, stage.decay_norms) == (
        "adam",
        (0.9, 0.999),
        1e-4,
        False,
    )
    assert (stage.ema, stage.weights, stage.select, stage.clip_norm) == (0.9997, "averaged", "last", 0.0)
    assert stage.trains == {"trunk": 1.0, "classifier": 1.0}
    augmentation = stage.augmentation
    assert (augmentation.cutout, augmentation.randaugment, augmentation.magnitude) == (0.5, 2, 9)
    assert (augmentation.crops, augmentation.scale, augmentation.mirror) == ((), (), False)


def test_the_cycle_is_torchs_laid_out_for_80_epochs_and_stopped_at_40():
    steps, stage = 5, main_stage(recipe())
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=1e-4)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1e-4, steps_per_epoch=steps, epochs=80, pct_start=0.2
    )
    rates = []
    for epoch in range(1, stage.epochs + 1):
        for step in range(steps):
            place = {"epoch": epoch, "step": step, "steps": steps}
            (group,) = optimizer.param_groups
            rates.append(stage.schedule.rate(0.0, **place))
            assert rates[-1] == pytest.approx(group["lr"], rel=1e-9)
            assert stage.schedule.cycled_momentum(**place) == pytest.approx(group["betas"][0], rel=1e-9)
            optimizer.step()
            cycle.step()
    assert len(rates) == 40 * steps
    assert rates.index(max(rates)) == 16 * steps - 1
    assert rates[-1] > 0.5e-4


def test_biases_and_norms_do_not_decay(context: StageContext):
    config = replace(small_recipe("asl"), weight_decay=1e-4)
    model = method.build(method.load_method("asl"), config, method.labels_of(context.store), 0)
    optimizer: Any = training_step.build_optimizer(model, main_stage(config), torch.device("cpu"))
    for group in optimizer.param_groups:
        assert {parameter.ndim > 1 for parameter in group["params"]} == {group["weight_decay"] > 0}
    assert type(optimizer) is torch.optim.Adam


@pytest.mark.parametrize("card", ["coco", "demo", "voc2007-bus-car-cat-train"])
def test_on_equal_terms_only_the_loss_differs_from_resnet101(card: str):
    equal, usual = recipe(card, terms="equal"), shared_terms(card)
    differing = {name for name, value in vars(usual).items() if getattr(equal, name) != value}
    assert differing == {"loss"}
    assert "loss" in asl.Config.OWN
    assert (equal.loss, equal.image_reduction) == ("asymmetric", "mean")
    assert recipe(card, terms="equal", loss="bce").loss == "bce"


def test_on_equal_terms_it_shares_no_stage_with_resnet101(context: StageContext):
    equal = replace(small_recipe("asl").on_equal_terms("demo"), epochs=2)
    (own,) = stage_cache.stage_keys(method.load_method("asl"), equal, context, 0)
    usual = replace(small_recipe("resnet101"), epochs=2)
    assert own not in stage_cache.stage_keys(method.load_method("resnet101"), usual, context, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"margin": "1"}, "margin"),
        ({"gamma_neg": "-1"}, "gamma_neg"),
        ({"ema": "1"}, "ema"),
        ({"epochs": "81"}, "sched_epochs=80: the schedule would end before the 81 epochs"),
        ({"image_reduction": "none"}, "image_reduction=none: choose from: sum, mean"),
        ({"loss": "bce", "margin": "0.1"}, "margin=0.1 counts only with loss=asymmetric"),
        ({"ema": "0"}, "weights=averaged: without ema there is no average; add --weights raw"),
    ],
)
def test_a_wrong_value_is_refused_in_a_line(changes: dict[str, str], message: str):
    with pytest.raises(InputError, match=message) as raised:
        recipe(**changes)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("card", ["coco", "demo"])
@pytest.mark.parametrize("sched", ["step", "cosine", "plateau"])
def test_another_schedule_needs_no_other_change_and_leaves_the_momentum_alone(card: str, sched: str):
    """The recipe's own words about the cycle are not the user's."""
    schedule = main_stage(recipe(card, sched=sched)).schedule
    assert (schedule.sched, schedule.cycle_momentum) == (sched, False)
