"""Metrics of ranking, decisions and calibration: against scikit-learn and by hand; ties, empty labels."""

import math
import warnings

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from bench.base.errors import InputError
from bench.base.protocol import Evaluation
from bench.scoring import calibration, decisions, further, ranking
from bench.scoring.metrics import count_outcomes, evaluate, prediction_rule
from bench.scoring.profiles import PROFILES, get_profile

CASES = 60


def cases():
    """Random logits with many ties, of both float types, and labels of which some classes are empty."""
    rng = np.random.default_rng(0)
    for case in range(CASES):
        shape = rng.integers(2, 40), rng.integers(2, 9)
        logits = rng.normal(scale=2, size=shape).round(rng.integers(3))
        labels = (rng.random(shape) < rng.random(shape[1]) ** 2).astype(np.int8)
        yield logits.astype(np.float32 if case % 2 else np.float64), labels


def with_unspecified(logits, labels):
    """The same in WIDER's form, with three images and two labels more, of which nothing is specified."""
    rng = np.random.default_rng(1)
    rows, columns = (len(labels), 2), (3, labels.shape[1] + 2)
    signs = np.where(labels == 1, 1, -1)
    more_labels = np.r_[np.c_[signs, np.zeros(rows, dtype=int)], np.zeros(columns, dtype=int)]
    return np.r_[np.c_[logits, rng.normal(size=rows)], rng.normal(size=columns)], more_labels


@pytest.mark.parametrize("kind", ["macro", "micro"])
def test_auroc_is_that_of_scikit_learn(kind):
    for logits, labels in cases():
        both = (labels.min(0) == 0) & (labels.max(0) == 1)
        found = ranking.auroc(logits, labels)
        assert (np.isnan(found) == ~both).all()
        if kind == "macro" and both.any():
            expected = sk.roc_auc_score(labels[:, both], logits[:, both], average=None)
            assert found[both] == pytest.approx(expected, abs=1e-12)
        if kind == "micro" and labels.any() and not labels.all():
            expected = sk.roc_auc_score(labels.ravel(), logits.ravel())
            assert ranking.micro_auroc(logits, labels) == pytest.approx(expected, abs=1e-12)


def test_ranking_loss_and_coverage_are_those_of_scikit_learn():
    for logits, labels in cases():
        assert ranking.ranking_loss(logits, labels) == pytest.approx(
            sk.label_ranking_loss(labels, logits), abs=1e-12
        )
        assert ranking.coverage(logits, labels) == pytest.approx(sk.coverage_error(labels, logits), abs=1e-12)


def test_hamming_loss_exact_match_and_f_beta_are_those_of_scikit_learn():
    rules = get_profile("sklearn")
    is_predicted = prediction_rule(rules, None)
    for logits, labels in cases():
        said = logits >= 0
        assert decisions.hamming_loss(logits, labels, is_predicted) == pytest.approx(
            sk.hamming_loss(labels, said)
        )
        assert decisions.exact_match(logits, labels, is_predicted) == pytest.approx(
            sk.accuracy_score(labels, said)
        )
        counts = count_outcomes(logits, labels, is_predicted, excluded=False)
        for beta in (0.5, 1, 2):
            expected = [
                sk.fbeta_score(labels, said, beta=beta, average=average, zero_division=0)
                for average in ("macro", "micro")
            ]
            assert decisions.f_beta(counts, rules, beta=beta) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("profile", [name for name, rules in PROFILES.items() if rules.positive])
def test_f_beta_with_beta_1_is_the_profiles_f1(profile):
    rules = get_profile(profile)
    for logits, labels in cases():
        counts = count_outcomes(logits, labels, prediction_rule(rules, None), excluded=False)
        expected = evaluate(logits, labels, profile=profile)
        found = [min(100 * value, 100) for value in decisions.f_beta(counts, rules, beta=1)]
        assert found == pytest.approx([expected["F1-C"], expected["F1-O"]], abs=1e-9)


def test_ece_is_the_distance_from_scikit_learns_calibration_curve():
    for logits, labels in cases():
        p = 1 / (1 + np.exp(-logits.astype(np.float64)))
        found = calibration.calibration_errors(logits, labels, bins=7)
        for c, error in enumerate(found):
            true, said = calibration_curve(labels[:, c] == 1, p[:, c], n_bins=7)
            number = np.bincount(np.searchsorted(np.linspace(0, 1, 8)[1:-1], p[:, c]), minlength=7)
            expected = (number[number > 0] * abs(true - said)).sum() / len(p)
            assert error == pytest.approx(expected, abs=1e-12)


def test_ece_by_hand_over_two_bins():
    """p = 0.5 lies in the lower bin: |1/2 - 0.35| there and |1 - 0.9| above, of 2 and 1 of 3 images."""
    logits = np.log(np.array([[0.2], [0.5], [0.9]]) / np.array([[0.8], [0.5], [0.1]]))
    found = calibration.calibration_errors(logits, [[0], [1], [1]], bins=2)
    assert found == pytest.approx([(2 * 0.15 + 0.1) / 3])


