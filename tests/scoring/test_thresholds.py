"""Thresholds fitted on held-out images: the best, amid a gap, none for a rare label."""

import math

import numpy as np
import pytest
from sklearn.metrics import f1_score

from bench.base.protocol import Evaluation
from bench.scoring import thresholds
from bench.scoring.metrics import evaluate
from bench.scoring.profiles import PROFILES, describe, get_profile, is_comparable


def sample(images=60, labels=4, *, seed=0):
    rng = np.random.default_rng(seed)
    truth = (rng.random((images, labels)) < 0.4).astype(np.int8)
    return (rng.normal(size=(images, labels)) + truth - 1).round(1), truth


def test_no_other_threshold_has_a_higher_f1_on_the_images_of_the_fit():
    for seed in range(20):
        logits, labels = sample(seed=seed)
        for c, threshold in enumerate(thresholds.fit_thresholds(logits, labels)):
            tried = [-99, *(np.unique(logits[:, c]) + 0.05)]
            best = max(f1_score(labels[:, c], logits[:, c] >= value, zero_division=0) for value in tried)
            assert f1_score(labels[:, c], logits[:, c] >= threshold) == pytest.approx(best)
            assert threshold not in logits[:, c]  # so that ">" and ">=" decide alike


def test_it_lies_in_the_middle_of_the_gap_and_equal_ones_predict_least():
    """F1 is 1 anywhere between -1 and 3; below, both cuts after 4 and after 1 and 0 have 2/3."""
    found = thresholds.fit_thresholds([[5.0], [3.0], [-1.0]], [[1], [1], [0]], least=1)
    assert found.tolist() == [1.0]
    found = thresholds.fit_thresholds([[4.0], [2.0], [1.0], [0.0]], [[1], [0], [0], [1]], least=1)
    assert found.tolist() == [3.0]


def test_if_it_is_best_to_predict_all_the_threshold_is_below_all():
    found = thresholds.fit_thresholds([[2.0], [1.0], [0.0]], [[0], [1], [1]], least=1)
    assert found.tolist() == [-1.0]


def test_a_label_with_few_positives_or_negatives_keeps_the_profiles_threshold():
    logits = np.linspace(-3, 3, 30)[:, None].repeat(3, axis=1)
    labels = np.zeros((30, 3), dtype=np.int8)
    labels[-10:, 0] = labels[-9:, 1] = labels[9:, 2] = 1
    fitted = thresholds.fit_thresholds(logits, labels)
    assert np.isnan(fitted).tolist() == [False, True, True]
    rules = thresholds.with_thresholds(get_profile("mcar"), fitted)
    assert rules.thresholds[1:] == pytest.approx([math.log(0.6 / 0.4)] * 2)
    facts = thresholds.summary(fitted, ["a", "b", "c"], images=30)
    assert thresholds.unfitted(facts) == ["b", "c"]
    assert facts["logits"] == {"a": fitted[0], "b": None, "c": None}
    assert (facts["held_out_images"], facts["least"]) == (30, 10)


@pytest.mark.parametrize(("unspecified", "expected"), [(None, 2.5), ("negative", 2.5), ("excluded", 0.0)])
def test_unspecified_entries_count_as_for_f1(unspecified, expected):
    """Ten of them lie between ten positives and two more: they are false positives, or absent."""
    logits = np.repeat([3.0, 2.0, 1.0, -1.0], [10, 10, 2, 10])[:, None]
    labels = np.repeat([1, 0, 1, -1], [10, 10, 2, 10])[:, None]
    assert thresholds.fit_thresholds(logits, labels, unspecified=unspecified).tolist() == [expected]


@pytest.mark.parametrize("profile", [name for name, rules in PROFILES.items() if rules.positive])
def test_the_profiles_own_threshold_given_for_each_label_changes_nothing(profile):
    logits, labels = sample()
    rules = get_profile(profile)
    same = thresholds.with_thresholds(rules, [math.nan] * 4)
    for top3 in (None, "thresholded"):
        before, after = (evaluate(logits, labels, profile=one, top3=top3) for one in (rules, same))
        assert before.pop("AP").tolist() == after.pop("AP").tolist()
        assert repr(before) == repr(after)


def test_fitted_thresholds_decide_each_label_by_its_own():
    rules = thresholds.with_thresholds(get_profile("sklearn"), [1.0, -1.0])
    result = evaluate([[0.5, 0.5], [1.5, -1.5]], [[0, 1], [1, 0]], profile=rules)
    assert (result["F1-C"], result["F1-O"]) == (100, 100)
    assert not is_comparable(rules, get_profile("sklearn"), "F1-O")
    assert is_comparable(rules, get_profile("sklearn"), "mAP")
    assert "p by label" in describe(rules).replace("; ", " ")


@pytest.mark.parametrize("profile", ["voc2007", "q2l"])
def test_a_profile_without_a_threshold_stays_as_it_is(profile):
    rules = get_profile(profile)
    logits, labels = sample()
    assert thresholds.with_thresholds(rules, [0.0]) is rules
    assert thresholds.at_best_threshold(logits, labels, rules, Evaluation()) is rules
