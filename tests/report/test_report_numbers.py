"""The numbers in the report's figures and sentences, each against a plain computation of its definition."""

import doctest
import importlib
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve

from bench.base.errors import InputError
from bench.base.run_folder import RunFolder
from bench.data import cards
from bench.data.formats import Box
from bench.report import evidence, figure, headline
from bench.report.attention import _covered, images_to_show, pointing_game
from bench.report.curves import epoch_rows, precision_recall
from bench.report.evidence import Evidence
from bench.report.gain import Gain, choose_labels, companions, compute_gain
from bench.report.label_gains import gain_rows, rank_correlation
from bench.report.label_relations import lift, relation
from bench.report.model_outputs import ModelOutputs, box_centres, centres_of_mass
from bench.report.neurons import correlations, means, position_neurons
from bench.report.top_images import likeness, top_images
from bench.results.record import Record, group_records
from bench.scoring import metrics, predictions
from bench.scoring.average_precision import average_precision
from bench.scoring.predictions import Predictions
from tests import records

PAIR = (("srn", ""), ("resnet101", ""))
CARD = replace(cards.load_card("demo"), labels=records.LABELS)


@pytest.mark.parametrize("name", ["top_images", "curves", "gain", "neurons", "model_outputs"])
def test_the_doctests_hold(name: str):
    assert doctest.testmod(importlib.import_module(f"bench.report.{name}")).failed == 0


@pytest.fixture
def rng() -> np.random.Generator:
    """The same random numbers for a test, whichever other tests run before it."""
    return np.random.default_rng(5)


def evidence_of(*members: Record, folder: Path = Path("none")) -> Evidence:
    """Evidence of made-up records."""
    return Evidence(CARD, RunFolder(folder), "here", group_records(members), *PAIR)


def small_outputs(**changes: Any) -> ModelOutputs:
    """Six images of 8 x 8 with three labels, maps of 2 x 2, and four neurons."""
    default: dict[str, Any] = {
        "rows_M": np.arange(6),
        "ids": tuple("abcdef"),
        "pixels_MSS3": np.zeros((6, 8, 8, 3), np.uint8),
        "labels_MC": np.array([[1, 0, 0], [1, 1, 0], [-1, 1, 0], [1, -1, 1], [0, 0, 1], [0, 0, 0]]),
        "logits": {"y": np.eye(6, 3)},
        "attention_MCHW": np.full((6, 3, 2, 2), 0.25),
        "weighted_MCHW": np.full((6, 3, 2, 2), 0.125),
        "neurons_MK": np.eye(6, 4),
        "influence_CC": np.eye(3),
    }
    return ModelOutputs(**default | changes)