def test_one_error_and_precision_at_k_by_hand():
    """Image 1: the tie at the top goes to label 0, which is no positive. Image 3 has no positive."""
    logits = [[1.0, 1.0, 0.0], [0.0, 2.0, 1.0], [3.0, 2.0, 1.0]]
    labels = [[0, 1, 0], [0, 1, 1], [0, 0, 0]]
    found = [ranking.precision_at_k(logits, labels, k=k) for k in (1, 2, 3)]
    assert found == pytest.approx([1 / 3, (1 + 2) / 6, (1 + 2) / 9])
    values = further.general(np.array(logits), np.array(labels), Evaluation())
    assert (values["one-error"], values["P@1"], "P@5" in values) == (
        pytest.approx(200 / 3),
        pytest.approx(100 / 3),
        False,
    )


def test_the_range_of_precision_at_k_holds_for_every_order_of_labels():
    """The best and the worst of all orders of four labels are the two ends."""
    rng = np.random.default_rng(2)
    for _ in range(30):
        logits, labels = rng.integers(0, 3, (1, 4)) / 2, rng.integers(0, 2, (1, 4))
        orders = [rng.permutation(4) for _ in range(200)]
        for k in (1, 2, 3, 4):
            all_orders = [ranking.precision_at_k(logits[:, o], labels[:, o], k=k) for o in orders]
            assert ranking.range_at_k(logits, labels, k=k) == pytest.approx(
                (min(all_orders), max(all_orders))
            )


def test_ties_that_move_precision_at_k_are_said_and_others_not():
    tied, apart = np.array([[1.0, 1.0, 0.0]]), np.array([[1.5, 1.0, 0.0]])
    (remark,) = further.tie_remarks(tied, np.array([[0, 1, 0]]), Evaluation())
    assert "P@1" in remark
    assert "0.00 with the positives among them last, 100.00 with them first" in remark
    assert not list(further.tie_remarks(apart, np.array([[0, 1, 0]]), Evaluation()))


@pytest.mark.parametrize("unspecified", ["negative", "excluded"])
def test_unspecified_entries_are_as_if_absent(unspecified):
    """Rankings and calibration leave them out as AP does; decisions count them as F1 does."""
    evaluation, rules = Evaluation(unspecified=unspecified), get_profile("sklearn")
    for logits, labels in cases():
        more_logits, more_labels = with_unspecified(logits, labels)
        expected = further.general(logits, labels, Evaluation())
        found = further.general(more_logits, more_labels, evaluation)
        assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)
        if unspecified == "excluded":
            without = further.of_decisions(logits, labels, rules, Evaluation())
            with_more = further.of_decisions(more_logits, more_labels, rules, evaluation)
            same = ("Hamming loss", "exact match", "F2-O", "F0.5-O")
            assert [with_more[name] for name in same] == pytest.approx([without[name] for name in same])


def test_unspecified_entries_are_negative_decisions_if_the_data_set_says_so():
    """Both entries are predicted; one is unspecified."""
    logits, labels, rules = np.array([[1.0, 1.0]]), np.array([[1, 0]]), get_profile("sklearn")
    found = {
        how: further.of_decisions(logits, labels, rules, Evaluation(unspecified=how))["Hamming loss"]
        for how in ("negative", "excluded")
    }
    assert found == {"negative": 50, "excluded": 0}


def test_a_profile_without_a_threshold_has_no_decisions():
    logits, labels = next(iter(cases()))
    assert further.of_decisions(logits, labels, get_profile("q2l"), Evaluation()) == {}


def test_what_the_data_do_not_define_is_absent_and_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = further.general(np.zeros((2, 2)), np.ones((2, 2), dtype=int), Evaluation())
        nothing = further.general(np.zeros((2, 2)), np.zeros((2, 2)), Evaluation(unspecified="negative"))
    assert {"AUROC-C", "AUROC-O"}.isdisjoint(found)
    assert found["ranking loss"] == 0
    assert nothing == {}


def test_the_order_of_images_and_a_rising_transform_change_no_ranking():
    rng = np.random.default_rng(3)
    logits, labels = rng.normal(size=(50, 6)), rng.integers(0, 2, (50, 6))
    order = rng.permutation(50)
    ranked = {name for name in further.GENERAL if name != "ECE"}
    first, other = (
        {name: further.general(x, y, Evaluation())[name] for name in ranked}
        for x, y in ((logits, labels), (np.exp(logits[order]), labels[order]))
    )
    assert first == pytest.approx(other, abs=1e-9)


def test_many_blocks_are_scored_as_a_whole(monkeypatch):
    (logits, labels), *_ = cases()
    whole = further.general(logits, labels, Evaluation())
    monkeypatch.setattr(ranking, "ENTRIES", 1)
    assert further.general(logits, labels, Evaluation()) == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (ranking.auroc, "logits: nan in row 0, column 1"),
        (ranking.ranking_loss, "logits: nan in row 0, column 1"),
        (calibration.calibration_errors, "logits: nan in row 0, column 1"),
        (lambda x, y: ranking.precision_at_k(x, y, k=9), "logits: nan in row 0, column 1"),
    ],
)
def test_an_entry_that_is_no_logit_is_refused(function, message):
    with pytest.raises(InputError, match=message):
        function([[0.0, math.nan]], [[1, 0]])


def test_k_is_from_1_to_the_number_of_labels():
    with pytest.raises(InputError, match="k = 3, but an image has 2 labels"):
        ranking.precision_at_k([[0.0, 1.0]], [[1, 0]], k=3)
