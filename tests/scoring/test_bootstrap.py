"""The bootstrap: each replicate scores like a file that holds each image as often as it was drawn."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.base.protocol import Evaluation
from bench.scoring import bootstrap, bootstrap_further, further
from bench.scoring.bootstrap import draw_weights, interval, resample, with_progress
from bench.scoring.metrics import COLUMNS, evaluate
from bench.scoring.profiles import PROFILES, get_profile

shapes = st.tuples(st.integers(1, 15), st.integers(3, 5))


def sample(images, classes, *, seed=0):
    rng = np.random.default_rng(seed)
    labels = (rng.random((images, classes)) < 0.3).astype(np.int8)
    return rng.normal(size=(images, classes)) + labels, labels


@pytest.mark.parametrize("profile", PROFILES)
@given(data=st.data())
def test_every_replicate_is_the_score_of_the_images_repeated(profile, data):
    """Ties, classes without positives, images drawn never and often; every choice of the arguments."""
    shape = data.draw(shapes)
    logits = data.draw(hnp.arrays(np.int8, shape, elements=st.integers(-9, 9))) / 4
    labels = data.draw(hnp.arrays(np.int8, shape, elements=st.sampled_from([-1, 0, 1])))
    weights = data.draw(hnp.arrays(np.uint8, (shape[0], 2), elements=st.integers(0, 4)))
    weights[0] = np.maximum(weights[0], 1)  # nobody draws no image at all
    protocol = Evaluation(
        top3=data.draw(st.sampled_from([None, "forced", "thresholded"])),
        unspecified=data.draw(st.sampled_from([None, "negative", "excluded"])),
    )
    found = resample(logits, labels, [weights], rules=get_profile(profile), protocol=protocol)
    for replicate, weight in enumerate(weights.T):
        repeated = (np.repeat(matrix, weight, axis=0) for matrix in (logits, labels))
        choices = {"top3": protocol.top3, "unspecified": protocol.unspecified}
        expected = evaluate(*repeated, profile=profile, **choices)
        assert found.AP_LC[replicate] == pytest.approx(expected["AP"], abs=1e-9, nan_ok=True)
        values = {("all", name): expected[name] for name in ("mAP", *COLUMNS)}
        values |= {("top3", name): value for name, value in expected.get("top3", {}).items()}
        for column, value in values.items():
            mine = found.values[column][replicate] if column in found.values else np.nan
            assert mine == pytest.approx(value, abs=1e-9, nan_ok=True), column


@pytest.mark.parametrize("profile", ["srn2017", "mlgcn", "q2l"])
@given(data=st.data())
def test_every_replicate_of_a_further_metric_is_that_of_the_images_repeated(profile, data):
    """Ties, labels without positives or negatives, unspecified entries; what is not defined is NaN."""
    shape = data.draw(shapes)
    logits = data.draw(hnp.arrays(np.int8, shape, elements=st.integers(-9, 9))) / 4
    labels = data.draw(hnp.arrays(np.int8, shape, elements=st.sampled_from([-1, 0, 1])))
    weights = data.draw(hnp.arrays(np.uint8, (shape[0], 2), elements=st.integers(0, 4)))
    weights[0] = np.maximum(weights[0], 1)
    protocol = Evaluation(unspecified=data.draw(st.sampled_from([None, "negative", "excluded"])))
    rules = get_profile(profile)
    found = bootstrap_further.resample(logits, labels, [weights], rules=rules, protocol=protocol)
    for replicate, weight in enumerate(weights.T):
        repeated = [np.repeat(matrix, weight, axis=0) for matrix in (logits, labels)]
        expected = further.general(*repeated, protocol) | further.of_decisions(*repeated, rules, protocol)
        mine = {name: values[replicate] for (_, name), values in found.items()}
        assert {name for name, value in mine.items() if not np.isnan(value)} == expected.keys()
        assert {name: mine[name] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_the_replicates_of_a_further_metric_do_not_depend_on_how_many_are_computed_together(monkeypatch):
    logits, labels = sample(30, 4)
    choices = {"rules": get_profile("srn2017"), "protocol": Evaluation()}
    whole = bootstrap_further.resample(logits, labels, draw_weights(30, 20), **choices)
    monkeypatch.setattr(bootstrap_further, "ENTRIES", 1)
    one_by_one = bootstrap_further.resample(logits, labels, draw_weights(30, 20), **choices)
    assert set(whole) == {("further", name) for name in (*further.GENERAL, *further.DECISIONS)} - {
        ("further", "P@5")
    }
    assert all((whole[column] == one_by_one[column]).all() for column in whole)


def test_a_replicate_draws_as_many_images_as_there_are():
    blocks = list(draw_weights(50, bootstrap.BLOCK + 3))
    assert [block.shape for block in blocks] == [(50, bootstrap.BLOCK), (50, 3)]
    assert all((block.sum(axis=0) == 50).all() for block in blocks)


def test_replicates_depend_on_seed_and_number_only():
    few, many = next(draw_weights(30, 2)), next(draw_weights(30, 5))
    assert (few == many[:, :2]).all()
    assert (few != next(draw_weights(30, 2, seed=1))).any()
    assert (many[:, 0] != many[:, 1]).any()


def test_an_interval_holds_95_of_100_replicates_and_ignores_those_without_a_value():
    low, high = interval(np.array([np.nan, *range(101)], dtype=float))
    assert (low, high) == (2.5, 97.5)
    ends = interval(np.array([[np.nan, 1.0], [np.nan, 1.0]]))
    assert np.array(ends) == pytest.approx(np.array([[np.nan, 1.0]] * 2), nan_ok=True)


def test_intervals_of_f1_cover_the_truth_about_as_often_as_they_say():
    """100 data sets of 300 images from one distribution, F1-O of 200,000 of its images as the truth."""
    rules, protocol = get_profile("srn2017"), Evaluation()
    truth = evaluate(*sample(200_000, 3, seed=1000))["F1-O"]
    covered = 0
    for seed in range(100):
        found = resample(
            *sample(300, 3, seed=seed), draw_weights(300, 64, seed=seed), rules=rules, protocol=protocol
        )
        low, high = interval(found.values["all", "F1-O"])
        covered += bool(low <= truth <= high)
    assert 85 <= covered <= 100


def test_a_bar_shows_on_a_terminal_and_nowhere_else(capsys, monkeypatch):
    assert len(list(with_progress(draw_weights(5, 20), "mine", 20))) == 2
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert len(list(with_progress(draw_weights(5, 20), "mine", 20))) == 2
    assert "mine" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["score", "compare"])
def test_scoring_commands_need_no_torch(module):
    code = f"import sys, bench.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