class TestGain:
    def test_is_the_difference_of_the_means_over_seeds(self):
        shifts = {"resnet101": (0.0, 1.0), "srn": (2.0, 5.0, 5.0)}
        members = [
            records.fake(name, seed, shift=shift)
            for name, of_seeds in shifts.items()
            for seed, shift in enumerate(of_seeds)
        ]
        gain = compute_gain(evidence_of(*members), *PAIR)
        assert gain.mAP == pytest.approx(4.0 - 0.5)
        assert gain.AP_C[[0, 2]] == pytest.approx([3.5, 0.0])
        assert np.isnan(gain.AP_C[1])

    def test_its_interval_is_that_of_replicates_scored_one_by_one(self, tmp_path, rng: np.random.Generator):
        labels_NC = np.where(rng.random((40, 3)) < 0.4, 1, -1).astype(np.int8)
        members, logits = [], {}
        for name, seed in itertools.product(("resnet101", "srn"), (0, 1)):
            logits[name, seed] = (rng.normal(size=(40, 3)) + (1 + (name == "srn")) * labels_NC).astype("f4")
            members.append(predicted(tmp_path, name, seed, logits[name, seed], labels_NC))
        gain = compute_gain(evidence_of(*members, folder=tmp_path), *PAIR, replicates=50)
        plain = [replicate(number, logits, labels_NC) for number in range(50)]
        assert gain.seeds == (0, 1)
        assert gain.ends == pytest.approx(np.percentile(plain, [2.5, 97.5]))
        assert gain.is_clear == (gain.ends[0] > 0 or gain.ends[1] < 0)

    def test_point_and_interval_are_of_the_same_seeds(self, tmp_path, rng: np.random.Generator):
        """A third seed without predictions would move the gain out of its interval."""
        labels_NC = np.where(rng.random((40, 3)) < 0.4, 1, -1).astype(np.int8)
        members = [records.fake("srn", 2, metrics=scored(0.0)), records.fake("resnet101", 2)]
        for name, seed in itertools.product(("resnet101", "srn"), (0, 1)):
            logits_NC = (rng.normal(size=(40, 3)) + (1 + (name == "srn")) * labels_NC).astype("f4")
            members.append(predicted(tmp_path, name, seed, logits_NC, labels_NC))
        both = evidence_of(*members, folder=tmp_path)
        gain = compute_gain(both, *PAIR, replicates=50)
        assert gain.mAP == pytest.approx(both.mAP(PAIR[0], (0, 1)) - both.mAP(PAIR[1], (0, 1)))
        assert gain.ends[0] < gain.mAP < gain.ends[1]
        assert gain.ends_2C[0, 0] <= gain.AP_C[0] <= gain.ends_2C[1, 0]
        text = headline.does_it_help(both, PAIR, gain, None)
        assert f"SRN has mAP {both.mAP(PAIR[0], (0, 1)):.1f} %" in text
        assert text.endswith(", means of the seeds of which both have predictions: 0, 1.")

    def test_predictions_of_another_run_than_the_records_are_left_out(self, tmp_path):
        logits_NC, labels_NC = np.eye(4, 3, dtype="f4"), np.where(np.eye(4, 3) > 0, 1, -1).astype(np.int8)
        members = [predicted(tmp_path, name, 0, logits_NC, labels_NC) for name in ("srn", "resnet101")]
        both = evidence_of(*members, folder=tmp_path)
        assert compute_gain(both, *PAIR, replicates=5).seeds == (0,)
        both = evidence_of(members[0], records.fake("resnet101"), folder=tmp_path)
        assert compute_gain(both, *PAIR, replicates=5).ends is None
        assert both.mismatched_files == [RunFolder(tmp_path).predictions("resnet101-seed0")]

    def test_predictions_of_different_test_sets_are_refused(self, tmp_path):
        labels_NC = np.where(np.eye(4, 3) > 0, 1, -1).astype(np.int8)
        members = [
            predicted(tmp_path, name, 0, np.zeros((4, 3), "f4"), labels)
            for name, labels in (("resnet101", labels_NC), ("srn", labels_NC[::-1].copy()))
        ]
        both = evidence_of(*members, folder=tmp_path)
        with pytest.raises(InputError, match="two runs on demo predict different test sets; run one of them"):
            compute_gain(both, *PAIR)


def predicted(folder: Path, name: str, seed: int, logits_NC: Any, labels_NC: Any) -> Record:
    """Write predictions of a run into the folder, and return their record."""
    path = RunFolder(folder).predictions(f"{name}-seed{seed}")
    predictions.write_predictions(path, Predictions(logits_NC, labels_NC, {}))
    scores = metrics.evaluate(logits_NC, labels_NC)
    AP = dict(zip(records.LABELS, scores["AP"].tolist(), strict=True))
    return records.fake(name, seed, metrics=scored(scores["mAP"], AP=AP))


def scored(mAP: float, **more: Any) -> dict[str, Any]:
    return {"srn2017": records.fake()["metrics"]["srn2017"] | {"mAP": mAP, **more}}


def replicate(number: int, logits: Any, labels_NC: Any) -> float:
    """The mean gain of one replicate, its images copied and scored as a file of their own."""
    drawn = np.sort(np.random.default_rng([0, number]).integers(40, size=40))

    def mAP(name: str, seed: int) -> float:
        return metrics.evaluate(logits[name, seed][drawn], labels_NC[drawn])["mAP"]

    return float(np.mean([mAP("srn", seed) - mAP("resnet101", seed) for seed in (0, 1)]))


