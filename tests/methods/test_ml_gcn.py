"""ML-GCN and its max-pooled baseline: their parts against plain loops, their recipes, and bad input."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.base.errors import InputError
from bench.training import method, stages
from bench.training.method import File, Labels
from bench.training.schedule import Plateau
from methods import ml_gcn, resnet101_gmp
from tests.conftest import small_recipe

NAMES = ("person", "skis", "cat", "unseen", "tie")
COUNTS = np.array(  # of `unseen` there are no images, and `cat` has no neighbours
    [
        [1000, 90, 10, 0, 75],
        [90, 100, 1, 0, 40],
        [10, 1, 300, 0, 2],
        [0, 0, 0, 0, 0],
        [75, 40, 2, 0, 80],
    ],
    dtype=np.int64,
)
NEIGHBOURS = {0: [1, 4], 1: [4], 2: [], 3: [], 4: [1]}  # P(person | skis) = 0.9, P(tie | skis) = 0.4, ...


def plain_correlation(counts: Any, tau: float, p: float) -> list[list[float]]:
    """A^ in loops, as the docstring writes it."""
    labels = range(len(counts))
    edge = [
        [float(i != j and counts[j][j] > 0 and counts[i][j] / counts[j][j] >= tau) for j in labels]
        for i in labels
    ]
    a = [
        [1 - p if i == j else p * edge[i][j] / sum(edge[i]) if sum(edge[i]) else 0.0 for j in labels]
        for i in labels
    ]
    d = [sum(a[i][j] for i in labels) for j in labels]
    return [[a[i][j] / math.sqrt(d[i] * d[j]) for j in labels] for i in labels]


def random_counts(seed: int) -> Any:
    """Counts of 60 images with up to a dozen labels, one of them without any image."""
    rng = np.random.default_rng(seed)
    labels_NC = (rng.random((60, 4 + seed)) < rng.random(4 + seed)).astype(np.int64)
    labels_NC[:, 0] = 0
    return labels_NC.T @ labels_NC


def small(name: str = "ml_gcn", **changes: Any) -> Any:
    config = small_recipe(name, **({"hidden": 7, "word_size": 3} if name == "ml_gcn" else {}) | changes)
    return method.build(method.load_method(name), config, Labels(NAMES, COUNTS), 0).eval()


class TestCorrelation:
    @pytest.mark.parametrize("seed", range(8))
    @pytest.mark.parametrize(("tau", "p"), [(0.4, 0.2), (0.7, 0.5), (0.4, 0.0)])
    def test_it_is_its_formula(self, seed: int, tau: float, p: float):
        for counts in (COUNTS, random_counts(seed)):
            matrix = ml_gcn.correlation(counts, threshold=tau, neighbour_weight=p)
            assert matrix.dtype == np.float64
            assert np.abs(matrix - plain_correlation(counts, tau, p)).max() < 1e-15

    def test_a_label_takes_from_those_that_make_it_likely(self):
        """`person` from what people carry, and not the other way."""
        matrix = ml_gcn.correlation(COUNTS, threshold=0.4, neighbour_weight=0.2)
        others = {i: [j for j in range(5) if i != j and matrix[i, j]] for i in range(5)}
        assert others == NEIGHBOURS

    def test_labels_without_images_or_neighbours_keep_themselves_alone(self):
        matrix = ml_gcn.correlation(COUNTS, threshold=0.4, neighbour_weight=0.2)
        for alone in (2, 3):
            assert matrix[alone, alone] == pytest.approx(1, abs=1e-15)
            assert np.count_nonzero(matrix[alone]) == np.count_nonzero(matrix[:, alone]) == 1
        nothing = np.zeros((3, 3), dtype=np.int64)
        assert np.allclose(ml_gcn.correlation(nothing, threshold=0.4, neighbour_weight=0.2), np.eye(3))

    def test_a_fifth_for_the_neighbours_is_a_quarter_beside_the_identity(self):
        """The release's form of the paper's p = 0.2; normalised, both are the same matrix."""
        edges = np.array([[float(j in NEIGHBOURS[i]) for j in range(5)] for i in range(5)])
        a = 0.25 * edges / (edges.sum(axis=1, keepdims=True) + 1e-6) + np.eye(5)
        d = np.diag(a.sum(axis=0) ** -0.5)
        matrix = ml_gcn.correlation(COUNTS, threshold=0.4, neighbour_weight=0.2)
        assert np.abs(matrix - d @ a @ d).max() < 1e-6


class TestClassifiers:
    def test_they_are_two_graph_convolutions_of_the_word_vectors(self):
        layer = small().classifier.double()
        a, z, w1, w2 = (
            tensor.tolist()
            for tensor in (layer.correlation_CC, layer.words.weight, layer.first.weight, layer.weight)
        )
        first = [[max(x, 0.2 * x) for x in row] for row in product(a, product(z, w1))]
        expected = product(a, product(first, w2))
        assert (layer() - torch.tensor(expected, dtype=torch.float64)).abs().max() < 1e-12

    @torch.no_grad()
    def test_they_are_computed_without_an_image_and_meet_the_maximum_over_positions(self):
        model, images = small(), torch.randn(2, 3, 64, 64)
        features, weights = model.trunk.features(images), model.classifier()
        for b in range(2):
            for c in range(5):
                highest = [features[b, d].max() for d in range(features.shape[1])]
                expected = sum(w * f for w, f in zip(weights[c], highest, strict=True))
                torch.testing.assert_close(model.logits(images)[b, c], expected, rtol=1e-4, atol=1e-4)

    def test_they_begin_uniform_within_one_over_the_root_of_the_outputs(self):
        layer = ml_gcn.GraphConvolution(300, 1024)
        assert 0.99 / 32 < layer.weight.abs().max() <= 1 / 32
        assert [name for name, _ in layer.named_parameters()] == ["weight"]

    def test_the_stage_holds_all_that_they_are_computed_from(self):
        """A stored run is read without the data set, whose counts are in the stage."""
        (stage,) = ml_gcn.stages(small_recipe("ml_gcn"))
        held = {name for name, _ in stages.learned(small(), stage) if not name.startswith("trunk")}
        of_classifier = {"correlation_CC", "words.weight", "first.weight", "weight"}
        assert held == {f"classifier.{name}" for name in of_classifier}

    def test_they_have_the_papers_widths_and_learned_vectors_gloves_spread(self):
        config = method.recipe(method.load_method("ml_gcn"), "coco")
        layer = ml_gcn.GraphClassifier(config, Labels(NAMES, COUNTS), 2048)
        assert layer.words.weight.std().item() == pytest.approx(0.38, rel=0.05)
        assert layer.words.weight.shape == (5, 300)
        assert (layer.first.weight.shape, layer.weight.shape) == ((300, 1024), (1024, 2048))


def product(a: list[list[float]], b: list[list[float]]) -> list[list[float]]:
    """A matrix product in loops."""
    return [[sum(x * row[k] for x, row in zip(line, b, strict=True)) for k in range(len(b[0]))] for line in a]


@torch.no_grad()
def test_the_baseline_is_a_linear_layer_on_the_maximum_over_positions():
    model, images = small("resnet101_gmp"), torch.randn(2, 3, 64, 64)
    highest = model.trunk.features(images).flatten(2).max(dim=2).values
    expected = highest @ model.classifier.weight.T + model.classifier.bias
    torch.testing.assert_close(model.logits(images), expected)
    assert ml_gcn.BASELINE == "resnet101_gmp"


class TestWordVectors:
    @pytest.fixture
    def file(self, tmp_path: Path) -> File:
        lines = [f"{name} {number} 1 -1" for number, name in enumerate(NAMES)]
        (tmp_path / "glove.txt").write_text("\n".join(lines), encoding="utf-8")
        return File(str(tmp_path / "glove.txt"))

    def test_of_a_file_are_not_trained(self, file: File):
        layer = small(word_vectors=file).classifier
        assert layer.words.weight.tolist() == [[number, 1, -1] for number in range(5)]
        assert "words.weight" not in dict(layer.named_parameters())
        assert "words.weight" in dict(small().classifier.named_parameters())

    def test_that_a_label_has_not_are_named_with_the_remedy(self, file: File):
        path = Path(file.path)
        path.write_text(path.read_text(encoding="utf-8").replace("skis", "sled"), encoding="utf-8")
        with pytest.raises(InputError, match="has no vector for: skis; .*: --words 'skis=WORD WORD'"):
            small(word_vectors=file)
        assert small(word_vectors=file, words=("skis=sled",)).classifier.words.weight[1].tolist() == [
            1,
            1,
            -1,
        ]


class TestRecipes:
    @pytest.mark.parametrize("name", ["ml_gcn", "resnet101_gmp"])
    @pytest.mark.parametrize("card", ["coco", "voc2007", "nuswide"])
    def test_the_papers_training(self, name: str, card: str):
        module = method.load_method(name)
        (stage,) = module.stages(method.recipe(module, card))
        assert isinstance(stage, stages.Stage)
        assert stage.trains == {"trunk": 1.0, "classifier": 10.0}
        assert (stage.schedule.lr, stage.opt, stage.momentum, stage.weight_decay) == (0.01, "sgd", 0.9, 1e-4)
        assert (stage.clip_norm, stage.batch_size, stage.input_size, stage.epochs) == (10.0, 16, 448, 100)
        crops = stage.augmentation
        assert [round(crop / 256, 3) for crop in crops.crops] == [1, 0.875, 0.75, 0.66, 0.5]
        assert (crops.max_distort, crops.more_places, crops.mirror) == (2, True, True)

    def test_the_rate_falls_after_every_40_epochs_and_the_releases_never(self):
        module = method.load_method("ml_gcn")
        for changes, expected in (
            ({}, [0.01] * 40 + [1e-3] * 40 + [1e-4] * 20),
            ({"epochs": "20", "milestones": ""}, [0.01] * 20),
        ):
            (stage,) = module.stages(method.recipe(module, "coco", changes))
            assert isinstance(stage, stages.Stage)
            state, rates = Plateau(stage.schedule.lr), []
            for epoch in range(1, stage.epochs + 1):
                rates.append(round(state.lr, 9))
                assert state.step(stage.schedule, epoch=epoch, loss=1.0)
            assert rates == expected

    def test_the_loss_is_torchs_multi_label_soft_margin_loss(self):
        logits, targets = torch.randn(4, 5), torch.randint(0, 2, (4, 5)).float()
        criterion = method.recipe(method.load_method("ml_gcn"), "coco").criterion
        torch.testing.assert_close(criterion(logits, targets), nn.MultiLabelSoftMarginLoss()(logits, targets))

    def test_on_srns_terms_the_graph_stays(self):
        config = method.recipe(method.load_method("ml_gcn"), "coco", {"terms": "equal"})
        assert (config.input_size, config.lr, config.new_layers_lr, config.clip_norm) == (224, 1e-3, 1.0, 0.0)
        assert (config.reduction, config.max_distort, config.epochs) == ("sum", None, 30)
        assert (config.hidden, config.edge_threshold, config.neighbour_weight) == (1024, 0.4, 0.2)

    def test_vocs_labels_of_two_words_are_spelled(self):
        for card in ("voc2007", "voc2012", "voc2007-bus-car-cat-train"):
            assert "tvmonitor=tv monitor" in method.recipe(method.load_method("ml_gcn"), card).words

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"neighbour_weight": "1"}, "neighbour_weight"),
            ({"edge_threshold": "0"}, "edge_threshold"),
            ({"hidden": "0"}, "hidden"),
        ],
    )
    def test_values_that_make_no_graph_are_refused(self, change: dict[str, str], message: str):
        with pytest.raises(InputError, match=message):
            method.recipe(method.load_method("ml_gcn"), "coco", change)


def test_a_training_step_moves_every_part_of_the_graph_but_the_counts():
    model, images = small(), torch.randn(4, 3, 64, 64)
    targets = torch.randint(0, 2, (4, 5)).float()
    loss: Tensor = ml_gcn.stages(small_recipe("ml_gcn"))[0].loss(model, images, targets)[0]
    loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.classifier.named_parameters()}
    assert set(gradients) == {"weight", "first.weight", "words.weight"}
    assert all(gradient is not None and gradient.abs().max() > 0 for gradient in gradients.values())
    assert resnet101_gmp.Config().reduction == "mean"
