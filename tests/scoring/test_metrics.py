"""`evaluate`: values calculated by hand, properties that always hold, and messages for bad input."""

import copy
import doctest
import math
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.base import protocol
from bench.base.errors import InputError
from bench.scoring import matrices, metrics, profiles
from bench.scoring.metrics import COLUMNS, evaluate, precision_recall_f1
from bench.scoring.profiles import PROFILES
from tests import plain_metrics as plain

LOGITS, LABELS = np.array(plain.LOGITS), np.array(plain.LABELS)


def sample(images: int, classes: int, *, seed: int = 0) -> tuple[Any, Any]:
    """Logits without ties that know a little of their labels, which are rare and unbalanced."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((images, classes)) < np.linspace(0.05, 0.5, classes)).astype(np.int8)
    return rng.normal(size=(images, classes)) - 1 + 2 * labels, labels


def numbers(result: dict[str, Any]) -> Any:
    """All but AP in one row."""
    top = result.get("top3", {})
    return np.array([result["mAP"], *(result[name] for name in COLUMNS), *top.values()])


def test_ap_and_map_of_the_contract():
    result = evaluate(LOGITS, LABELS)
    assert result["AP"] == pytest.approx([72.222222, 75, 33.333333, 100], abs=5e-7)
    assert result["mAP"] == pytest.approx(70.138889, abs=5e-7)


def test_precision_recall_and_f1_per_class_of_the_contract():
    said, truth = LOGITS > 0, LABELS == 1
    p, r, f1 = precision_recall_f1((said & truth).sum(0), said.sum(0), truth.sum(0), eps=2.0**-52)
    assert p == pytest.approx([0.5, 0.75, 1, 0.666667], abs=5e-7)
    assert r == pytest.approx([0.666667, 1, 0, 1], abs=5e-7)
    assert f1 == pytest.approx([0.571429, 0.857143, 0, 0.8], abs=5e-7)


def test_eps_enters_to_the_last_bit_as_in_the_script():
    """R = (tp + eps) / (gp + eps) + eps: what is found entirely has a recall of one eps more than 1."""
    eps = 2.0**-52
    p, r, f1 = (float(rate) for rate in precision_recall_f1(1, 1, 1, eps=eps))
    assert (p, r, f1) == (1, 1 + eps, 2 * (1 + eps) / (2 + eps))


@pytest.mark.parametrize(
    ("top3", "expected"),
    [
        (None, [55.714286, 72.916667, 66.666667, 66.666667, 63.636364, 70]),
        ("forced", [60.178571, 75.416667, 75, 72.727273, 66.666667, 80]),
        ("thresholded", [60.714286, 81.25, 66.666667, 70, 70, 70]),
    ],
)
def test_columns_of_the_contract(top3, expected):
    """Without a constraint, with the two highest labels, and with those of the two that exceed 0.5."""
    result = evaluate(LOGITS, LABELS, top3=top3, k=2)
    columns = result["top3"] if top3 else result
    assert [columns[name] for name in COLUMNS] == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (profiles.get_profile("mlgcn"), {"F1-C": 52.83, "P-C": 43.75, "F1-O": 60.87, "P-O": 53.85}),
        (replace(profiles.get_profile("asl"), positive=(">", 0.5)), {"F1-C": 55.71, "P-C": 47.92}),
    ],
)
def test_other_profiles_of_the_contract(profile, expected):
    """A profile may be given by name or as a description: here asl's formulas at another threshold."""
    result = evaluate(LOGITS, LABELS, profile=profile)
    assert {name: result[name] for name in expected} == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize("unspecified", ["negative", "excluded"])
def test_ap_of_the_contract_for_wider_drops_what_is_unspecified(unspecified):
    result = evaluate(np.c_[[0.9, 0.8, 0.7, 0.6, 0.5]], np.c_[[0, 1, -1, 0, 1]], unspecified=unspecified)
    assert result["mAP"] == pytest.approx(83.3333, abs=5e-5)


def test_f1_counts_the_unspecified_as_negative_or_not_at_all():
    """One prediction of three is unspecified: it is a false positive, or none."""
    logits, labels = np.c_[[2.0, 1.0, 0.5, -1.0]], np.c_[[1, 0, 1, -1]]
    assert evaluate(logits, labels, unspecified="negative")["P-O"] == pytest.approx(200 / 3)
    assert evaluate(logits, labels, unspecified="excluded")["P-O"] == pytest.approx(100)
    top = evaluate(logits, labels, unspecified="excluded", top3="forced", k=1)["top3"]
    assert top["P-O"] == pytest.approx(200 / 3)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_order_of_images_and_of_classes_does_not_matter(profile):
    logits, labels = sample(200, 7)
    result = evaluate(logits, labels, profile=profile, top3="thresholded")
    images, classes = np.random.default_rng(1).permutation(200), np.random.default_rng(1).permutation(7)
    shuffled = evaluate(
        logits[images][:, classes], labels[images][:, classes], profile=profile, top3="thresholded"
    )
    assert numbers(shuffled) == pytest.approx(numbers(result), abs=1e-12, nan_ok=True)
    assert shuffled["AP"] == pytest.approx(result["AP"][classes], abs=1e-12)


def test_earlier_calls_leave_no_trace_and_inputs_stay_as_they_were():
    logits, labels = sample(50, 5)
    before = copy.deepcopy((logits, labels))
    logits.flags.writeable = labels.flags.writeable = False
    first = numbers(evaluate(logits, labels, top3="forced"))
    evaluate(LOGITS, LABELS, profile="mlgcn", top3="thresholded", unspecified="excluded")
    assert (numbers(evaluate(logits, labels, top3="forced")) == first).all()
    assert (logits == before[0]).all()
    assert (labels == before[1]).all()


