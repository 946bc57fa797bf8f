"""MSRN: its parts against their formulas written out directly, its size, and its recipes."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.training import method, trunk
from bench.training.method import Labels
from bench.training.schedule import Plateau
from methods import _graph, msrn

COUNTS = np.array(  # N_ij; of the third label there are no images
    [[100, 40, 0, 39], [40, 50, 0, 20], [0, 0, 0, 0], [39, 20, 0, 400]], dtype=np.int64
)
EDGES = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 1]]).bool()


def small(**changes: Any) -> msrn.Model:
    config = replace(
        msrn.RECIPES["demo"], width=16, hidden=24, word_size=6, linear_width=5, graph_width=7, **changes
    )
    model = method.build(method.load_method("msrn"), config, Labels(tuple("abcd"), COUNTS), 0)
    assert isinstance(model, msrn.Model)
    return model.eval()


def elu(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, torch.exp(x) - 1)


class TestLabelGraph:
    def test_a_label_attends_to_those_that_make_it_likely_and_to_itself(self):
        """P(0 | 1) = 0.8 and P(1 | 0) = 0.4 are edges, P(3 | 0) = 0.39 is none; P(3 | 1) = 0.4 is one-way."""
        expected = np.eye(4, dtype=bool)
        for i in range(4):
            for j in range(4):
                if COUNTS[j, j] and COUNTS[i, j] / COUNTS[j, j] >= 0.4:
                    expected[i, j] = True
        assert np.array_equal(expected, EDGES.numpy())
        assert np.array_equal(_graph.edges(COUNTS), expected)
        assert torch.equal(small().labels.edges_CC, EDGES)

    def test_a_frequent_label_attends_to_what_comes_with_it_and_not_the_other_way(self):
        """As `person` does on MS-COCO: skis come with a person, few persons have skis."""
        counts = np.array([[1000, 90, 80], [90, 100, 1], [80, 1, 100]], dtype=np.int64)  # person, skis, tie
        assert _graph.edges(counts).tolist() == [[True] * 3, [False, True, False], [False, False, True]]

    def test_a_graph_attention_layer_is_its_formula(self):
        layer, nodes = _graph.GraphAttention(3, 5), torch.randn(4, 3)
        h = [node @ layer.weight for node in nodes]
        outputs = layer(nodes, EDGES)
        for i in range(4):
            near = [j for j in range(4) if EDGES[i, j]]
            raw = [(layer.score[:, 0] * torch.cat([h[i], h[j]])).sum() for j in near]
            scores = [score if score > 0 else 0.2 * score for score in raw]
            total = sum(torch.exp(score) for score in scores)
            mixed = sum(torch.exp(score) / total * h[j] for score, j in zip(scores, near, strict=True))
            torch.testing.assert_close(outputs[i], elu(mixed + h[i]))

    def test_a_label_that_attends_to_itself_alone_has_twice_its_own_part(self):
        layer, nodes = _graph.GraphAttention(3, 5), torch.randn(4, 3)
        torch.testing.assert_close(layer(nodes, EDGES)[2], elu(2 * nodes[2] @ layer.weight))

    def test_it_begins_as_xaviers_with_gain_1_414(self):
        layer = _graph.GraphAttention(200, 300)
        for parameter, fans in ((layer.weight, 500), (layer.score, 601)):
            bound = 1.414 * math.sqrt(6 / fans)
            assert 0.95 * bound < parameter.abs().max() <= bound

    def test_word_vectors_pass_a_linear_layer_and_two_of_attention(self):
        labels = small().labels
        hidden = labels.words.weight @ labels.linear.weight.T + labels.linear.bias
        expected = labels.attention2(labels.attention1(hidden, EDGES), EDGES)
        torch.testing.assert_close(labels(), expected)
        assert expected.shape == (4, 16)


class TestGroups:
    def test_groups_are_pooled_by_a_soft_assignment(self):
        groups, nodes = _graph.Groups(6, 2), torch.randn(4, 6)
        pooled, assignment = groups(nodes, EDGES)
        rectified = torch.clamp(nodes, min=0)
        z, logits = groups.embed(rectified, EDGES), groups.assign(rectified, EDGES)
        for i in range(4):
            total = sum(torch.exp(logits[i, g]) for g in range(2))
            for g in range(2):
                torch.testing.assert_close(assignment[i, g], torch.exp(logits[i, g]) / total)
        for g in range(2):
            torch.testing.assert_close(pooled[g], sum(assignment[i, g] * z[i] for i in range(4)))

    def test_the_distance_is_to_each_labels_most_likely_group(self):
        nodes, groups = torch.randn(4, 6), torch.randn(3, 6)
        assignment = torch.rand(4, 3).softmax(dim=1)
        expected = 0.0
        for i in range(4):
            best = max(range(3), key=lambda g: float(assignment[i, g]))
            expected += math.sqrt(sum(float(nodes[i, d] - groups[best, d]) ** 2 for d in range(6)))
        assert _graph.distance(nodes, groups, assignment).item() == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize(
        ("ratio", "labels", "expected"), [(0.05, 80, 4), (0.05, 81, 4), (0.2, 20, 4), (0.05, 4, 1)]
    )
    def test_their_number_is_a_share_of_the_labels(self, ratio: float, labels: int, expected: int):
        all_labels = Labels(tuple(map(str, range(labels))), np.ones((labels, labels), np.int64))
        config = replace(msrn.RECIPES["demo"], group_ratio=ratio)
        model = msrn.Model(config, all_labels, trunk.load_trunk("resnet10_narrow", from_scratch=True))
        assert model.groups.assign.weight.shape == (64, expected)


class TestSemanticAttention:
    def test_it_is_a_softmax_over_positions_for_each_embedding_in_each_channel(self):
        features, embeddings = torch.randn(2, 3, 4, 5), torch.randn(6, 3)
        attended = msrn.attend(features, embeddings)
        assert attended.shape == (2, 6, 3)
        for b in range(2):
            for e in range(6):
                for d in range(3):
                    values = [features[b, d, i, j] for i in range(4) for j in range(5)]
                    weights = [torch.exp(value * embeddings[e, d]) for value in values]
                    expected = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
                    torch.testing.assert_close(attended[b, e, d], expected)

    def test_its_gradient_is_that_of_the_formula(self):
        features, embeddings = torch.randn(2, 3, 4, 4, dtype=torch.float64), torch.randn(5, 3).double()
        inputs = (features.requires_grad_(), embeddings.requires_grad_())
        assert torch.autograd.gradcheck(msrn.attend, inputs)

    def test_the_head_decides_on_all_that_three_layers_give_to_labels_and_groups(self):
        model, images = small(group_ratio=0.5), torch.randn(2, 3, 64, 64)
        labels = model.labels()
        groups, assignment = model.groups(labels, EDGES)
        picked = []
        for level, features in enumerate(model.trunk.pyramid(images)):
            first = model.convolutions[level] if level < 2 else nn.Identity()
            pool, narrow = model.layers[level]
            assert (pool.kernel_size, narrow.out_channels) == (2, 16)
            picked.append(msrn.attend(narrow(pool(first(features))), torch.cat([labels, groups])))
        vectors = torch.cat(picked, dim=2)
        assert vectors.shape == (2, 4 + 2, 3 * 16)
        first = vectors.reshape(2, -1).tanh() @ model.hidden.weight.T + model.hidden.bias
        hidden = torch.where(first > 0, first, 0.01 * first)
        expected = hidden @ model.classifier.weight.T + model.classifier.bias
        logits, apart = model.branches(images)
        torch.testing.assert_close(logits, expected)
        torch.testing.assert_close(model.logits(images), logits)
        torch.testing.assert_close(apart, _graph.distance(labels, groups, assignment))


@pytest.mark.parametrize(("reduction", "factor"), [("mean", 1), ("sum", 4)])
def test_the_loss_is_the_mean_cross_entropy_and_a_ten_thousandth_of_the_distances(
    reduction: str, factor: int
):
    """Or the same C times, for learning rates that are meant for a sum over labels."""
    model, images = small(reduction=reduction), torch.randn(2, 3, 64, 64)
    targets = torch.tensor([[1.0, 0, 0, 1], [0, 1, 0, 0]])
    logits, apart = model.branches(images)
    p = 1 / (1 + torch.exp(-logits))
    terms = [-torch.log(p[b, c] if targets[b, c] else 1 - p[b, c]) for b in range(2) for c in range(4)]
    torch.testing.assert_close(msrn.loss(model, images, targets)[0], factor * (sum(terms) / 8 + 1e-4 * apart))


@pytest.fixture(scope="module")
def model() -> msrn.Model:
    """With ResNet-101 and C = 80, on no device: nothing is allocated."""
    labels = Labels(tuple(map(str, range(80))), np.zeros((80, 80), dtype=np.int64))
    with torch.device("meta"):
        return msrn.Model(msrn.Config(), labels, trunk.load_trunk("resnet101", from_scratch=True))


class TestSize:
    def test_the_heads_first_layer_has_264_of_310_7_million_parameters(self, model: msrn.Model):
        assert model.hidden.weight.numel() == (80 + 4) * 3 * 512 * 2048 == 264_241_152
        assert sum(parameter.numel() for parameter in model.parameters()) == 310_654_384

    def test_the_graph_and_the_layers_have_the_papers_widths(self, model: msrn.Model):
        labels = model.labels
        assert labels.words.weight.shape == (80, 300)
        assert labels.linear.weight.shape == (256, 300)
        assert labels.attention1.weight.shape == (256, 300)
        assert labels.attention2.weight.shape == (300, 512)
        assert model.groups.embed.weight.shape == (512, 512)
        assert model.groups.assign.weight.shape == (512, 4)
        widths = [
            [(m.in_channels, m.out_channels) for m in part.modules() if isinstance(m, nn.Conv2d)]
            for part in (model.convolutions, model.layers)
        ]
        assert widths == [[(512, 512), (1024, 1024)], [(512, 512), (1024, 512), (2048, 512)]]

    def test_convolutions_of_equal_width_begin_as_those_of_a_resnet(self):
        weight = small().convolutions[0].weight
        assert weight.std().item() == pytest.approx(math.sqrt(2 / weight.shape[0]), rel=0.1)


class TestRecipes:
    @pytest.mark.parametrize("card", ["coco", "nuswide", "voc2007"])
    def test_the_papers_training(self, card: str):
        (stage,) = msrn.stages(method.recipe(method.load_method("msrn"), card))
        rates = {prefix: factor * stage.schedule.lr for prefix, factor in stage.trains.items()}
        assert (rates.pop("trunk"), rates.pop("convolutions")) == (0.01, 0.01)
        assert set(rates.values()) == {0.1}
        assert (stage.momentum, stage.weight_decay, stage.batch_size) == (0.9, 1e-4, 16)
        assert (stage.input_size, stage.epochs, stage.augmentation.mirror) == (448, 40, True)
        assert (stage.augmentation.max_distort, stage.augmentation.more_places) == (2, True)
        assert [round(crop / 256, 1) for crop in stage.augmentation.crops] == [1.0, 0.9, 0.8, 0.7, 0.6]

    def test_the_rate_falls_once_after_30_epochs_whatever_the_loss_does(self):
        (stage,) = msrn.stages(method.recipe(method.load_method("msrn"), "coco"))
        state, rates = Plateau(stage.schedule.lr), []
        for epoch in range(1, stage.epochs + 1):
            rates.append(round(state.lr, 9))
            assert state.step(stage.schedule, epoch=epoch, loss=1.0)
        assert rates == [0.01] * 30 + [0.001] * 10

    def test_on_srns_terms_the_loss_is_a_sum_over_labels_and_its_own_widths_stay(self):
        config = method.recipe(method.load_method("msrn"), "coco", {"terms": "equal"})
        assert (config.input_size, config.batch_size, config.lr) == (224, 96, 1e-3)
        assert (config.max_distort, config.more_places) == (None, False)
        assert (config.reduction, config.width, config.hidden) == ("sum", 512, 2048)

    def test_groups_are_a_fifth_of_few_labels(self):
        ratios = {card: method.recipe(method.load_method("msrn"), card).group_ratio for card in msrn.RECIPES}
        assert ratios["coco"] == ratios["nuswide"] == 0.05
        assert ratios["voc2007"] == 0.2
