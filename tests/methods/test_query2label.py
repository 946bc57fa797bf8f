"""Query2Label: its mechanism against plain loops in float64, its size, its first weights, and its recipe."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.base.errors import InputError
from bench.training import method, trunk
from bench.training.method import Labels
from methods import query2label
from methods._recipe import Recipe
from tests.attention import draw_all, plain_attention, plain_layer, plain_norm

LABELS = Labels(tuple("abcde"), np.zeros((5, 5), dtype=np.int64))


def small(**changes: Any) -> query2label.Model:
    """Of width 12 with 3 heads, on the demo's trunk, which has 128 channels."""
    config = replace(query2label.RECIPES["demo"], **({"width": 12, "heads": 3, "feedforward": 7} | changes))
    model = method.build(method.load_method("query2label"), config, LABELS, 0)
    assert isinstance(model, query2label.Model)
    return model


def plain_positions(rows: int, columns: int, width: int) -> Tensor:
    """Row by row, number by number."""
    half, positions = width // 2, []
    for y in range(1, rows + 1):
        for x in range(1, columns + 1):
            numbers = []
            for place, side in ((y, rows), (x, columns)):
                for j in range(half):
                    angle = 2 * math.pi * place / (side + 1e-6) / 10000 ** (2 * (j // 2) / half)
                    numbers.append(math.cos(angle) if j % 2 else math.sin(angle))
            positions.append(numbers)
    return torch.tensor(positions, dtype=torch.float64)


def plain_logits(model: query2label.Model, features_DHW: Tensor, *, among_labels: bool) -> list[float]:
    """The logits of one image from its last map."""
    projection = model.encoder.projection
    weight, bias = projection.weight[:, :, 0, 0], projection.bias
    _, rows, columns = features_DHW.shape
    memory = torch.stack([weight @ features_DHW[:, y, x] + bias for y in range(rows) for x in range(columns)])
    positions = plain_positions(rows, columns, len(bias))
    for layer in model.encoder.layers:
        memory = plain_layer(layer, memory, memory + positions, memory + positions, memory)
    embeddings = model.decoder.embeddings.weight
    labels = torch.zeros_like(embeddings)
    for layer in model.decoder.layers:
        if among_labels:
            query = labels + embeddings
            labels = plain_norm(
                layer.label_norm, labels + plain_attention(layer.label_attention, query, query, labels)
            )
        labels = plain_layer(layer, labels, labels + embeddings, memory + positions, memory)
    normed = plain_norm(model.decoder.norm, labels)
    return [
        sum(float(w) * float(x) for w, x in zip(model.classifier.weight[k], normed[k], strict=True))
        + float(model.classifier.bias[k])
        for k in range(len(normed))
    ]


class TestMechanism:
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"label_attention": True},
            {"encoder_layers": 0, "decoder_layers": 1},
            {"encoder_layers": 2, "heads": 1},
        ],
    )
    @torch.no_grad()
    def test_its_logits_are_those_of_plain_loops(self, changes: dict[str, Any]):
        model = draw_all(small(**changes))
        features = torch.randn(2, 128, 2, 3, dtype=torch.float64)
        among_labels = changes.get("label_attention", False)
        expected = [plain_logits(model, image, among_labels=among_labels) for image in features]
        torch.testing.assert_close(
            model.classify(features), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-11
        )

    def test_a_label_sees_the_others_only_if_it_is_asked_for(self):
        for among_labels in (False, True):
            model = draw_all(small(label_attention=among_labels))
            features = torch.randn(1, 128, 2, 2, dtype=torch.float64)
            model.classify(features)[0, 0].backward()
            gradient = model.decoder.embeddings.weight.grad
            assert gradient is not None
            assert [bool(row.any()) for row in gradient] == [True] + [among_labels] * 4

    def test_a_trunk_that_has_the_width_is_not_projected(self):
        model = small(width=128, heads=4)
        assert isinstance(model.encoder.projection, nn.Identity)
        assert isinstance(small().encoder.projection, nn.Conv2d)
        features = torch.randn(2, 128, 2, 2)
        memory, _ = small(width=128, heads=4, encoder_layers=0).encoder(features)
        assert torch.equal(memory, features.flatten(2).transpose(1, 2))

    @pytest.mark.parametrize("sides", [(1, 1), (2, 3), (14, 14)])
    def test_positions_are_sines_and_cosines_of_rows_then_columns(self, sides: tuple[int, int]):
        expected = plain_positions(*sides, width=8)
        positions = query2label.sine_positions(torch.zeros(1, 8, *sides, dtype=torch.float64))
        torch.testing.assert_close(positions, expected, rtol=0, atol=1e-12)
        single = query2label.sine_positions(torch.zeros(1, 8, *sides, dtype=torch.bfloat16))
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), expected, rtol=0, atol=2e-6)

    def test_each_label_has_a_linear_layer_of_its_own(self):
        layer, x = query2label.LabelwiseLinear(3, 2), torch.randn(4, 2, 3)
        for b in range(4):
            for k in range(2):
                expected = x[b, k] @ layer.weight[k] + layer.bias[k]
                torch.testing.assert_close(layer(x)[b, k], expected)