def test_a_matrix_of_many_blocks_is_scored_as_a_whole():
    """20,000 images pass through in blocks: their counts are those of the whole matrix at once."""
    logits, labels = sample(20_000, 3)
    result = evaluate(logits, labels)
    said, truth = logits > 0, labels == 1
    p, r, f1 = precision_recall_f1((said & truth).sum(), said.sum(), truth.sum(), eps=2.0**-52)
    assert (result["P-O"], result["R-O"], result["F1-O"]) == (100 * p, 100 * r, 100 * f1)


@pytest.mark.parametrize(
    "form",
    [
        np.float16,
        np.float32,
        np.longdouble,
        ">f4",
        np.ndarray.tolist,
        np.asfortranarray,
        lambda m: m[::-1][::-1],
    ],
)
def test_type_and_layout_of_the_arrays_do_not_matter(form):
    logits = np.round(np.random.default_rng(0).normal(size=(40, 5)) * 8) / 8  # exact in 16 bits
    labels = sample(40, 5)[1]
    result = evaluate(logits, labels, top3="thresholded")
    convert = form if callable(form) and not isinstance(form, type) else lambda m: m.astype(form)
    other = evaluate(convert(logits), convert(labels), top3="thresholded")
    assert (numbers(other) == numbers(result)).all()


@pytest.mark.parametrize("k", [1, 3, 5])
def test_under_forced_top_k_recall_over_precision_is_predictions_over_positives(k):
    """NUS-WIDE's identity, R-O / P-O = 3N / positives for every method; 1.2377 in the paper's Table 1."""
    for seed in range(5):
        logits, labels = sample(300, 6, seed=seed)
        top = evaluate(logits, labels, top3="forced", k=k)["top3"]
        assert top["R-O"] / top["P-O"] == pytest.approx(k * 300 / labels.sum(), rel=1e-12)


def test_precision_per_class_and_overall_differ_under_forced_top3_on_unbalanced_labels():
    top = evaluate(*sample(300, 6), top3="forced")["top3"]
    assert abs(top["P-C"] - top["P-O"]) > 1


def test_of_equal_logits_the_lower_class_is_among_the_highest():
    assert metrics.top_k_mask([[1, 1, 1, 1], [0, 1, 0, 1]], k=3).tolist() == [[1, 1, 1, 0], [1, 1, 0, 1]]


def test_memory_beyond_the_input_is_less_than_three_times_the_input():
    logits, labels = sample(20_000, 80)
    logits = logits.astype(np.float32)
    tracemalloc.start()
    evaluate(logits, labels, top3="thresholded", unspecified="excluded")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * (logits.nbytes + labels.nbytes)


def with_entry(matrix: Any, value: float, row: int, column: int) -> Any:
    changed = matrix.astype(float)
    changed[row, column] = value
    return changed


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (LOGITS[:5], LABELS, r"logits have shape \(5, 4\), labels \(6, 4\); they must be the same"),
        (LOGITS[0], LABELS[0], r"logits have shape \(4,\) and type float64; give numbers, images x classes"),
        (LOGITS[:0], LABELS[:0], r"logits have shape \(0, 4\)"),
        (LOGITS, LABELS.astype(str), r"labels have shape \(6, 4\) and type <U21; give numbers"),
        ([[1.0], [1.0, 2.0]], LABELS, "logits are not a matrix of numbers: .*inhomogeneous"),
        (
            with_entry(LOGITS, np.nan, 4, 2),
            LABELS,
            r"logits: nan in row 4, column 2 \(counted from 0\); every",
        ),
        (with_entry(LOGITS, -np.inf, 5, 0), LABELS, "logits: -inf in row 5, column 0 .* must be finite"),
        (LOGITS, with_entry(LABELS, 2, 3, 1), r"labels: 2.0 in row 3, column 1 .*; a label is 1, 0 or -1"),
        (LOGITS, with_entry(LABELS, np.nan, 0, 3), "labels: nan in row 0, column 3"),
    ],
)
def test_bad_matrices_are_refused_by_name_and_place(logits, labels, message):
    with pytest.raises(InputError, match=message):
        evaluate(logits, labels)


def test_the_first_bad_entry_is_named_in_whatever_block_it_is():
    logits, labels = sample(10_000, 2)
    logits[9000, 1] = logits[9001, 0] = math.inf
    with pytest.raises(InputError, match="logits: inf in row 9000, column 1"):
        evaluate(logits, labels)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"profile": "voc"}, "unknown profile 'voc'; choose from: srn2017, mlgcn, .*, voc2007"),
        ({"top3": "both"}, "unknown top-3 rule 'both'; choose from: forced, thresholded"),
        (
            {"unspecified": "zero"},
            "unknown treatment of unspecified labels 'zero'; choose from: negative, excluded",
        ),
        ({"top3": "forced", "k": 5}, "k = 5, but an image has 4 labels; choose k from 1 to 4"),
        ({"top3": "forced", "k": 0}, "k = 0, but an image has 4 labels"),
    ],
)
def test_bad_choices_are_refused_with_the_right_ones(choices, message):
    with pytest.raises(InputError, match=message):
        evaluate(LOGITS, LABELS, **choices)


def test_examples_of_the_docstrings():
    results = [doctest.testmod(module) for module in (metrics, matrices, protocol)]
    assert all(result.attempted for result in results)
    assert not any(result.failed for result in results)
