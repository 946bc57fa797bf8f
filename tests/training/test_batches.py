"""Batches: an image's augmentation depends on seed, stage, epoch and image alone; crops are like OpenCV's."""

import doctest
import hashlib
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from torchvision.transforms import functional as adjust

from bench.base.errors import InputError
from bench.data.store import Store
from bench.training import batches, method
from bench.training.batches import InputTransform, crop, draw, jitter
from bench.training.stages import Augmentation, Stage
from tests.conftest import small_recipe

PAPER = Augmentation()
PIXELS = InputTransform(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), device=torch.device("cpu"))


@pytest.fixture
def stage() -> Stage:
    (only,) = method.load_method("resnet101").stages(small_recipe("resnet101"))
    return only


def epoch(store: Store, stage: Stage, *, first: int = 0, **changes: Any) -> list[batches.Batch]:
    given = {"stage": stage, "seed": 0, "epoch": 1} | changes
    chosen = batches.plan(store.fitted, **given)[first:]
    return list(batches.training(store.train, chosen, pixels=PIXELS, **given))


def test_whole_batches_of_fitted_images_in_an_order_of_their_own(store: Store, stage: Stage):
    epoch_batches = epoch(store, stage)
    assert len(epoch_batches) == len(store.fitted) // 32
    assert all(batch.images_BCHW.shape == (32, 3, 64, 64) for batch in epoch_batches)
    order = batches.shuffled(store.fitted, seed=0, stage="main", epoch=1)
    assert sorted(order) == store.fitted.tolist()
    expected = (store.train.labels_NC[order[:32]] == 1).astype(np.float32)
    assert epoch_batches[0].labels_BC.numpy().tolist() == expected.tolist()


def test_images_are_normalised_by_the_trunks_mean_and_deviation(store: Store, stage: Stage):
    order = batches.shuffled(store.fitted, seed=0, stage="main", epoch=1)
    pixels = torch.from_numpy(store.train.images(order[:32]).copy()).double() / 255
    expected = (pixels - torch.tensor(PIXELS.mean)) / torch.tensor(PIXELS.std)
    torch.testing.assert_close(
        epoch(store, stage)[0].images_BCHW.permute(0, 2, 3, 1).double(), expected, atol=1e-6, rtol=0
    )


def test_an_epoch_taken_up_in_the_middle_goes_on_with_the_same_batches(store: Store, stage: Stage):
    cropped = replace(stage, augmentation=PAPER)
    whole, rest = epoch(store, cropped), epoch(store, cropped, first=2)
    assert len(rest) == len(whole) - 2
    for batch, resumed in zip(whole[2:], rest, strict=True):
        assert torch.equal(batch.images_BCHW, resumed.images_BCHW)


def test_seed_stage_and_epoch_each_change_the_order_and_global_random_state_does_not():
    given: dict[str, Any] = {"seed": 0, "stage": "main", "epoch": 1}
    first = batches.shuffled(np.arange(50), **given)
    for change in ({"seed": 1}, {"stage": "joint"}, {"epoch": 2}):
        assert not np.array_equal(first, batches.shuffled(np.arange(50), **{**given, **change}))
    np.random.seed(3)  # noqa: NPY002 (the global state is the point)
    torch.manual_seed(3)
    assert np.array_equal(first, batches.shuffled(np.arange(50), **given))


def test_reading_ahead_raises_the_readers_error_where_the_batch_is_used(store: Store):
    beyond = [np.array([0]), np.array([10**6])]
    with pytest.raises(IndexError):
        list(batches.read_ahead(store.train, beyond, torch.device("cpu")))


