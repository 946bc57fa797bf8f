"""The generated data set: deterministic scenes, correct labels, different glyphs for training and testing."""

import doctest
import hashlib
from dataclasses import replace

import numpy as np
import pytest

from bench.base.errors import InputError
from bench.data import cards
from bench.data.cards import Card, Split
from bench.data.formats import digit_scenes
from bench.data.formats.digit_scenes import Options


def options() -> Options:
    return Options(**cards.load_card("demo").options)


def test_the_doctests_hold():
    assert doctest.testmod(digit_scenes).failed == 0


def test_the_scenes_are_the_same_on_every_machine(small_card: Card):
    digest = hashlib.sha256()
    for sample in digit_scenes.read(replace(small_card, train=Split(20)), "train", None):
        digest.update(np.asarray(sample.image).tobytes() + sample.labels_C.tobytes())
    assert digest.hexdigest() == "61d0f9389663ee20ca3c737c9e84d35a6b41ac404dbbb4dce81d750af5280ab5"


def test_a_scene_does_not_depend_on_how_many_there_are(small_card: Card):
    few, many = (list(digit_scenes.read(replace(small_card, test=Split(n)), "test", None)) for n in (3, 6))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(few, many, strict=False))


def test_training_and_test_scenes_share_no_glyph():
    train, test = (digit_scenes._glyphs(options(), test=split) for split in (False, True))
    for digit in range(10):
        seen = {glyph.tobytes() for glyph in train[digit]}
        new = {glyph.tobytes() for glyph in test[digit]}
        assert len(new) > 20
        assert not seen & new


def test_scenes_have_three_to_eight_digits_that_never_overlap():
    motifs = [digit_scenes._motif(text) for text in options().motifs]
    for number in range(200):
        rng = digit_scenes._generator(0, "train", number)
        places = digit_scenes._places(rng, motifs, options())
        cells = [(row, column) for _, row, column in places]
        assert 3 <= len(places) <= 8
        assert len(set(cells)) == len(cells)
        assert all(0 <= row < 4 and 0 <= column < 4 for row, column in cells)


def test_without_noise_only_cells_with_a_digit_differ_from_the_background():
    plain = replace(options(), noise=0.0)
    rng = np.random.default_rng(0)
    scene = digit_scenes._draw(rng, [(4, 1, 2)], digit_scenes._glyphs(plain, test=False), plain)[:, :, 0]
    rows, columns = np.nonzero(scene != round(255 * plain.background))
    assert scene.shape == (64, 64)
    assert 0 < np.ptp(rows) < plain.cell
    assert 0 < np.ptp(columns) < plain.cell


def test_unknown_options_are_named(small_card: Card):
    wrong = replace(small_card, options={**small_card.options, "colour": "red"})
    with pytest.raises(InputError, match="colour"):
        next(digit_scenes.read(wrong, "train", None))


def test_boxes_are_where_digits_are_drawn(small_card: Card):
    """Without noise only pixels in boxes differ from the background, and some do in every box."""
    plain = replace(small_card, options={**small_card.options, "noise": 0.0}, test=Split(50))
    scenes = digit_scenes.read(plain, "test", None)
    background = round(255 * options().background)
    for sample, (name, boxes) in zip(scenes, digit_scenes.boxes(plain, "test", None), strict=True):
        outside = np.asarray(sample.image)[:, :, 0] != background
        for box in boxes:
            top, left, cell = (round(64 * share) for share in (box.top, box.left, box.width))
            assert outside[top : top + cell, left : left + cell].any()
        for box in boxes:
            top, left, cell = (round(64 * share) for share in (box.top, box.left, box.width))
            outside[top : top + cell, left : left + cell] = False
        assert not outside.any()
        assert name == sample.id
        assert {box.label for box in boxes} == set(np.flatnonzero(sample.labels_C))