class TestTheBaseline:
    def of_size(self, method: str, variant: str, size: int, **changes: Any) -> Record:
        return records.fake(method, variant=variant, recipe={"input_size": size, "trunk": "t"}, **changes)

    def chosen(self, *members: Record) -> Any:
        grouped = group_records(members)
        subject = evidence._default_subject(grouped)
        return subject, evidence._default_baseline(subject, grouped)

    def test_is_the_variant_of_the_same_input_size_trunk_and_data(self):
        subject = self.of_size("srn", "input_size=64", 64)
        small = self.of_size("resnet101", "", 32)
        equal = self.of_size("resnet101", "budget=equal,input_size=64", 64)
        alike = self.of_size("resnet101", "input_size=64", 64)
        other_data = self.of_size("resnet101", "a=1,input_size=64", 64, data={"fingerprint": "0" * 64})
        for members in ((small, equal, alike, other_data), (alike, small)):
            assert self.chosen(subject, *members)[1] == ("resnet101", "input_size=64")
        assert self.chosen(subject, small)[1] == ("resnet101", "")

    def test_that_differs_from_the_subject_is_said(self):
        members = self.of_size("srn", "", 64), self.of_size("resnet101", "", 32)
        (said,) = headline.unequal_terms(evidence_of(*members), PAIR)
        assert said.startswith(
            "Equal terms? No: SRN and ResNet-101 also differ in input size (64, against 32), so"
        )
        members = (
            self.of_size("srn", "", 64),
            self.of_size("resnet101", "", 64, data={"fingerprint": "0" * 64}),
        )
        (said,) = headline.unequal_terms(evidence_of(*members), PAIR)
        assert "also differ in data (other images or labels), so" in said
        assert not headline.unequal_terms(evidence_of(members[0], self.of_size("resnet101", "", 64)), PAIR)


def test_labels_are_sorted_by_their_gain_and_correlated_with_their_companions():
    gain = Gain(1.0, np.array([1.0, np.nan, 3.0]))
    rows = gain_rows(evidence_of(), gain, np.array([2.0, np.nan, 1.0]))
    assert rows == [
        {"label": "two", "gain": 3.0, "companions": 1.0},
        {"label": "zero", "gain": 1.0, "companions": 2.0},
    ]
    falling = [{"gain": float(-n), "companions": float(n)} for n in range(5)]
    assert rank_correlation(falling).r == pytest.approx(-1.0)
    assert rank_correlation(falling[:3]) is None
    assert rank_correlation([{**row, "companions": 2.0} for row in falling]) is None


def test_companions_are_counted_image_by_image(rng: np.random.Generator):
    labels_NC = rng.integers(-1, 2, (30, 5))
    plain = []
    for c in range(5):
        others = [sum(1 for d in range(5) if d != c and row[d] == 1) for row in labels_NC if row[c] == 1]
        plain.append(sum(others) / len(others))
    assert companions(labels_NC) == pytest.approx(plain)


def test_precision_and_recall_are_those_of_scikit_learn(rng: np.random.Generator):
    scores_N, labels_N = rng.permutation(50).astype(float), np.where(rng.random(50) < 0.3, 1, -1)
    recall_P, precision_P = precision_recall(scores_N, labels_N)
    precision, recall, _ = precision_recall_curve(labels_N == 1, scores_N)
    expected = {(round(r, 9), round(p, 9)) for r, p in zip(100 * recall, 100 * precision, strict=True)}
    pairs = [(round(r, 9), round(p, 9)) for r, p in zip(recall_P, precision_P, strict=True)]
    assert set(pairs) <= expected
    assert len(pairs) == (labels_N == 1).sum()
    assert precision_P.mean() == pytest.approx(
        100 * average_precision(scores_N, labels_N == 1, area="at positives")
    )


def test_the_epochs_of_all_stages_stand_in_their_order():
    stages = [
        {"name": name, "epochs": [{"epoch": n, "loss": 1.0, "held_out_loss": 2.0} for n in (1, 2)]}
        for name in ("main", "joint")
    ]
    rows = epoch_rows(records.fake(stages=stages))
    assert [(row["stage"], row["epoch"]) for row in rows] == [
        ("main", 1),
        ("main", 2),
        ("joint", 1),
        ("joint", 2),
    ]
    assert rows[0]["held_out_mAP"] is None
    best = {"stage": "joint", "epochs": [{"epoch": 2, "test_mAP": 60.0}]}
    watched = epoch_rows(records.fake(stages=stages) | {"best_on_test": best})
    assert [row.get("test_mAP") for row in watched] == [None, None, None, 60.0]


