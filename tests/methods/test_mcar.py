"""MCAR against plain loops over images, labels and pixels that follow the paper's description."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from bench.base.errors import InputError
from bench.training import method, trunk
from bench.training.method import Labels
from bench.training.schedule import Plateau
from methods import mcar
from methods.mcar import Config, Model

Segment = tuple[int, int]  # start and length, in pixels
PAPER = Config()


def plain_segment(marginal: list[float], config: Config) -> Segment:
    """Min-max normalised, cut; between crossings the segment with the highest peak, of these the longest."""
    low, high, side = min(marginal), max(marginal), len(marginal)
    height = [(value - low) / (high - low) if high > low else 0.0 for value in marginal]
    segments, start = [], None
    for position in range(side + 1):
        inside = position < side and height[position] >= config.cut
        if inside and start is None:
            start = position
        if not inside and start is not None:
            segments.append((max(height[start:position]), position - start, -start))
            start = None
    if not segments or segments[0][1] == side:  # no crossing
        length = round(config.fallback * side)
        start = (side - length) // 2
    else:
        _, length, start = max(segments)
        start = -start
    least = math.ceil(config.smallest * side)
    if length < least:
        start = min(max(start - (least - length) // 2, 0), side - least)
        length = least
    return start, length


def plain_enlarged(map_hw: list[list[float]], side: int) -> list[list[float]]:
    """Bilinear, corners aligned."""
    high, wide = len(map_hw), len(map_hw[0])

    def at(i: int, j: int) -> float:
        y, x = i * (high - 1) / (side - 1), j * (wide - 1) / (side - 1)
        top, left = min(int(y), high - 2), min(int(x), wide - 2)
        down, right = y - top, x - left
        upper = (1 - right) * map_hw[top][left] + right * map_hw[top][left + 1]
        lower = (1 - right) * map_hw[top + 1][left] + right * map_hw[top + 1][left + 1]
        return (1 - down) * upper + down * lower

    return [[at(i, j) for j in range(side)] for i in range(side)]


def plain_box(map_hw: list[list[float]], side: int, config: Config) -> tuple[Segment, Segment]:
    """The segments across and down."""
    large = plain_enlarged(map_hw, side)
    across = [max(large[i][j] for i in range(side)) for j in range(side)]
    down = [max(large[i][j] for j in range(side)) for i in range(side)]
    return plain_segment(across, config), plain_segment(down, config)


def plain_crop(image_CHW: Tensor, box: tuple[Segment, Segment]) -> Tensor:
    (left, width), (top, height) = box
    patch = image_CHW[None, :, top : top + height, left : left + width]
    return F.interpolate(patch, size=image_CHW.shape[1:], mode="bilinear", align_corners=True)[0]


def kept(marginal: list[float], config: Config = PAPER) -> Segment:
    start, length = mcar.segments(torch.tensor(marginal, dtype=torch.float64), config)
    return int(start), int(length)


def small_model(**changes: Any) -> tuple[Model, Tensor]:
    """A model of random weights in evaluation mode, and images.

    The cut is no simple fraction: on a ramp of whole pixels none lies on it, for rounding to decide about.
    """
    config = replace(mcar.RECIPES["demo"], **{"cut": 0.4637, **changes})
    labels = Labels(tuple("abcdefg"), np.zeros((7, 7), dtype=np.int64))
    model = method.build(method.load_method("mcar"), config, labels, 0).eval()
    assert isinstance(model, Model)
    with torch.no_grad():
        model.classifier.weight *= 3  # maps that vary, as a trained classifier's
    return model, torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


class TestSegments:
    @pytest.mark.parametrize(
        ("marginal", "expected"),
        [
            pytest.param([0.3] * 16, (2, 12), id="flat: the middle three quarters"),
            pytest.param([0.3, 0.3 + 1e-12] * 8, (2, 12), id="flat but for rounding"),
            pytest.param([0.0] * 6 + [0.7, 0.9, 0.5, 0.8] + [0.0] * 6, (6, 4), id="between two crossings"),
            pytest.param(
                [position / 15 for position in range(16)], (8, 8), id="from a crossing to the border"
            ),
            pytest.param([1.0, 0.6, 0.55] + [0.1] * 13, (0, 3), id="from the border to a crossing"),
            pytest.param(
                [0.0] * 4 + [0.5, 1.0, 0.5] + [0.0] * 9, (4, 3), id="what reaches the cut is inside"
            ),
            pytest.param(
                [0.0, 0.8] + [0.9] * 6 + [0.0] * 5 + [1.0, 1.0, 0.0], (13, 2), id="the highest peak"
            ),
            pytest.param(
                [0.0, 1.0, 1.0, 0.0, 0.0, 0.6, 1.0, 0.6] + [0.0] * 8, (5, 3), id="a tie: the longer"
            ),
            pytest.param([0.0, 1.0, 1.0, 0.0, 1.0, 1.0] + [0.0] * 10, (1, 2), id="as long: the first"),
            pytest.param([0.0] * 7 + [1.0] + [0.0] * 8, (7, 2), id="too short: an eighth of the side"),
            pytest.param([1.0] + [0.0] * 15, (0, 2), id="too short at the left border"),
            pytest.param([0.0] * 15 + [1.0], (14, 2), id="too short at the right border"),
        ],
    )
    def test_the_one_that_is_kept(self, marginal: list[float], expected: Segment):
        assert kept(marginal) == expected == plain_segment([round(value, 9) for value in marginal], PAPER)

    @pytest.mark.parametrize("side", [15, 64])
    @pytest.mark.parametrize("levels", [2, 5, 10**6])
    @pytest.mark.parametrize(
        "config", [PAPER, replace(PAPER, cut=0.25, smallest=0.3), replace(PAPER, cut=1.0, fallback=0.5)]
    )
    def test_all_are_those_of_the_plain_loop(self, side: int, levels: int, config: Config):
        """Few levels make ties, plateaus and flat marginals."""
        rng = np.random.default_rng(side)
        marginals_BN2S = rng.integers(0, levels, (20, 5, 2, side)) / levels
        marginals_BN2S[:5] = np.sort(marginals_BN2S[:5])  # segments at the border
        starts_BN2, lengths_BN2 = mcar.segments(torch.from_numpy(marginals_BN2S), config)
        for index in np.ndindex(20, 5, 2):
            expected = plain_segment(marginals_BN2S[index].tolist(), config)
            assert (int(starts_BN2[index]), int(lengths_BN2[index])) == expected


class TestRegions:
    @pytest.mark.parametrize("side", [16, 33])
    def test_boxes_are_those_of_a_loop_over_images_labels_and_pixels(self, side: int):
        maps = torch.rand(6, 4, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(side))
        maps[0, 0] = 0.7  # flat
        maps[0, 1, :, 0] += 2  # at the left border
        maps[0, 2, 3] += 2  # at the bottom
        starts, lengths = mcar.find_boxes(maps, side, PAPER)
        for image in range(6):
            for region in range(4):
                box = [*zip(starts[image, region].tolist(), lengths[image, region].tolist(), strict=True)]
                assert box == [*plain_box(maps[image, region].tolist(), side, PAPER)]

    def test_crops_are_those_of_a_loop_over_images_and_boxes(self):
        images = torch.rand(3, 3, 32, 32)
        generator = torch.Generator().manual_seed(0)
        lengths = torch.randint(1, 33, (3, 5, 2), generator=generator)
        starts = (torch.rand(3, 5, 2, generator=generator) * (33 - lengths)).long()
        crops = mcar.cut_out(images, starts, lengths)
        assert crops.is_contiguous(memory_format=torch.channels_last)
        for image in range(3):
            for region in range(5):
                box = [*zip(starts[image, region].tolist(), lengths[image, region].tolist(), strict=True)]
                expected = plain_crop(images[image], (box[0], box[1]))
                torch.testing.assert_close(crops[image * 5 + region], expected, atol=1e-4, rtol=0)

    @pytest.mark.parametrize("side", [224, 256, 448, 576])
    def test_neither_a_shape_nor_a_step_depends_on_what_the_tensors_hold(self, side: int):
        """Tensors without data: whatever asked the device for a value would fail."""
        with torch.device("meta"):
            labels = Labels(tuple("abcde"), np.zeros((5, 5), dtype=np.int64))
            model = Model(
                Config(input_size=side), labels, trunk.load_trunk("resnet10_narrow", from_scratch=True)
            )
            images = torch.empty(2, 3, side, side)
            features = model.trunk.features(images)
            crops = model.regions(images, features, model.pooled_logits(features))
            assert crops.shape == (8, 3, side, side)
            assert mcar.loss(model, images, torch.empty(2, 5))[0].shape == ()


class TestStreams:
    @pytest.mark.parametrize(
        "changes", [{}, {"regions": 2, "pooling": "gwp", "cut": 0.7631}, {"regions": 30}]
    )
    def test_both_are_those_of_a_loop_over_images_and_labels(self, changes: dict[str, Any]):
        model, images = small_model(**changes)
        with torch.no_grad():
            streams = model.streams(images)
            for number, image in enumerate(images):
                features = model.trunk.features(image[None])
                whole = model.pooled_logits(features)[0]
                regions = []
                for label in sorted(range(7), key=lambda c: -float(whole[c]))[: model.config.regions]:
                    weight, bias = model.classifier.weight[label], model.classifier.bias[label]
                    scores = 1 / (1 + torch.exp(-torch.einsum("d,dij->ij", weight, features[0]) - bias))
                    box = plain_box(scores.tolist(), 64, model.config)
                    crop = plain_crop(image, box)
                    regions.append(model.pooled_logits(model.trunk.features(crop[None]))[0])
                local = torch.stack(regions).amax(dim=0)
                torch.testing.assert_close(streams[0][number], whole, atol=1e-3, rtol=1e-4)
                torch.testing.assert_close(streams[1][number], local, atol=1e-3, rtol=1e-4)

    def test_the_prediction_is_the_higher_probability_of_both(self):
        model, images = small_model()
        with torch.no_grad():
            one, other = model.streams(images)
            expected = torch.maximum(one.sigmoid(), other.sigmoid())
            torch.testing.assert_close(model.logits(images).sigmoid(), expected)
            _, logits_BC = mcar.loss(model, images, torch.zeros(len(images), 7))
            assert torch.equal(logits_BC, model.logits(images))

    @pytest.mark.parametrize(("reduction", "divisor"), [("mean", 3 * 7), ("sum", 3)])
    def test_the_loss_adds_both_streams_cross_entropies(self, reduction: str, divisor: int):
        model, images = small_model(reduction=reduction)
        labels = torch.randint(0, 2, (3, 7)).float()
        with torch.no_grad():
            loss, _ = mcar.loss(model, images, labels)
            expected = 0.0
            for stream in model.streams(images):
                for logit, label in zip(stream.flatten().tolist(), labels.flatten().tolist(), strict=True):
                    expected += math.log(1 + math.exp(-logit if label else logit)) / divisor
        assert float(loss) == pytest.approx(expected, rel=1e-4)

    def test_no_gradient_passes_through_the_crops(self):
        model, images = small_model()
        images.requires_grad_()
        features = model.trunk.features(images)
        assert not model.regions(images, features, model.pooled_logits(features)).requires_grad

    @pytest.mark.parametrize("pooling", ["avg", "max", "gwp"])
    def test_pooling_is_the_mean_the_maximum_or_their_mean(self, pooling: str):
        model, _ = small_model(pooling=pooling)
        features = torch.randn(2, 128, 3, 3)
        mean, highest = features.flatten(2).mean(dim=2), features.flatten(2).max(dim=2).values
        pooled = {"avg": mean, "max": highest, "gwp": (mean + highest) / 2}[pooling]
        assert model.classifier.bias is not None
        expected = pooled @ model.classifier.weight.T + model.classifier.bias
        torch.testing.assert_close(model.pooled_logits(features), expected, atol=1e-4, rtol=1e-4)

    def test_it_has_the_parameters_of_resnet101(self):
        labels = Labels(tuple(map(str, range(80))), np.zeros((80, 80), dtype=np.int64))
        with torch.device("meta"):
            model = Model(Config(), labels, trunk.load_trunk("resnet101", from_scratch=True))
        assert sum(parameter.numel() for parameter in model.parameters()) == 42_664_080


class TestRecipes:
    @pytest.mark.parametrize("card", ["voc2007", "voc2012", "coco", "nuswide", "wider"])
    def test_the_papers_is_used_on_photographs(self, card: str):
        config = method.recipe(method.load_method("mcar"), card)
        assert config == PAPER
        assert config.pooling == "gwp"
        (stage,) = mcar.stages(config)
        assert (stage.input_size, stage.batch_size, stage.weight_decay, stage.epochs) == (448, 16, 1e-4, 60)
        augmentation = stage.augmentation
        assert (augmentation.crops, augmentation.mirror, augmentation.jitter) == ((), True, 0.3)

    def test_the_papers_rates_fall_after_epochs_30_and_50_whatever_the_loss(self):
        (stage,) = mcar.stages(PAPER)
        plateau, rates = Plateau(stage.schedule.lr), []
        for epoch in range(1, 61):
            rates.append([plateau.lr * stage.trains[part] for part in ("trunk", "classifier")])
            assert plateau.step(stage.schedule, epoch=epoch, loss=1.0)
        expected = [[0.001, 0.01]] * 30 + [[1e-4, 1e-3]] * 20 + [[1e-5, 1e-4]] * 10
        np.testing.assert_allclose(rates, expected, rtol=1e-12)

    def test_on_equal_terms_the_loss_is_summed_as_srns_and_the_regions_stay(self):
        changes: dict[str, str | bool] = {"terms": "equal", "regions": "2"}
        config = method.recipe(method.load_method("mcar"), "coco", changes)
        assert (config.reduction, config.regions, config.jitter, config.input_size) == ("sum", 2, 0.0, 224)
        assert config.crops == (256, 224, 192, 168, 128)

    def test_the_demo_pools_as_the_network_does_that_it_starts_from(self):
        demo = mcar.RECIPES["demo"]
        assert (demo.start, demo.pooling) == ("resnet101", "avg")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"regions": "0"}, "regions=0: give a whole number from 1 to 1000"),
            ({"cut": "0"}, "cut=0.0: give a number above 0, at most 1"),
            ({"smallest": "1.5"}, "smallest=1.5: give a number"),
            ({"fallback": "nan"}, "fallback=nan: give a number"),
            ({"pooling": "mean"}, "pooling=mean: choose from: avg, max, gwp"),
        ],
    )
    def test_a_value_that_cannot_be_is_named(self, change: dict[str, str | bool], message: str):
        with pytest.raises(InputError, match=message):
            method.recipe(method.load_method("mcar"), "demo", change)
