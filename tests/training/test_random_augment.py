"""Random resized crops, cutout and RandAugment against torchvision's own, and their draws."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.transforms import InterpolationMode, autoaugment

from bench.base.errors import InputError
from bench.data.store import Store
from bench.training import batches, method, random_augment
from bench.training.random_augment import OPERATIONS, apply_operations, cut_out
from bench.training.stages import Augmentation
from tests.conftest import small_recipe
from tests.training.test_batches import PIXELS

NAMES = (
    *("Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color"),
    *("Contrast", "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize"),
)
ALL = Augmentation(crops=(), scale=(0.3, 0.9), cutout=0.5, randaugment=2)
GENERATOR = partial(batches._generator, 0, "main", 1)


def boxes(augmentation: Augmentation, n: int = 5000) -> NDArray[np.float32]:
    return batches.draw(n, augmentation, seed=0, stage="main", epoch=1).boxes_N4


class TestResizedCrops:
    def test_area_and_shape_are_in_their_ranges_and_boxes_lie_everywhere_inside(self):
        left, top, width, height = boxes(ALL).T
        shares = width * height / 256**2
        assert 0.295 < shares.min() < 0.31
        assert 0.88 < shares.max() < 0.905
        assert 0.74 < (width / height).min() < 0.77
        assert 1.30 < (width / height).max() < 1.35
        assert abs(float(np.log(width / height).mean())) < 0.02
        for start, extent in ((left, width), (top, height)):
            assert (start >= 0).all()
            assert (start + extent <= 256).all()
            assert {0.0, *(256 - extent[start > 0]).tolist()} & set(start.tolist())
            assert (start + extent == 256).any()

    def test_where_no_draw_fits_it_is_the_largest_box_in_the_middle(self):
        wide = replace(ALL, scale=(1.0, 1.0), ratio=(4.0, 4.0))
        assert np.unique(boxes(wide, 10), axis=0).tolist() == [[0, 96, 256, 64]]

    def test_the_whole_image_is_a_possible_box(self):
        assert np.unique(boxes(replace(ALL, scale=(1, 1), ratio=(1, 1)), 10), axis=0).tolist() == [
            [0, 0, 256, 256]
        ]

    @pytest.mark.parametrize("pair", [(0.5,), (0.9, 0.3)])
    def test_what_is_no_range_is_refused(self, pair: Any):
        with pytest.raises(InputError, match="scale=.*: give the lowest and the highest, as in scale=0.7,1"):
            small_recipe("resnet101", scale=pair).augmentation  # noqa: B018 (it raises)
        with pytest.raises(InputError, match="ratio=.*: give the lowest and the highest"):
            Augmentation(ratio=pair)


@pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)
@pytest.mark.parametrize("magnitude", [9, 30])
def test_every_operation_is_torchvisions(number: int, magnitude: int):
    random = torch.Generator().manual_seed(number)
    images = torch.randint(20, 200, (4, 3, 32, 32), generator=random, dtype=torch.uint8)
    images[:, :, 8:20, 8:20] //= 2
    negative = np.array([[True], [False], [True], [False]])
    changed = apply_operations(images.float(), np.full((4, 1), number), negative, magnitude)
    space = autoaugment.RandAugment()._augmentation_space(31, (32, 32))
    magnitudes, signed = space[NAMES[number]]
    value = float(magnitudes[magnitude]) if magnitudes.ndim else 0.0
    for image, result, is_negative in zip(images, changed, negative[:, 0], strict=True):
        own = -value if signed and is_negative else value
        expected = autoaugment._apply_op(image, NAMES[number], own, InterpolationMode.NEAREST, None)
        assert (result - expected).abs().max() <= 1  # the older functions round other colours down


def test_a_square_of_one_colour_is_cut_out_where_it_lies_inside():
    images = torch.full((2, 3, 8, 8), 7.0)
    centres, colours = torch.tensor([[0.5, 0.25], [1.0, 1.0]]), torch.tensor([[1.0, 2, 3], [4, 5, 6]])
    cut = cut_out(images, centres, colours, 0.5)
    expected = images.clone()
    expected[0, :, 0:4, 2:6] = colours[0].view(3, 1, 1)
    expected[1, :, 6:, 6:] = colours[1].view(3, 1, 1)
    assert torch.equal(cut, expected)


class TestDraws:
    def test_an_images_draw_does_not_depend_on_how_many_images_follow(self):
        few, many = (random_augment.draw_more(n, ALL, GENERATOR) for n in (100, 1000))
        for few_rows, many_rows in zip(vars(few).values(), vars(many).values(), strict=True):
            assert np.array_equal(few_rows, many_rows[:100])
        assert np.array_equal(boxes(ALL, 100), boxes(ALL, 1000)[:100])

    def test_all_operations_are_equally_frequent_in_both_directions(self):
        drawn = random_augment.draw_more(20_000, ALL, GENERATOR)
        counts = np.bincount((drawn.operations_NR * 2 + drawn.is_negative_NR).ravel())
        assert len(counts) == 2 * len(OPERATIONS) == 28
        assert counts.min() > 1250  # 1429 expected, standard deviation 37
        assert not np.array_equal(*drawn.operations_NR.T)

    def test_seed_stage_and_epoch_each_change_them(self):
        first = random_augment.draw_more(50, ALL, GENERATOR)
        for own in ((1, "main", 1), (0, "joint", 1), (0, "main", 2)):
            other = random_augment.draw_more(50, ALL, partial(batches._generator, *own))
            for one, another in zip(vars(first).values(), vars(other).values(), strict=True):
                assert not np.array_equal(one, another)


def test_an_image_does_not_depend_on_the_others_of_its_batch(store: Store):
    (stage,) = method.load_method("resnet101").stages(small_recipe("resnet101"))
    given: dict[str, Any] = {"stage": replace(stage, augmentation=ALL), "seed": 0, "epoch": 1}
    (whole,) = batches.training(store.train, [np.arange(32)], pixels=PIXELS, **given)
    parts = list(batches.training(store.train, [np.arange(10), np.arange(10, 32)], pixels=PIXELS, **given))
    assert torch.equal(torch.cat([part.images_BCHW for part in parts]), whole.images_BCHW)
    assert whole.images_BCHW.is_contiguous(memory_format=torch.channels_last)