class TestPositions:
    def test_a_label_with_two_boxes_has_no_position(self):
        boxes = [[Box(0, 0.0, 0.5, 0.5, 0.5), Box(1, 0.5, 0, 0.5, 1), Box(1, 0, 0, 1, 1)], []]
        centres_MC2 = box_centres(boxes, 3)
        assert centres_MC2[0, 0].tolist() == [75.0, 25.0]
        assert np.isnan(centres_MC2[0, 1:]).all()
        assert np.isnan(centres_MC2[1]).all()

    def test_the_centre_of_mass_is_the_mean_over_positions(self, rng: np.random.Generator):
        maps_MCHW = rng.random((3, 2, 4, 5))
        plain = np.zeros((3, 2, 2))
        for m, c in itertools.product(range(3), range(2)):
            for y, x in itertools.product(range(4), range(5)):
                middle = np.array([100 * (y + 0.5) / 4, 100 * (x + 0.5) / 5])
                plain[m, c] += maps_MCHW[m, c, y, x] / maps_MCHW[m, c].sum() * middle
        labels_MC = np.array([[1, 1], [1, 0], [-1, 1]])
        centres_MC2 = centres_of_mass(maps_MCHW, labels_MC)
        assert np.allclose(centres_MC2[labels_MC == 1], plain[labels_MC == 1])
        assert np.isnan(centres_MC2[labels_MC != 1]).all()

    def test_a_box_covers_the_positions_in_it_and_the_one_with_its_centre(self):
        on_HW = _covered([Box(0, 0.0, 0.0, 0.5, 0.25)], (4, 4))
        assert np.argwhere(on_HW).tolist() == [[0, 0], [0, 1]]
        tiny_HW = _covered([Box(0, 0.95, 0.95, 0.05, 0.05)], (4, 4))
        assert np.argwhere(tiny_HW).tolist() == [[3, 3]]

    def test_attention_on_its_label_or_on_another_is_counted_beside_chance(self):
        boxes = [[Box(0, 0, 0, 0.5, 0.5), Box(1, 0.5, 0.5, 0.5, 0.5)]]
        attention = np.zeros((1, 2, 2, 2))
        attention[0, 0, 0, 0] = attention[0, 1, 0, 0] = 1  # label 0 on itself, label 1 on label 0
        shares = pointing_game(attention, boxes)
        assert (shares.own, shares.companion) == (50.0, 50.0)
        assert (shares.own_by_chance, shares.companion_by_chance) == (25.0, 25.0)


def test_images_to_show_are_those_that_the_baseline_misses_and_none_twice():
    outputs = small_outputs(logits={"y": np.array([[1.0, 1, 1]] * 6)})
    baseline_MC = np.array([[1.0, 1, 1], [-1, -1, 1], [1, -1, 1], [1, 1, -1], [1, 1, -1], [1, 1, 1]])
    assert images_to_show(outputs, baseline_MC, [0, 1, 2]) == [1, 2, 3]
    assert images_to_show(outputs, None, [0, 0, 0, 0]) == [0, 1, 3]


class TestNeurons:
    def test_correlations_are_those_of_numpy_and_0_for_a_constant_neuron(self, rng: np.random.Generator):
        neurons_MK, position_M = rng.random((30, 5)), rng.random(30)
        neurons_MK[:, 2] = 0.1
        plain = [0.0 if k == 2 else np.corrcoef(neurons_MK[:, k], position_M)[0, 1] for k in range(5)]
        assert correlations(neurons_MK, position_M) == pytest.approx(plain)

    def test_a_neuron_that_follows_a_position_is_chosen_and_confirmed_on_unseen_images(
        self, rng: np.random.Generator
    ):
        positions_MC2 = rng.random((200, 1, 2))
        neurons_MK = rng.random((200, 300))
        neurons_MK[:, 7] -= 3 * positions_MC2[:, 0, 1]
        vertical, horizontal = position_neurons(neurons_MK, positions_MC2)
        assert horizontal.neuron == 7
        assert horizontal.chosen < -0.9
        assert horizontal.unseen > 0.9
        # The best of 300 neurons correlates by chance in the half that chose it, and not in the other.
        assert abs(vertical.chosen) > 0.2
        assert abs(vertical.unseen) < 0.25
        for neuron in (vertical, horizontal):
            assert neuron.control_chosen > 0.2
            assert abs(neuron.control) < 0.1
        mean = means([vertical, horizontal])
        assert mean["p"] == 0.25 if vertical.unseen > vertical.control else 0.75
        assert mean["unseen"] == (vertical.unseen + horizontal.unseen) / 2
        assert mean["chosen"] == (abs(vertical.chosen) - horizontal.chosen) / 2

    def test_labels_with_few_images_are_left_out(self, rng: np.random.Generator):
        positions_MC2 = np.full((100, 2, 2), np.nan)
        positions_MC2[:39, 0] = rng.random((39, 2))
        positions_MC2[:40, 1] = rng.random((40, 2))
        assert {neuron.label for neuron in position_neurons(rng.random((100, 3)), positions_MC2)} == {1}


