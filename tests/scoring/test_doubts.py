"""What makes a number doubtful: empty classes, and the order of equal logits."""

import numpy as np
import pytest

from bench.base.protocol import Evaluation
from bench.scoring import doubts, profiles
from bench.scoring.metrics import evaluate

FORCED, THRESHOLDED = Evaluation(top3="forced"), Evaluation(top3="thresholded")
# Third and fourth equal above the threshold, equal below it, the first three equal, and all different.
LOGITS = np.array([[3.0, 2, 1, 1], [3, 2, -1, -1], [1, 1, 1, 0], [4, 3, 2, 1]])
LABELS = np.array([[1, 0, 0, 1], [1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 1, 1]])
SRN = profiles.get_profile("srn2017")


def test_images_whose_third_and_fourth_logits_tie_are_counted():
    assert doubts.top3_ties(LOGITS, SRN, FORCED) == 2
    assert doubts.top3_ties(LOGITS, SRN, THRESHOLDED) == 1
    assert doubts.top3_ties(LOGITS.astype(np.float32), SRN, FORCED) == 2


@pytest.mark.parametrize("profile", profiles.PROFILES)
def test_ties_are_counted_where_the_order_of_labels_moves_a_number(profile: str):
    rules = profiles.get_profile(profile)
    if not rules.top3:
        assert doubts.top3_ties(LOGITS, rules, FORCED) == 0
        return
    scores = [
        evaluate(LOGITS[:1, order], LABELS[:1, order], profile=rules, top3="forced")["top3"]["F1-O"]
        for order in ([0, 1, 2, 3], [0, 1, 3, 2])
    ]
    assert scores[0] != scores[1]
    assert doubts.top3_ties(LOGITS[:1], rules, FORCED) == 1


def test_three_labels_or_no_top3_rule_have_no_ties():
    assert doubts.top3_ties(LOGITS[:, :3], SRN, FORCED) == 0
    assert doubts.top3_ties(LOGITS, SRN, Evaluation()) == 0


def test_the_sentences():
    logits_NC, labels_NC = np.full((4, 5), -1.0), np.eye(4, 5)
    said = list(doubts.remarks(logits_NC, labels_NC, SRN, FORCED))
    assert said[0].startswith("1 of 5 classes have no positive and are never predicted; they count as 100, w")
    assert "20.0 points of P-C, R-C and F1-C" in said[0]
    assert said[-1].startswith("In 4 of 4 images the third and fourth highest logits are equal: the order of")


def test_what_a_record_says():
    labels_NC = np.eye(4, 5)
    assert doubts.counts(np.full((4, 5), -1.0), labels_NC, SRN, FORCED) == {
        "empty_classes": {"all": 1, "top3": 1},
        "ties": {"top3": 4},
    }
    distinct = np.arange(20.0).reshape(4, 5) + 1  # every class is predicted: counted, and none is empty
    assert doubts.counts(distinct, labels_NC, SRN, Evaluation()) == {"empty_classes": {}}
    assert doubts.counts(LOGITS[3:], np.ones((1, 4)), SRN, FORCED) == {}