class TestFirstWeights:
    def test_layers_begin_by_xaviers_rule_and_the_embeddings_normally_distributed(self):
        model = small(width=96, heads=4, feedforward=192)
        for layer in (*model.encoder.layers, *model.decoder.layers):
            attention = layer.attention
            for weight, fans in (
                (attention.in_proj_weight, 4 * 96),
                (attention.out_proj.weight, 2 * 96),
                (layer.linear1.weight, 96 + 192),
                (layer.linear2.weight, 96 + 192),
            ):
                bound = math.sqrt(6 / fans)
                assert 0.99 * bound < weight.abs().max() <= bound
            assert not attention.in_proj_bias.any()
            assert not attention.out_proj.bias.any()
        assert model.decoder.embeddings.weight.std().item() == pytest.approx(1, abs=0.1)
        bound = 1 / math.sqrt(96)
        assert 0.95 * bound < model.classifier.weight.abs().max() <= bound

    def test_equal_layers_begin_with_different_weights(self):
        model = small(encoder_layers=2)
        every = [layer.attention.in_proj_weight for layer in (*model.encoder.layers, *model.decoder.layers)]
        assert not any(torch.equal(one, other) for one, other in pairwise(every))


def test_with_resnet101_and_80_labels_it_has_193_9_million_parameters():
    labels = Labels(tuple(map(str, range(80))), np.zeros((80, 80), dtype=np.int64))
    with torch.device("meta"):
        loaded = trunk.load_trunk("resnet101", from_scratch=True)
        model = query2label.Model(query2label.Config(), labels, loaded)
    layer = 4 * (2048 * 2048 + 2048) + 2 * 2 * 2048 + 2 * 2048 * 8192 + 8192 + 2048
    own = 3 * layer + 2 * 2048 + 80 * 2048 + 80 * 2048 + 80
    trunks = sum(parameter.numel() for parameter in loaded.parameters())
    assert sum(parameter.numel() for parameter in model.parameters()) == trunks + own == 193_906_832


class TestRecipe:
    @pytest.mark.parametrize("card", ["coco", "nuswide", "voc2007"])
    def test_it_is_the_releases(self, card: str):
        config = method.recipe(method.load_method("query2label"), card)
        (stage,) = query2label.stages(config)
        assert (config.width, config.heads, config.feedforward) == (2048, 4, 8192)
        assert (config.encoder_layers, config.decoder_layers, config.label_attention) == (1, 2, False)
        settings = stage.settings
        assert (settings["loss"], settings["gamma_neg"], settings["gamma_pos"]) == ("asymmetric", 2.0, 0.0)
        assert settings["margin"] == 0.0
        assert set(stage.trains.values()) == {1.0}
        assert (stage.opt, stage.betas, stage.weight_decay) == ("adamw", (0.9, 0.999), 1e-2)
        assert (stage.decay_norms, stage.batch_size, stage.input_size) == (True, 128, 448)
        assert (stage.ema, stage.weights, stage.select) == (0.9997, "averaged", "best")
        assert (stage.batch_norm, stage.clip_norm) == ("frozen", 0.0)
        augmentation = stage.augmentation
        assert (augmentation.cutout, augmentation.randaugment, augmentation.crops) == (0.5, 2, ())
        assert not augmentation.mirror

    def test_its_rate_rises_for_16_of_80_epochs_to_1e_4(self):
        (stage,) = query2label.stages(query2label.Config())
        rates = [stage.schedule.rate(0.0, epoch=epoch, step=0, steps=600) for epoch in range(1, 81)]
        assert (len(rates), rates.index(max(rates))) == (80, 16)
        assert max(rates) == pytest.approx(1e-4, rel=1e-3)
        assert rates[-1] < 1e-7
        momenta = [stage.schedule.cycled_momentum(epoch=e, step=0, steps=600) for e in (1, 17, 80)]
        assert momenta == pytest.approx([0.95, 0.85, 0.95], abs=1e-4)

    def test_on_srns_terms_only_its_own_fields_stay(self):
        config = method.recipe(method.load_method("query2label"), "coco", {"terms": "equal"})
        shared = {name: getattr(config, name) for name in vars(Recipe())}
        assert shared == vars(Recipe(terms="equal"))
        assert (config.width, config.heads, config.feedforward) == (2048, 4, 8192)

    def test_another_loss_needs_no_further_change(self):
        config = method.recipe(method.load_method("query2label"), "coco", {"loss": "bce"})
        assert config.criterion.loss == "bce"

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"heads": "3"}, "width=2048 cannot be divided equally among heads=3; .*as in --set width=2046"),
            ({"width": "6", "heads": "2"}, "width=6 is not a multiple of 4, .*as in --set width=4"),
            ({"width": "2", "heads": "1"}, "width=2: give a whole number from 4"),
            ({"decoder_layers": "0"}, "decoder_layers=0: give a whole number from 1"),
            ({"from_scratch": "true"}, "batch_norm=frozen keeps .* add --set batch_norm=local"),
            ({"ema": "0"}, "weights=averaged: without ema there is no average; add --weights raw"),
            ({"held_out": "0"}, "held_out=0 trains on all images, .* add --set select=last"),
            ({"loss": "hinge"}, "loss=hinge: choose from: bce, asymmetric, focal"),
            ({"ema": "1"}, "ema=1.0: give a number"),
        ],
    )
    def test_what_cannot_be_trained_is_refused_in_a_line(self, changes: dict[str, str], message: str):
        with pytest.raises(InputError, match=message):
            method.recipe(method.load_method("query2label"), "coco", changes)