class TestTopImages:
    def test_likeness_is_the_mean_jaccard_index_of_all_pairs(self, rng: np.random.Generator):
        labels_TC = np.where(rng.random((6, 8)) < 0.5, 1, 0)
        sets = [set(np.flatnonzero(row)) for row in labels_TC]
        plain = [len(a & b) / len(a | b) for a, b in itertools.combinations(sets, 2)]
        assert likeness(labels_TC) == pytest.approx(np.mean(plain))

    def test_the_neuron_of_a_group_of_labels_is_chosen_on_one_half_and_shown_on_the_other(
        self, rng: np.random.Generator
    ):
        labels_MC = np.where(rng.random((200, 6)) < [0.7, 0.7, 0.7, 0.3, 0.3, 0.3], 1, 0)
        neurons_MK = rng.random((200, 20))
        neurons_MK[:, 3] += 5 * (labels_MC[:, :3] == 1).all(axis=1)
        best, _ = top_images(neurons_MK, labels_MC)
        assert best.neuron == 3
        assert all(image % 2 for image in best.images)
        strongest = sorted(range(1, 200, 2), key=lambda image: -neurons_MK[image, 3])[:6]
        assert list(best.images) == strongest
        assert best.likeness == likeness(labels_MC[strongest])


class TestRelations:
    def test_lift_is_how_much_more_often_labels_occur_together_than_by_chance(self):
        together_CC = np.array([[10, 5, 0], [5, 20, 0], [0, 0, 0]])
        lift_CC = lift(together_CC, 100)
        assert lift_CC[0, 1] == pytest.approx(np.log2(5.5 / (10 * 20 / 100)))
        assert np.isnan(lift_CC[2]).all()

    def test_influence_that_follows_co_occurrence_has_a_low_p_value_and_a_random_one_has_not(
        self, rng: np.random.Generator
    ):
        labels_NC = (rng.random((500, 8)) < 0.3).astype(np.int64)
        labels_NC[:, 1::2] |= labels_NC[:, ::2] & (rng.random((500, 4)) < 0.7)
        together_CC = labels_NC.T @ labels_NC
        lift_CC = lift(together_CC, 500)
        following, unrelated = (
            relation(influence_CC, together_CC, 500)
            for influence_CC in (3 * lift_CC - 1, rng.normal(size=(8, 8)))
        )
        pairs = np.triu_indices(8, 1)
        assert following.lift == pytest.approx(1.0)
        assert following.p < 0.05
        assert following.log_count == pytest.approx(
            np.corrcoef(lift_CC[pairs], np.log2(together_CC + 0.5)[pairs])[0, 1]
        )
        assert unrelated.p > 0.05


