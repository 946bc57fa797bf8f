"""ML-Decoder: its mechanism against plain loops in float64, its groups, its size, and its recipe."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.base.errors import InputError
from bench.training import method, trunk
from bench.training.method import Labels
from methods import ml_decoder
from methods._recipe import Recipe
from tests.attention import draw_all, plain_layer, plain_norm

GROUPS = [  # (labels, groups at most, groups, labels of a group, queries that have labels)
    (3, 5, 3, 1, 3),
    (5, 5, 5, 1, 5),
    (6, 5, 5, 2, 3),
    (10, 5, 5, 2, 5),
    (13, 5, 5, 3, 5),
]


def labels(number: int) -> Labels:
    return Labels(tuple(map(str, range(number))), np.zeros((number, number), dtype=np.int64))


def small(number: int = 13, **changes: Any) -> ml_decoder.Model:
    """Of width 12 with 3 heads and 5 groups, on the demo's trunk, which has 128 channels."""
    sizes = {"width": 12, "heads": 3, "feedforward": 7, "groups": 5}
    config = replace(ml_decoder.RECIPES["demo"], **(sizes | changes))
    model = method.build(method.load_method("ml_decoder"), config, labels(number), 0)
    assert isinstance(model, ml_decoder.Model)
    return model


def large(number: int) -> ml_decoder.Model:
    """The release's sizes with ResNet-101, on no device: nothing is allocated."""
    counted = Labels(tuple(map(str, range(number))), np.zeros((1, 1), dtype=np.int64))
    with torch.device("meta"):
        loaded = trunk.load_trunk("resnet101", from_scratch=True)
        return ml_decoder.Model(ml_decoder.Config(), counted, loaded)


def parameters(model: ml_decoder.Model) -> int:
    """Without the trunk."""
    return sum(parameter.numel() for parameter in model.parameters()) - sum(
        parameter.numel() for parameter in model.trunk.parameters()
    )


def plain_logits(model: ml_decoder.Model, features_DHW: Tensor, number: int, size: int) -> list[float]:
    """The logits of one image from its last map; size: labels of a group."""
    weight, bias = model.embedding.weight, model.embedding.bias
    _, rows, columns = features_DHW.shape
    embedded = torch.stack(
        [(weight @ features_DHW[:, y, x] + bias).clamp(min=0) for y in range(rows) for x in range(columns)]
    )
    queries = plain_norm(model.decoder.norm, 2 * model.decoder.queries.queries_GD)
    vectors = plain_layer(model.decoder.layer, queries, queries, embedded, embedded)
    logits = []
    for label in range(number):
        group, place = divmod(label, size)
        weights = model.classifier.weight[group, :, place]
        terms = [float(w) * float(x) for w, x in zip(weights, vectors[group], strict=True)]
        logits.append(sum(terms) + float(model.classifier.bias[label]))
    return logits


class TestGroups:
    @pytest.mark.parametrize(("number", "most", "groups", "size"), [row[:4] for row in GROUPS])
    @torch.no_grad()
    def test_its_logits_are_those_of_plain_loops(self, number: int, most: int, groups: int, size: int):
        model = draw_all(small(number, groups=most))
        assert model.decoder.queries.queries_GD.shape == (groups, 12)
        assert model.classifier.weight.shape == (groups, 12, size)
        features = torch.randn(2, 128, 2, 3, dtype=torch.float64)
        expected = [plain_logits(model, image, number, size) for image in features]
        torch.testing.assert_close(
            model.classify(features), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-11
        )

    @pytest.mark.parametrize(("number", "groups", "size", "used"), [(c, *rest) for c, _, *rest in GROUPS])
    def test_each_label_has_the_weights_of_one_place_in_one_group(
        self, number: int, groups: int, size: int, used: int
    ):
        layer = ml_decoder.GroupLinear(groups, 4, number)
        logits = layer(torch.randn(1, groups, 4))
        owners = []
        for label in range(number):
            (gradient,) = torch.autograd.grad(logits[0, label], layer.weight, retain_graph=True)
            owners.append(tuple(gradient.abs().sum(dim=1).nonzero()[0].tolist()))
            assert gradient.any(dim=1).sum() == 1
        assert owners == [divmod(label, size) for label in range(number)]
        assert len({group for group, _ in owners}) == used


