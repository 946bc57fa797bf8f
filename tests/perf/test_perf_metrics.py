"""`python -m bench.perf metrics` compares with scikit-learn; `bench.perf` lists the measurements."""

import json

import numpy as np
import pytest

from bench import __main__ as listing
from bench.perf import __main__ as perf
from bench.perf import metrics
from bench.scoring.profiles import PROFILES
from tests.records import refused

SMALL = ["metrics", "--images", "60", "--labels", "6", "--repeat", "1"]


def test_every_profile_is_measured_beside_scikit_learn(capsys):
    assert perf.main([*SMALL, "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert list(results["profiles"]) == list(PROFILES)
    for row in results["profiles"].values():
        assert row["speed"] == pytest.approx(results["scikit_learn_seconds"] / row["seconds"])
    assert results["bootstrap_1000_seconds"] > 0


def test_the_text_states_size_seconds_ratio_memory_and_goals(capsys):
    assert perf.main(SMALL) == 0
    text = capsys.readouterr().out
    lines = [line.split() for line in text.splitlines()]
    assert lines[0][:3] == ["60", "x", "6"]
    assert all(len(line) == 6 for line in lines if line[0] in PROFILES)
    assert "at most 0.5 s, at least 4 times scikit-learn's speed" in lines_of_goal(text)


def lines_of_goal(text):
    return next(line for line in text.splitlines() if line.startswith("goal"))


@pytest.mark.parametrize(
    ("change", "missed"),
    [({}, False), ({"seconds": 0.6}, True), ({"speed": 3.9}, True), ({"memory": 3.1}, True)],
)
def test_a_missed_goal_is_reported(change, missed):
    row = {"seconds": 0.4, "speed": 5.0, "memory": 1.0} | change
    assert metrics.is_met(row) != missed
    results = {"images": 1, "labels": 1, "profiles": {"asl": row}, "scikit_learn_seconds": 1.0}
    results |= {"bootstrap_1000_seconds": 1.0, "missed": ["asl"] if missed else []}
    assert lines_of_goal(metrics.as_text(results)).endswith(
        "missed by asl" if missed else "met by every profile"
    )


def test_the_sample_has_nus_wides_share_of_positives_and_no_empty_class():
    logits, labels = metrics.sample(20_000, 40)
    assert 0.012 < labels.mean() < 0.03
    assert labels.sum(axis=0).min() >= 1
    assert labels.mean(axis=0).max() > 5 * labels.mean(axis=0).min()
    assert logits.dtype == np.float32


def test_programs_take_turns_and_the_best_round_counts():
    order = []
    spent = metrics.best_seconds({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repeat=2)
    assert order == ["a", "b", "a", "b"]
    assert set(spent) == {"a", "b"}


def test_memory_is_the_peak_of_what_is_allocated():
    assert 8e6 <= metrics.peak_memory(lambda: np.ones(1_000_000).sum()) < 9e6


def test_measurements_are_found_by_file_name_and_listed(capsys):
    assert set(perf.measurements()) == {"data", "gpu", "labels", "metrics", "train"}
    with pytest.raises(SystemExit) as ended:
        perf.main(["--help"])
    assert ended.value.code == 0
    assert f"  metrics    {perf.measurements()['metrics']}" in capsys.readouterr().out
    assert "bench.perf" in listing.commands()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "unknown measurement ''; choose from: "),
        (["speed"], "unknown measurement 'speed'; choose from: "),
        (["metrics", "--images", "0"], "--images, --labels and --repeat must be at least 1"),
        (["metrics", "--images", "many"], "argument --images: invalid int value: 'many'"),
    ],
)
def test_a_mistake_is_reported_in_one_line_with_status_2(words, message, capsys):
    assert message in refused(perf.main, words, capsys)
