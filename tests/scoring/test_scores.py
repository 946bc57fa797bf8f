"""`bench.evaluate`: what `bench.score` prints for a file, from arrays, without torch."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bench
from bench import evaluate, score
from bench.base.errors import InputError
from bench.base.paths import ROOT
from bench.scoring import metrics, profiles

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(60, 4)).astype(np.float32)
LABELS = RNG.choice([1, 0, -1], size=(60, 4)).astype(np.int8)
NAMES = ("cat", "dog", "bird", "fish")


@pytest.mark.parametrize("profile", profiles.PROFILES)
@pytest.mark.parametrize(
    "rules", [{}, {"top3": "forced"}, {"unspecified": "negative"}, {"unspecified": "excluded"}], ids=str
)
def test_its_columns_are_those_of_the_command(
    profile: str, rules: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    np.savez(tmp_path / "p.npz", logits=LOGITS, labels=LABELS, label_names=np.array(NAMES))
    options = [word for name, value in rules.items() for word in (f"--{name}", value)]
    words = ["--predictions", str(tmp_path / "p.npz"), "--profile", profile, "--all-metrics", *options]
    assert score.main([*words, "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    scores = evaluate(LOGITS, LABELS, profile=profile, names=NAMES, further=True, **rules)
    said = {**row["all"], **row["further"]}
    said |= {f"top-3 {name}": value for name, value in row.get("top3", {}).items()}
    assert dict(scores) == said
    assert dict(scores.AP) == row["AP"]


def test_lists_tensors_and_booleans_are_taken():
    expected = dict(evaluate(LOGITS, LABELS == 1))
    weights = torch.nn.Parameter(torch.from_numpy(LOGITS))
    assert dict(evaluate(LOGITS.tolist(), (LABELS == 1).tolist())) == pytest.approx(expected)
    assert dict(evaluate(weights, torch.from_numpy(LABELS == 1))) == expected
    half = weights.detach().bfloat16()
    assert dict(evaluate(half, LABELS == 1)) == dict(evaluate(half.float(), LABELS == 1))


def test_probabilities_are_scored_as_the_logits_that_they_stand_for():
    p = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    assert dict(evaluate(p, LABELS, probabilities=True)) == dict(evaluate(metrics.logit(p), LABELS))
    (remark,) = [text for text in evaluate(p, LABELS).remarks if "probabilities" in text]
    assert remark == "All values lie from 0 to 1; if they are probabilities, add probabilities=True."


def test_a_profile_of_ones_own_is_taken():
    own = profiles.get_profile("voc2007")
    scores = evaluate(LOGITS, LABELS, profile=own)
    assert (scores.profile, list(scores)) == ("a profile of your own", ["mAP"])


def test_it_prints_a_line_for_each_column_and_remark():
    scores = evaluate([[2.0, 1], [-1, 2]], [[1, 0], [0, 0]], names=["cat", "dog"])
    lines = str(scores).splitlines()
    assert lines[:2] == ["srn2017: 2 images, 2 labels, in percent", "mAP   100.00"]
    assert "Labels without a positive, 1 of 2: dog." in lines
    assert np.isnan(scores.AP["dog"])


def test_an_unknown_column_lists_those_there_are():
    with pytest.raises(KeyError, match="no column 'F1-C' by profile voc2007; there are: mAP"):
        evaluate(LOGITS, LABELS, profile="voc2007")["F1-C"]


@pytest.mark.parametrize(
    ("logits", "labels", "options", "message"),
    [
        ([1.0, 2.0], [1, 0], {}, r"logits have shape \(2,\) .* give numbers, images x classes"),
        ([[1.0, 2.0]], [[1]], {}, r"logits have shape \(1, 2\), labels \(1, 1\); they must be the same"),
        ([[1.0], [2.0, 3.0]], [[1], [0]], {}, "logits are not a matrix of numbers"),
        ([["a"]], [[1]], {}, "give numbers, images x classes"),
        ([[1.0, np.nan]], [[1, 0]], {}, r"logits: nan in row 0, column 1 .* must be finite"),
        ([[1.0, 2.0]], [[1, 2]], {}, "labels: 2 in row 0, column 1 .* a label is 1, 0 or -1"),
        ([[1.0, 2.0]], [[1, 1]], {}, "labels: every label is 1"),
        ([[1.0, 2.0]], [[1, 0]], {"unspecified": "excluded"}, "if 0 means negative, leave out unspecified"),
        ([[0.2, 2.0]], [[1, 0]], {"probabilities": True}, "row 0, column 1 .* 2.0 is not a probability"),
        ([[0.2, 2.0]], [[1, 0]], {"names": ["cat"]}, "names: give 2 different names"),
        ([[0.2, 2.0]], [[1, 0]], {"names": "ab"}, "names: give 2 different names"),
        ([[0.2, 2.0]], [[1, 0]], {"profile": "srn"}, "unknown .*'srn'; choose from: .*srn2017"),
        ([[0.2, 2.0]], [[1, 0]], {"top3": "all"}, "unknown top3 'all'; choose from: forced, thresholded"),
        ([[0.2, 2.0]], [[1, 0]], {"unspecified": "x"}, "unknown unspecified 'x'; choose from: negative"),
    ],
)
def test_a_wrong_input_is_one_line(logits: Any, labels: Any, options: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message) as refused:
        evaluate(logits, labels, **options)
    assert "\n" not in str(refused.value)


def test_an_unknown_argument_is_refused():
    with pytest.raises(TypeError, match="threshold"):
        evaluate(LOGITS, LABELS, threshold=0.5)


def test_the_package_is_cheap_to_import_and_evaluate_needs_no_torch():
    code = (
        "import sys, bench; assert not {'numpy', 'torch'} & set(sys.modules); from bench import evaluate;"
        "print(evaluate([[2.0, -1.0]], [[1, 0]])['mAP']); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "100.0\n"


def test_the_package_has_these_two_names_and_no_others():
    assert dir(bench) == ["evaluate", "load"]
    with pytest.raises(AttributeError, match="module 'bench' has no attribute 'scoer'"):
        bench.scoer  # noqa: B018
