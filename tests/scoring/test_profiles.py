"""Each profile against plain loops, against scikit-learn, and against the table of its settings."""

import doctest
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from bench.base.errors import InputError
from bench.scoring import profiles
from bench.scoring.metrics import COLUMNS, evaluate, logit
from bench.scoring.profiles import PROFILES
from tests import plain_metrics as plain

shapes = st.tuples(st.integers(1, 12), st.integers(1, 5))


def flat(result: dict[str, Any]) -> list[float]:
    """What `evaluate` returns in the order of the plain loops' list."""
    top = [result["top3"][name] for name in COLUMNS] if "top3" in result else []
    return [result["mAP"], *(result[name] for name in COLUMNS), *result["AP"], *top]


@pytest.mark.parametrize("profile", PROFILES)
@given(data=st.data())
def test_every_number_is_that_of_plain_loops(profile, data):
    """Logits are few quarters (ties, exact zeros), classes may be empty; every choice of the arguments."""
    shape = data.draw(shapes)
    logits = data.draw(hnp.arrays(np.int8, shape, elements=st.integers(-9, 9))) / 4
    labels = data.draw(hnp.arrays(np.int8, shape, elements=st.sampled_from([-1, 0, 1])))
    choices = {
        "profile": profile,
        "top3": data.draw(st.sampled_from([None, "forced", "thresholded"])),
        "k": data.draw(st.integers(1, shape[1])),
        "unspecified": data.draw(st.sampled_from([None, "negative", "excluded"])),
    }
    expected = plain.evaluate(logits.tolist(), labels.tolist(), **choices)
    assert flat(evaluate(logits, labels, **choices)) == pytest.approx(expected, abs=1e-10, nan_ok=True)


@pytest.mark.filterwarnings("ignore:No positive class found")
def test_profile_sklearn_agrees_with_scikit_learn_to_1e_12():
    """On 1,000 random cases with ties and with empty classes, which scikit-learn counts 0 and warns of."""
    rng = np.random.default_rng(0)
    for _ in range(1000):
        shape = rng.integers(1, 40), rng.integers(2, 6)
        logits = rng.normal(scale=4, size=shape).round(rng.integers(3))
        labels = (rng.random(shape) < rng.random(shape[1]) ** 2).astype(np.int8)
        ap = average_precision_score(labels, logits, average=None)
        p_c, r_c, f_c, _ = precision_recall_fscore_support(
            labels, logits >= 0, average="macro", zero_division=0
        )
        p_o, r_o, f_o, _ = precision_recall_fscore_support(
            labels, logits >= 0, average="micro", zero_division=0
        )
        expected = 100 * np.array([ap.mean(), f_c, p_c, r_c, f_o, p_o, r_o, *ap])
        assert np.nan_to_num(flat(evaluate(logits, labels, profile="sklearn"))) == pytest.approx(
            expected, rel=1e-12
        )


def test_the_profiles_of_the_contract():
    """The contract's table row by row: area, ties, F1-C, threshold, class without positives, top-3."""
    rows = {
        name: (p.area, p.ties, p.f1_c, p.positive, p.no_positives, p.top3) for name, p in PROFILES.items()
    }
    forced, thresholded = "forced", "thresholded"
    assert rows == {
        "srn2017": ("envelope", "file order", "mean", (">", 0.5), "left out", (forced, thresholded)),
        "mlgcn": ("at positives", "file order", "harmonic", (">=", 0.5), "left out", (thresholded,)),
        "mcar": ("at positives", "file order", "harmonic", (">=", 0.6), "left out", (thresholded,)),
        "asl": ("at positives", "file order", "mean", (">", 0.8), "zero", ()),
        "csra": ("at positives", "file order", "harmonic", (">=", 0.5), "left out", (thresholded,)),
        "sklearn": ("at positives", "grouped", "mean", (">=", 0.5), "zero", (thresholded,)),
        "voc2007": ("11 points", "file order", "mean", None, "left out", ()),
        "q2l": ("envelope", "file order", "mean", None, "left out", ()),
    }


@pytest.mark.parametrize(
    ("profile", "p_c", "p_o"),
    [
        ("srn2017", 100, 100),
        ("mlgcn", 50, 50),
        ("mcar", 50, 50),
        ("asl", 50, 100),
        ("csra", 50, 50),
        ("sklearn", 50, 100),
    ],
)
def test_precision_of_a_class_that_is_never_predicted(profile, p_c, p_o):
    """Class 0 is predicted once and rightly, class 1 not at all: P = 0, but 1 by eps. The released code of
    ML-GCN, MCAR and CSRA counts that as one prediction more in P-O.
    """
    result = evaluate([[2.0, -1.0], [-2.0, -1.0]], [[1, 1], [0, 0]], profile=profile)
    assert (result["P-C"], result["P-O"]) == pytest.approx((p_c, p_o))


@pytest.mark.parametrize("profile", PROFILES)
def test_a_class_without_positives_is_left_out_of_map_or_counts_zero(profile):
    result = evaluate([[2.0, 1.0], [-2.0, -1.0]], [[1, 0], [0, 0]], profile=profile)
    assert result["mAP"] == (50 if profile in ("asl", "sklearn") else 100)
    assert result["AP"] == pytest.approx([100, math.nan], nan_ok=True)


@pytest.mark.parametrize("profile", PROFILES)
def test_without_any_positive_map_is_zero_or_not_a_number(profile):
    found = evaluate([[2.0, 1.0]], [[0, 0]], profile=profile)["mAP"]
    assert found == pytest.approx(0 if profile in ("asl", "sklearn") else math.nan, nan_ok=True)


