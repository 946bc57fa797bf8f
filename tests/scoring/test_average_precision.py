"""Average precision: each area and treatment of ties against plain loops; the sort against numpy's."""

import doctest
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.scoring import average_precision as module
from bench.scoring.average_precision import average_precision, descending
from tests import plain_metrics as plain

# few different scores: most of them are tied
classes = st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=1, max_size=30)

LOGITS, LABELS = np.array(plain.LOGITS), np.array(plain.LABELS)


@pytest.mark.parametrize(
    ("area", "ties", "plainly"),
    [
        ("at positives", "file order", plain.ap_at_positives),
        ("at positives", "grouped", plain.ap_grouped),
        ("envelope", "file order", plain.ap_envelope),
        ("11 points", "file order", plain.ap_eleven),
    ],
)
@given(examples=classes)
def test_area_is_that_of_plain_loops(area, ties, plainly, examples):
    scores, truth = [score for score, _ in examples], [int(yes) for _, yes in examples]
    ap = average_precision(scores, truth, area=area, ties=ties)
    assert ap == pytest.approx(plainly(scores, truth), abs=1e-12) if any(truth) else math.isnan(ap)


@pytest.mark.parametrize(
    ("area", "ties", "expected"),
    [
        ("envelope", "file order", [0.722222, 0.75, 0.333333, 1]),
        ("at positives", "file order", [0.722222, 0.638889, 0.291667, 1]),
        ("at positives", "grouped", [0.722222, 0.638889, 0.291667, 1]),
    ],
)
def test_ap_of_the_contract(area, ties, expected):
    ap = [
        average_precision(scores, truth, area=area, ties=ties)
        for scores, truth in zip(LOGITS.T, LABELS.T, strict=True)
    ]
    assert ap == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize("area", ["envelope", "at positives", "11 points"])
@pytest.mark.parametrize("increasing", [np.exp2, lambda scores: scores**3 + scores])
@given(scores=hnp.arrays(np.int64, st.integers(1, 20), elements=st.integers(-20, 20)), data=st.data())
def test_strictly_increasing_transforms_of_the_scores_change_nothing(area, increasing, scores, data):
    truth = data.draw(hnp.arrays(bool, scores.shape))
    ap = average_precision(scores, truth, area=area)
    assert average_precision(increasing(scores), truth, area=area) == pytest.approx(ap, abs=0, nan_ok=True)


def test_eleven_points_takes_the_levels_of_the_development_kit():
    """3 * 0.1 is a little more than 3 / 10, so three of ten positives do not reach the level 0.3."""
    truth = [1, 1, 1] + [0] * 7 + [1] * 7
    after_three = 10 / 17  # the best precision from the fourth positive on
    ap = average_precision(np.arange(17)[::-1], truth, area="11 points")
    assert ap == pytest.approx((3 * 1 + 8 * after_three) / 11)


def test_a_class_without_positives_has_no_ap():
    assert math.isnan(average_precision([0.3, 0.2], [0, 0]))


def test_vectors_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"scores have shape \(2,\), truth \(3,\); give two equal vectors"):
        average_precision([0.3, 0.2], [0, 0, 1])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@given(data=st.data())
def test_descending_is_the_stable_sort_for_every_finite_float(dtype, data):
    width = 8 * np.dtype(dtype).itemsize
    finite = st.floats(allow_nan=False, allow_infinity=False, width=width)
    some = [0.0, -0.0, *data.draw(st.lists(finite, max_size=4))]
    scores = np.array(data.draw(st.lists(st.sampled_from(some), max_size=30)), dtype=dtype)
    before = scores.tobytes()
    assert descending(scores).tolist() == np.argsort(-scores, kind="stable").tolist()
    assert scores.tobytes() == before


@pytest.mark.parametrize(
    ("dtype", "digit"), [(d, i) for d in "efd" for i in range(np.dtype(d).itemsize // 2)]
)
def test_descending_tells_floats_apart_that_differ_in_one_digit_of_16_bits(dtype, digit):
    one = np.array(1, dtype=dtype)
    steps = np.random.default_rng(0).permutation(8).astype(f"u{one.itemsize}")
    scores = (one.view(steps.dtype) + (steps << (16 * digit))).view(dtype)
    assert len(set(scores.tolist())) == 8
    assert descending(scores).tolist() == np.argsort(-scores).tolist()


def test_examples_of_the_docstrings():
    results = doctest.testmod(module)
    assert results.attempted >= 4
    assert not results.failed