class TestDraws:
    def boxes(self, augmentation: Augmentation = PAPER, n: int = 20_000) -> NDArray[np.float32]:
        return draw(n, augmentation, seed=0, stage="main", epoch=1).boxes_N4

    def test_all_25_size_pairs_at_five_places_are_equally_frequent(self):
        boxes = self.boxes()
        pairs, counts = np.unique(boxes[:, 2:], axis=0, return_counts=True)
        assert len(pairs) == 25
        assert counts.min() > 650  # 800 expected, standard deviation 28
        for left, top, width, height in np.unique(boxes, axis=0):
            assert (left, top) in {(x, y) for x in (0, 256 - width) for y in (0, 256 - height)} | {
                ((256 - width) // 2, (256 - height) // 2)
            }

    def test_max_distort_keeps_neighbouring_sizes_only(self):
        boxes = self.boxes(replace(PAPER, max_distort=1))
        places = {size: position for position, size in enumerate(PAPER.crops)}
        assert len(np.unique(boxes[:, 2:], axis=0)) == 13
        assert all(abs(places[width] - places[height]) <= 1 for width, height in boxes[:, 2:])

    def test_more_places_are_the_middles_of_the_sides_and_halfway_to_the_corners(self):
        boxes = self.boxes(Augmentation(crops=(128,), more_places=True))
        places, counts = np.unique(boxes[:, :2], axis=0, return_counts=True)
        even, quarters = {(x, y) for x in (0, 64, 128) for y in (0, 64, 128)}, (32, 96)
        assert set(map(tuple, places)) == even | {(x, y) for x in quarters for y in quarters}
        assert counts.min() > 1400  # 20,000 / 13 = 1,538 expected, standard deviation 38

    def test_the_draws_of_the_five_places_are_those_of_earlier_versions(self):
        digest = hashlib.sha256(self.boxes(n=1000).tobytes()).hexdigest()
        assert digest.startswith("b05a264a0a7ae103")

    def test_half_of_the_images_are_mirrored_and_none_where_mirroring_is_off(self):
        assert 0.48 < draw(20_000, PAPER, seed=0, stage="main", epoch=1).mirrored_N.mean() < 0.52
        off = replace(PAPER, mirror=False)
        assert not draw(1000, off, seed=0, stage="main", epoch=1).mirrored_N.any()

    def test_an_images_draw_does_not_depend_on_how_many_images_follow(self):
        coloured = replace(PAPER, jitter=0.3)
        few, many = (draw(n, coloured, seed=0, stage="main", epoch=1) for n in (100, 1000))
        for few_rows, many_rows in zip(vars(few).values(), vars(many).values(), strict=True):
            assert np.array_equal(few_rows, many_rows[:100])

    def test_jitters_factors_are_uniform_around_one_and_leave_the_crops_as_they_were(self):
        plain, coloured = (
            draw(20_000, replace(PAPER, jitter=share), seed=0, stage="main", epoch=1) for share in (0, 0.3)
        )
        assert (plain.factors_N3 == 1).all()
        assert np.array_equal(plain.boxes_N4, coloured.boxes_N4)
        assert np.array_equal(plain.mirrored_N, coloured.mirrored_N)
        for factors in coloured.factors_N3.T:
            counts, _ = np.histogram(factors, bins=6, range=(0.7, 1.3))
            assert counts.sum() == 20_000
            assert counts.min() > 3100  # 3333 expected, standard deviation 53
        assert np.abs(np.corrcoef(coloured.factors_N3.T) - np.eye(3)).max() < 0.03

    @pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
    def test_a_jitter_that_is_no_share_is_refused(self, share: float):
        with pytest.raises(InputError, match=f"jitter={share}: give a number from 0 to 1"):
            replace(PAPER, jitter=share)


def opencv_bilinear(patch_HW: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """cv2.resize(patch, (size, size), interpolation=INTER_LINEAR), one pixel after the other."""
    height, width = patch_HW.shape
    out = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            y = min(max((i + 0.5) * height / size - 0.5, 0), height - 1)
            x = min(max((j + 0.5) * width / size - 0.5, 0), width - 1)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            top = patch_HW[y0, x0] * (x0 + 1 - x) + patch_HW[y0, x1] * (x - x0)
            bottom = patch_HW[y1, x0] * (x0 + 1 - x) + patch_HW[y1, x1] * (x - x0)
            out[i, j] = top * (y0 + 1 - y) + bottom * (y - y0)
    return out


@pytest.mark.parametrize("box", [(0, 0, 32, 32), (3, 5, 21, 16), (16, 0, 16, 28), (0, 16, 24, 16)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_crop_is_opencvs_bilinear_resize_of_the_box_alone(box: tuple[int, ...], mirrored: bool):
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 1, 32, 32))).float()
    left, top, width, height = box
    patch = image[0, 0, top : top + height, left : left + width].double().numpy()
    expected = opencv_bilinear(patch, 28)
    expected = expected[:, ::-1] if mirrored else expected
    cropped = crop(image, torch.tensor([box]).float(), torch.tensor([mirrored]), 28)[0, 0].double().numpy()
    assert np.abs(cropped - expected).max() < 1e-2  # grey levels; 1 is what would be seen


def test_cropping_to_the_whole_image_at_its_own_size_changes_nothing():
    image = torch.rand(2, 3, 16, 16)
    whole = torch.tensor([[0.0, 0, 16, 16]] * 2)
    torch.testing.assert_close(
        crop(image, whole, torch.zeros(2, dtype=torch.bool), 16), image, atol=1e-5, rtol=0
    )


def test_a_crop_equals_torchs_interpolation_of_the_patch():
    images = torch.rand(3, 3, 20, 20)
    box = torch.tensor([[4.0, 2, 10, 12]] * 3)
    expected = F.interpolate(images[:, :, 2:14, 4:14], size=(15, 15), mode="bilinear", antialias=False)
    torch.testing.assert_close(
        crop(images, box, torch.zeros(3, dtype=torch.bool), 15), expected, atol=1e-5, rtol=0
    )


def test_crops_are_channels_last_as_the_trunk_wants_them():
    image = torch.rand(2, 16, 16, 3).permute(0, 3, 1, 2)
    cropped = crop(image, torch.tensor([[0.0, 0, 8, 8]] * 2), torch.zeros(2, dtype=torch.bool), 12)
    assert cropped.is_contiguous(memory_format=torch.channels_last)


class TestJitter:
    def test_it_is_torchvisions_brightness_contrast_and_saturation(self):
        images = torch.rand(8, 3, 12, 12).round(decimals=2) * 255
        factors = torch.rand(8, 3) * 2
        all_jittered = jitter(images, factors)
        for image, (brightness, contrast, saturation), jittered in zip(
            images, factors, all_jittered, strict=True
        ):
            expected = adjust.adjust_brightness(image / 255, float(brightness))
            expected = adjust.adjust_contrast(expected, float(contrast))
            expected = adjust.adjust_saturation(expected, float(saturation))
            torch.testing.assert_close(jittered / 255, expected, atol=1e-5, rtol=0)

    def test_an_image_does_not_depend_on_the_others_of_its_batch(self):
        images, factors = torch.rand(4, 3, 8, 8) * 255, torch.rand(4, 3) * 2
        assert torch.equal(jitter(images, factors)[2:3], jitter(images[2:3], factors[2:3]))

    def test_each_image_of_an_epoch_is_changed_by_its_own_factors(self, store: Store, stage: Stage):
        """After the crop, before the trunk's normalisation."""
        augmentation = replace(PAPER, jitter=0.4)
        (first, *_), (plain, *_) = (
            epoch(store, replace(stage, augmentation=one))
            for one in (augmentation, replace(augmentation, jitter=0))
        )
        chosen = batches.shuffled(store.fitted, seed=0, stage="main", epoch=1)[:32]
        draws = draw(len(store.train), augmentation, seed=0, stage="main", epoch=1)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (PIXELS.mean, PIXELS.std))
        expected = jitter((plain.images_BCHW * std + mean) * 255, torch.from_numpy(draws.factors_N3[chosen]))
        torch.testing.assert_close(first.images_BCHW, (expected / 255 - mean) / std, atol=1e-5, rtol=0)
        assert (first.images_BCHW - plain.images_BCHW).abs().amax(dim=(1, 2, 3)).min() > 0.01

    def test_without_it_the_pixels_are_those_of_the_crop_bit_by_bit(self, store: Store, stage: Stage):
        chosen = batches.shuffled(store.fitted, seed=0, stage="main", epoch=1)[:32]
        draws = draw(len(store.train), PAPER, seed=0, stage="main", epoch=1)
        boxes, mirrored, _ = map(torch.from_numpy, draws.of(chosen))
        images = torch.from_numpy(store.train.images(chosen).copy()).permute(0, 3, 1, 2).float()
        expected = PIXELS.normalise(crop(images, boxes * (64 / 256), mirrored, 64))
        assert torch.equal(epoch(store, replace(stage, augmentation=PAPER))[0].images_BCHW, expected)

    def test_it_leaves_the_layout_that_the_trunk_wants(self):
        images = torch.rand(2, 8, 8, 3).permute(0, 3, 1, 2)
        assert jitter(images, torch.ones(2, 3)).is_contiguous(memory_format=torch.channels_last)


def test_numbers_are_put_on_the_device_once():
    assert PIXELS._constants[0] is PIXELS._constants[0]
    assert batches._steps(7, PIXELS.device) is batches._steps(7, PIXELS.device)


def test_the_doctests_hold():
    assert doctest.testmod(batches).failed == 0


def test_neighbouring_batches_share_no_image(store: Store, stage: Stage):
    seen = [{image.numpy().tobytes() for image in batch.images_BCHW} for batch in epoch(store, stage)]
    assert all(not images & next_images for images, next_images in pairwise(seen))