@pytest.mark.parametrize(
    ("value", "strictly", "loosely"), [(0.0, 0, 1), (-0.0, 0, 1), (5e-324, 1, 1), (-1e-17, 0, 0)]
)
def test_half_is_decided_on_the_logit_however_small(value, strictly, loosely):
    """srn2017: a logit of exactly 0 is negative, a tiny one not, though 1 / (1 + exp(-x)) is 0.5 for both."""
    found = [evaluate([[value]], [[1]], profile=profile)["R-O"] for profile in ("srn2017", "csra")]
    assert found == pytest.approx([100 * strictly, 100 * loosely])


@pytest.mark.parametrize(("profile", "p"), [("srn2017", 0.5), ("mcar", 0.6), ("asl", 0.8), ("sklearn", 0.5)])
def test_probabilities_turned_into_logits_are_decided_as_they_were_written(profile, p):
    below, above = np.nextafter(p, 0), np.nextafter(p, 1)
    at_p = 100 * (profile in ("mcar", "sklearn"))
    for repeat in (1, 3, 8, 100):  # a vector's logarithm may be computed otherwise than a single one's
        found = [
            evaluate(logit(np.full((repeat, 1), value)), np.ones((repeat, 1)), profile=profile)["R-O"]
            for value in (below, p, above)
        ]
        assert found == pytest.approx([0, at_p, 100])


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_exceeds_100_percent(profile):
    """The eps of srn2017 takes a perfect recall to 1 + 2^-52."""
    result = evaluate(np.array([[9.0, -9.0, 9.0]] * 7), np.array([[1, 0, 1]] * 7), profile=profile)
    assert np.nanmax(flat(result)) == 100


def test_all_profiles_give_the_same_keys_and_nan_where_they_define_nothing():
    results = {name: evaluate([[2.0, -1.0]], [[1, 1]], profile=name, top3="forced", k=1) for name in PROFILES}
    assert {tuple(result) for result in results.values()} == {("mAP", *COLUMNS, "AP", "top3")}
    assert {tuple(result["top3"]) for result in results.values()} == {COLUMNS}
    assert [name for name, result in results.items() if math.isnan(result["F1-C"])] == ["voc2007", "q2l"]
    assert [name for name, result in results.items() if math.isnan(result["top3"]["R-O"])] == [
        "asl",
        "voc2007",
        "q2l",
    ]


def test_query2labels_map_is_on_the_scale_of_srn_and_not_of_ml_gcn():
    """Its area is that under the envelope, so it may exceed the mean of the precision at the positives."""
    q2l = evaluate(plain.LOGITS, plain.LABELS, profile="q2l")
    assert q2l["mAP"] == pytest.approx(70.138889, abs=5e-7)
    assert evaluate(plain.LOGITS, plain.LABELS, profile="mlgcn")["mAP"] == pytest.approx(66.319444, abs=5e-7)
    ours, srn, mlgcn = (profiles.get_profile(name) for name in ("q2l", "srn2017", "mlgcn"))
    assert profiles.is_comparable(ours, srn, "mAP")
    assert not profiles.is_comparable(ours, mlgcn, "mAP")
    assert not any(profiles.is_comparable(ours, srn, metric) for metric in COLUMNS)


def test_only_numbers_that_are_computed_alike_are_compared():
    """Threshold sets mlgcn and mcar apart, but not their mAP."""
    same = {
        (a, b, metric)
        for a, b in [("mlgcn", "mcar"), ("mlgcn", "csra"), ("srn2017", "asl"), ("mcar", "sklearn")]
        for metric in ("mAP", *COLUMNS)
        if profiles.is_comparable(profiles.get_profile(a), profiles.get_profile(b), metric)
    }
    everything = {("mlgcn", "csra", metric) for metric in ("mAP", *COLUMNS)}
    assert same == {("mlgcn", "mcar", "mAP"), *everything}


def test_the_family_of_f1_c_sets_only_f1_c_apart():
    mean, harmonic = (
        profiles.get_profile("srn2017"),
        replace(profiles.get_profile("srn2017"), f1_c="harmonic"),
    )
    apart = [metric for metric in ("mAP", *COLUMNS) if not profiles.is_comparable(mean, harmonic, metric)]
    assert apart == ["F1-C"]


def test_two_profiles_have_the_same_sentence_only_if_they_are_the_same():
    """ML-GCN's and CSRA's are: a logit of 0 is a probability of 0.5."""
    nameless = {name: replace(rules, used_by="") for name, rules in PROFILES.items()}
    same = {
        (a, b)
        for a in PROFILES
        for b in PROFILES
        if a < b and profiles.describe(nameless[a]) == profiles.describe(nameless[b])
    }
    assert same == {("csra", "mlgcn")}
    assert nameless["csra"] == nameless["mlgcn"]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_sentence_says_what_a_profile_does(profile):
    rules, sentence = PROFILES[profile], profiles.describe(PROFILES[profile])
    assert rules.used_by in sentence
    assert f"AP {rules.area}" in sentence
    assert ("p > 0.8" in sentence) == (profile == "asl")
    assert ("harmonic" in sentence) == (profile in ("mlgcn", "mcar", "csra"))
    assert ("denominator + 1" in sentence) == (profile in ("mlgcn", "mcar", "csra"))


def test_an_unknown_profile_lists_the_choices():
    with pytest.raises(
        InputError, match="unknown profile 'coco'; choose from: srn2017, mlgcn, mcar, asl, csra"
    ):
        profiles.get_profile("coco")


def test_examples_of_the_docstrings():
    results = doctest.testmod(profiles)
    assert results.attempted >= 3
    assert not results.failed
