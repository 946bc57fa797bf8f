"""Drawn attention maps: each position is one square, brightest where attention is highest."""

import numpy as np

from bench.deploy import attention_maps


def test_positions_are_enlarged_as_squares_and_the_brightest_is_the_highest():
    shares_HW = np.array([[0.0, 0.5], [0.0, 1.0]], np.float32)
    drawn = attention_maps.overlay(np.zeros((64, 64, 3), np.uint8), shares_HW)
    assert drawn.shape == (256, 256, 3)
    squares = drawn.reshape(2, 128, 2, 128, 3).transpose(0, 2, 1, 3, 4)
    assert (squares == squares[:, :, :1, :1]).all()
    light_HW = squares[:, :, 0, 0].astype(int).sum(axis=-1)
    assert light_HW[1, 1] > light_HW[0, 1] > light_HW[0, 0] == light_HW[1, 0]


def test_the_image_shines_through():
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2] = 200
    drawn = attention_maps.overlay(image, np.zeros((2, 2), np.float32)).astype(int)
    assert (drawn[:128] - drawn[128:] == round(200 * (1 - attention_maps.OPACITY))).all()