class TestQueries:
    def test_they_are_drawn_once_for_the_seed_and_no_stage_trains_them(self):
        config = replace(ml_decoder.RECIPES["demo"], budget="equal")
        model, names = small(), [name for name, _ in small().named_parameters()]
        assert not any("queries" in name for name in names)
        assert "decoder.queries.queries_GD" in model.state_dict()
        assert all("queries" not in part for stage in ml_decoder.stages(config) for part in stage.trains)
        assert torch.equal(small().decoder.queries.queries_GD, model.decoder.queries.queries_GD)
        other = method.build(method.load_method("ml_decoder"), config, labels(13), 1)
        own = method.build(method.load_method("ml_decoder"), config, labels(13), 0)
        drawn = [built.get_buffer("decoder.queries.queries_GD") for built in (own, other)]
        assert not torch.equal(*drawn)
        assert drawn[0].std().item() == pytest.approx(1, abs=0.1)

    def test_none_sees_another(self):
        model = draw_all(small())
        embedded = torch.randn(1, 4, 12, dtype=torch.float64)
        before = model.decoder(embedded)
        model.decoder.queries.queries_GD[0] += torch.randn(12)
        same = [torch.equal(*pair) for pair in zip(before[0], model.decoder(embedded)[0], strict=True)]
        assert same == [False, True, True, True, True]


class TestSize:
    def test_with_resnet101_and_80_labels_it_has_49_7_million_parameters(self):
        model = large(80)
        assert sum(parameter.numel() for parameter in model.parameters()) == 49_650_832

    @pytest.mark.parametrize("number", [7, 80, 100, 101, 1000, 9605, 10_000])
    def test_only_the_last_layer_grows_with_the_labels(self, number: int):
        groups, width = min(100, number), 768
        embedding = 2048 * width + width
        layer = 4 * (width * width + width) + 3 * 2 * width + 2 * width * 2048 + 2048 + width
        last = groups * width * math.ceil(number / groups) + number
        assert parameters(large(number)) == embedding + layer + last

    def test_ten_thousand_labels_have_fewer_parameters_than_one_linear_layer(self):
        assert parameters(large(10_000)) == 14_779_152 < 2048 * 10_000

    def test_the_attention_has_100_queries_for_any_number_of_labels_from_there_on(self):
        sizes = {len(large(number).decoder.queries.queries_GD) for number in (100, 101, 10_000)}
        assert sizes == {100}

    def test_the_group_weights_begin_as_the_releases(self):
        """Xavier's rule takes D f inputs and G f outputs from the shape (G, D, f)."""
        torch.manual_seed(0)
        layer = ml_decoder.GroupLinear(10, 40, 45)
        assert layer.weight.shape == (10, 40, 5)
        assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / ((10 + 40) * 5)), rel=0.05)
        assert not layer.bias.any()


class TestRecipe:
    @pytest.mark.parametrize("card", ["coco", "nuswide", "voc2007"])
    def test_it_is_the_releases(self, card: str):
        config = method.recipe(method.load_method("ml_decoder"), card)
        (stage,) = ml_decoder.stages(config)
        assert (config.groups, config.width, config.heads, config.feedforward) == (100, 768, 8, 2048)
        settings = stage.settings
        assert (settings["loss"], settings["gamma_neg"], settings["gamma_pos"]) == ("asymmetric", 4.0, 0.0)
        assert settings["margin"] == 0.05
        assert set(stage.trains.values()) == {1.0}
        assert (stage.opt, stage.betas, stage.decay_norms) == ("adam", (0.9, 0.999), False)
        assert stage.weight_decay * stage.batch_size == pytest.approx(1e-4)
        assert (stage.batch_size, stage.input_size, stage.epochs) == (56, 448, 40)
        assert (stage.ema, stage.weights, stage.select) == (0.9997, "averaged", "last")
        augmentation = stage.augmentation
        assert (augmentation.cutout, augmentation.randaugment, augmentation.crops) == (0.5, 2, ())
        assert not augmentation.mirror

    def test_its_rate_rises_for_8_of_40_epochs_to_1e_4(self):
        (stage,) = ml_decoder.stages(ml_decoder.Config())
        rates = [stage.schedule.rate(0.0, epoch=epoch, step=0, steps=1400) for epoch in range(1, 41)]
        assert (len(rates), rates.index(max(rates))) == (40, 8)
        assert max(rates) == pytest.approx(1e-4, rel=1e-3)
        assert stage.schedule.cycle_momentum

    def test_on_srns_terms_only_its_own_fields_stay(self):
        config = method.recipe(method.load_method("ml_decoder"), "coco", {"terms": "equal"})
        shared = {name: getattr(config, name) for name in vars(Recipe())}
        assert shared == vars(Recipe(terms="equal"))
        assert (config.groups, config.width, config.heads) == (100, 768, 8)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"heads": "7"}, "width=768 cannot be divided equally among heads=7; .*as in --set width=763"),
            ({"width": "4"}, "width=4 cannot be divided equally among heads=8; .*as in --set width=8"),
            ({"groups": "0"}, "groups=0: give a whole number from 1"),
            ({"ema": "0"}, "weights=averaged: without ema there is no average; add --weights raw"),
        ],
    )
    def test_what_cannot_be_trained_is_refused_in_a_line(self, changes: dict[str, str], message: str):
        with pytest.raises(InputError, match=message):
            method.recipe(method.load_method("ml_decoder"), "coco", changes)