class TestHeadline:
    def test_states_yes_no_or_not_clearly_by_the_interval(self):
        both = evidence_of(records.fake("srn"), records.fake("resnet101", shift=1.0))
        for gain, start in (
            (
                Gain(-1.0, np.zeros(3), (0,), (-2.0, -0.5)),
                "Does it help? No: SRN has mAP 80.0 %, ResNet-101 81.0 %: -1.00 points (95 %",
            ),
            (Gain(1.0, np.zeros(3), (0,), (0.5, 2.0)), "Does it help? Yes: "),
            (Gain(1.0, np.zeros(3), (0,), (-0.5, 2.0)), "Does it help? Not clearly: "),
        ):
            assert headline.does_it_help(both, PAIR, gain, None).startswith(start)

    def test_compares_all_seeds_where_there_is_no_interval(self):
        shifts = (0.0, 0.25, 1.0)
        baseline = [records.fake("resnet101", seed, shift=shift) for seed, shift in enumerate(shifts)]
        for shift, word in ((0.5, "Not clearly"), (1.5, "Yes"), (-1.5, "No")):
            subject = [records.fake("srn", seed, shift=shift + seed / 8) for seed in range(3)]
            text = headline.does_it_help(
                evidence_of(*baseline, *subject), PAIR, Gain(shift, np.zeros(3)), None
            )
            assert text.startswith(f"Does it help? {word}: ")
            too_few = headline.does_it_help(
                evidence_of(*baseline, *subject[1:]), PAIR, Gain(shift, np.zeros(3)), None
            )
            words = (
                "This cannot be decided without predictions and with fewer than 3 seeds of each method: SRN"
            )
            assert too_few.startswith(f"Does it help? {words}")
            assert too_few.endswith(", means of 2 and 3 seeds.")

    def test_states_the_control_with_its_interval(self):
        both = evidence_of(records.fake("srn"), records.fake("resnet101"))
        control = Gain(0.5, np.zeros(3), (0,), (0.25, 0.75))
        text = headline.does_it_help(both, PAIR, Gain(1, np.zeros(3), (0,), (0.5, 2.0)), control)
        assert text.endswith("for as many epochs, the gain is +0.50 points (95 % interval +0.25 to +0.75).")
        text = headline.does_it_help(both, PAIR, Gain(1, np.zeros(3)), control)
        assert text.endswith("to +0.75), means of the seeds of which both have predictions: 0.")

    def test_a_control_is_one_that_was_trained_for_as_many_epochs(self):
        both = records.fake("srn", epochs=34), records.fake("resnet101", epochs=20)
        for epochs, control in ((34, ("resnet101", "budget=equal")), (20, None)):
            assert (
                evidence_of(*both, records.fake("resnet101", variant="budget=equal", epochs=epochs)).control()
                == control
            )
        assert evidence_of(*both).control() is None

    def test_states_a_correlation_only_if_it_is_significant(self):
        rows = [{"label": "a", "gain": float(-n), "companions": float(n)} for n in range(8)]
        assert (
            "; labels that occur with more other labels gain less (rank correlation -1.00, p < 0.001)"
            in headline.where_does_it_help(rows)
        )
        mixed = [{**row, "companions": float(n * 3 % 8)} for n, row in enumerate(rows)]
        assert "gain neither clearly more nor clearly less (rank" in headline.where_does_it_help(mixed)

    def test_has_no_sentence_on_what_was_not_measured(self):
        assert headline.why({}) == []
        assert headline.why({"branches": {"run": "SRN seed 0", "mAP": {"y": 50.0}}}) == []
        assert headline.why({"branches": {"run": "SRN seed 0", "mAP": {"y_sr": 40.0, "y": 50.0}}}) == [
            "Why? In SRN seed 0: used alone, the branches have mAP y_sr 40.0 %, and the prediction y 50.0 %."
        ]

    @pytest.mark.parametrize(
        ("p", "follow", "grows"),
        [(0.04, "follow", "grows"), (0.06, "do not clearly follow", "does not clearly grow")],
    )
    def test_states_an_effect_only_if_it_is_significant(self, p: float, follow: str, grows: str):
        facts = {"run": "SRN seed 1", "p": p}
        places = facts | {"unseen": 0.1, "control": -0.001, "places": "those of annotations"}
        relations = facts | {"correlation": 0.2}
        (text,) = headline.why({"fig5-places": places, "relations": relations})
        assert text == (
            f"Why? In SRN seed 1: neurons {follow} the centre of a label's attention (correlation 0.10; 0.00 "
            f"with shuffled positions; p = {p}); the influence of labels on each other {grows} with how "
            f"often they occur together (correlation +0.20, p = {p})."
        )


def test_labels_without_a_gain_are_never_chosen():
    assert choose_labels([5.0, np.nan, 1.0]) == [0, 2]


def test_a_label_that_a_spreadsheet_would_run_has_an_apostrophe_in_front(tmp_path):
    rows = [{"label": "=1+1", "gain": -2.5}, {"label": "@cat", "gain": None}]
    shown = figure.ReportFigure("fig", figure.QUESTIONS[0], "t", "c", "a", lambda _: Figure(), rows=rows)
    figure.write(figure.DrawnFigure(shown, "<svg/>", b"", "<svg/>"), tmp_path)
    assert (tmp_path / "fig.csv").read_text(encoding="utf-8") == "label,gain\n'=1+1,-2.5\n'@cat,\n"
