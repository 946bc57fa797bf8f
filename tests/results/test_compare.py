"""`python -m bench.compare`: the differences between two predictions and their intervals."""

import csv
import io
import json
from typing import Any

import numpy as np
import pytest

from bench import compare
from bench.base.protocol import ALL, TOP3, Evaluation
from bench.scoring import further
from bench.scoring.bootstrap import draw_weights, interval
from bench.scoring.metrics import evaluate
from bench.scoring.predictions import Predictions, write_predictions
from tests.records import refused

NAMES = ["plain", "better", "worse", "empty"]


def truth(images: int = 400) -> Any:
    labels = (np.random.default_rng(0).random((images, 4)) < 0.3).astype(np.int8)
    labels[:, 3] = 0
    return labels


@pytest.fixture
def files(tmp_path):
    """Predictions A, and B: the same, with one label predicted far better and one far worse."""
    labels = truth()
    rng = np.random.default_rng(1)
    a = rng.normal(size=labels.shape) + labels
    b = a + rng.normal(scale=0.01, size=labels.shape)
    b[:, 1] += 2 * labels[:, 1]
    b[:, 2] -= labels[:, 2]
    for name, logits in (("a.npz", a), ("b.npz", b)):
        np.savez(tmp_path / name, logits=logits, labels=labels, label_names=NAMES)
    return [str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]


def shown(capsys, *words):
    assert compare.main(["--predictions", *words]) == 0
    return capsys.readouterr().out


def found(capsys, *words):
    return json.loads(shown(capsys, *words, "--bootstrap", "100", "--format", "json"))


def test_every_metric_is_that_of_evaluate_and_the_difference_is_b_minus_a(files, capsys):
    lines = {line["name"]: line for line in found(capsys, *files, "--top3", "forced")["metrics"]}
    a, b = (evaluate(np.load(file)["logits"], truth(), top3="forced") for file in files)
    assert list(lines) == [*ALL, *(f"top-3 {name}" for name in TOP3)]
    for name in ALL:
        assert (lines[name]["a"], lines[name]["b"]) == (a[name], b[name])
        assert lines[name]["difference"] == b[name] - a[name]
    assert lines["top-3 P-O"]["b"] == b["top3"]["P-O"]


def test_labels_are_sorted_by_what_b_gains_and_those_without_positives_are_left_out(files, capsys):
    lines = found(capsys, *files)["labels"]
    assert [line["name"] for line in lines] == ["better", "plain", "worse"]
    assert [line["is_clear"] for line in lines] == [True, False, True]
    assert lines[0]["low"] > 0 > lines[-1]["high"]


def test_the_interval_is_of_the_paired_difference(files, capsys):
    """Of the same images drawn for both; by hand, for mAP and for the first label's AP."""
    result = found(capsys, *files)
    (weights,) = [np.concatenate(list(draw_weights(400, 100)), axis=1)]
    differences = []
    for weight in weights.T:
        scores = [
            evaluate(*(np.repeat(matrix, weight, axis=0) for matrix in (np.load(file)["logits"], truth())))
            for file in files
        ]
        differences.append([scores[1]["mAP"] - scores[0]["mAP"], scores[1]["AP"][0] - scores[0]["AP"][0]])
    ends = np.array(interval(np.array(differences)))
    lines = [result["metrics"][0], next(line for line in result["labels"] if line["name"] == "plain")]
    mine = np.array([[line[end] for line in lines] for end in ("low", "high")])
    assert mine == pytest.approx(ends)


def test_all_metrics_adds_the_further_ones_with_paired_intervals(files, capsys):
    """By hand for one-error and the mean AUROC, whose replicates are those of the images repeated."""
    lines = {line["name"]: line for line in found(capsys, *files, "--all-metrics")["metrics"]}
    names = [name for name in (*further.GENERAL, *further.DECISIONS) if name != "P@5"]
    assert list(lines) == [*ALL, *names]
    logits = [np.load(file)["logits"] for file in files]
    values = [further.general(matrix, truth(), Evaluation()) for matrix in logits]
    (weights,) = [np.concatenate(list(draw_weights(400, 100)), axis=1)]
    for name in ("one-error", "AUROC-C"):
        assert (lines[name]["a"], lines[name]["b"]) == (values[0][name], values[1][name])
        drawn = [
            [
                further.general(*(np.repeat(x, weight, axis=0) for x in (m, truth())), Evaluation())[name]
                for m in logits
            ]
            for weight in weights.T
        ]
        ends = interval(np.diff(drawn, axis=1)[:, 0])
        assert (lines[name]["low"], lines[name]["high"]) == pytest.approx(ends, abs=1e-9)
    text = " ".join(shown(capsys, *files, "--all-metrics", "--bootstrap", "40").split())
    assert "A: AUROC-C leaves out 1 of 4 labels, which have no positive or no negative: empty." in text


def test_pairing_makes_the_interval_narrow(files, capsys):
    """The two share all but a hundredth of their noise on this label: unpaired, its AP varies by points."""
    line = next(line for line in found(capsys, *files)["labels"] if line["name"] == "plain")
    assert line["high"] - line["low"] < 1


def test_a_file_does_not_differ_from_itself(files, capsys):
    result = found(capsys, files[0], files[0])
    lines = [*result["metrics"], *result["labels"]]
    assert {(line["difference"], line["low"], line["high"], line["is_clear"]) for line in lines} == {
        (0, 0, 0, False)
    }


def test_text_names_the_files_the_size_and_what_the_star_means(files, capsys):
    text = shown(capsys, *files, "--bootstrap", "40", "--profile", "mcar")
    for part in (
        f"A: {files[0]}",
        "400 images, 4 labels; in percent, profile mcar.",
        "*: the interval does not contain 0.",
    ):
        assert part in text
    cells = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert cells["better"][3].startswith("+")
    assert cells["worse"][-1] == "*"
    assert max(map(len, text.splitlines())) <= 140


def test_markdown_and_csv_hold_the_same(files, capsys):
    text = shown(capsys, *files, "--bootstrap", "40", "--format", "markdown")
    assert "| AP of label" in text
    printed = shown(capsys, *files, "--bootstrap", "40", "--format", "csv")
    lines = list(csv.DictReader(io.StringIO(printed)))
    assert [line["name"] for line in lines if line["kind"] == "label"] == ["better", "plain", "worse"]
    assert f"{float(lines[0]['difference']):+.2f}" in text


def test_labels_may_stand_in_a_file_of_their_own_for_both(tmp_path, files, capsys):
    for name in ("a", "b"):
        np.savetxt(tmp_path / f"{name}.txt", np.load(tmp_path / f"{name}.npz")["logits"])
    np.savetxt(tmp_path / "t.txt", truth(), fmt="%d")
    words = [str(tmp_path / "a.txt"), str(tmp_path / "b.txt"), "--labels", str(tmp_path / "t.txt")]
    mine, whole = found(capsys, *words), found(capsys, *files)
    assert mine["metrics"] == whole["metrics"]


def test_output_goes_to_a_file(files, tmp_path, capsys):
    path = tmp_path / "c.csv"
    words = [*files, "--bootstrap", "40", "--format", "csv", "--output", str(path)]
    assert shown(capsys, *words) == f"written: {path}\n"
    assert path.read_text(encoding="utf-8").startswith("kind,name,a,b,difference,low,high,is_clear\n")


def test_mistakes_are_one_line_and_status_2(files, tmp_path, capsys):
    np.savez(tmp_path / "c.npz", logits=np.zeros((400, 4)), labels=1 - truth(), label_names=NAMES)
    other = refused(compare.main, ["--predictions", files[0], str(tmp_path / "c.npz")], capsys)
    assert "c.npz: another ground truth: label 'plain' of image 0 is" in other
    few = refused(compare.main, ["--predictions", *files, "--bootstrap", "0"], capsys)
    assert few == "error: --bootstrap 0 is too few; give at least 40, better 1000\n"
    one = refused(compare.main, ["--predictions", files[0]], capsys)
    assert "--predictions: expected 2 arguments" in one


def test_each_files_doubts_and_the_labels_remarks_are_said(tmp_path, capsys):
    """B holds probabilities; with the word for it the two are the same."""
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(60, 3)), (rng.random((60, 3)) < 0.4).astype(int)
    labels[:, 2] = -1
    labels[0, 0] = -1
    np.savez(tmp_path / "a.npz", logits=logits, labels=labels)
    np.savez(tmp_path / "b.npz", logits=1 / (1 + np.exp(-logits)), labels=labels)
    words = ["--predictions", str(tmp_path / "a.npz"), str(tmp_path / "b.npz"), "--bootstrap", "100"]
    compare.main(words)
    text = capsys.readouterr().out
    assert "B: All values lie from 0 to 1" in text
    assert "A: All values" not in text
    assert "Labels without a positive, 1 of 3: column 2." in text
    assert "The labels hold 0 and -1" in text
    compare.main([*words, "--probabilities", "B"])
    text = capsys.readouterr().out
    assert "All values" not in text
    assert "*" not in text.replace("; *:", "")


def test_a_file_without_names_stands_beside_one_with_them_by_position(tmp_path, capsys):
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(40, 2)), rng.integers(0, 2, size=(40, 2))
    np.save(tmp_path / "y.npy", labels)
    np.save(tmp_path / "a.npy", logits)
    rows = "\n".join(",".join(map(str, row)) for row in logits.tolist())
    (tmp_path / "a.csv").write_text(f"cat,dog\n{rows}\n", encoding="utf-8")
    for names in (["a.npy", "a.csv"], ["a.csv", "a.npy"]):
        files = [str(tmp_path / name) for name in names]
        compare.main(["--predictions", *files, "--labels", str(tmp_path / "y.npy"), "--bootstrap", "100"])
        text = capsys.readouterr().out
        assert "cat" in text
        assert "column 0" not in text


def test_other_pixels_of_equal_sources_and_other_data_are_said(tmp_path, capsys):
    labels = truth()
    known = {"sources": "50", "libraries": {"Pillow": "12.0.0"}, "fingerprint": "f1" * 32}
    others = {
        "same": {},
        "pixels": {"fingerprint": "0d" * 32, "libraries": {"Pillow": "13.0.0"}},
        "data": {"fingerprint": "0d" * 32, "sources": "51"},
    }
    paths = {name: str(tmp_path / f"{name}.safetensors") for name in ("a", *others)}
    for name, changes in {"a": {}, **others}.items():
        facts = {"data": {**known, **changes}}
        content = Predictions(labels.astype(np.float32), labels.astype(np.int8), facts)
        write_predictions(tmp_path / f"{name}.safetensors", content)
    said = {name: shown(capsys, paths["a"], paths[name], "--bootstrap", "100") for name in others}
    assert "A and B" not in said["same"]
    assert "A and B: equal sources, other pixels: Pillow 12.0.0 and 13.0.0." in said["pixels"]
    assert "A and B: other data: fingerprint f1f1f1f1f1f1 and 0d0d0d0d0d0d." in said["data"]


def test_empty_classes_and_ties_are_said_of_each_file(tmp_path, capsys):
    labels = np.eye(40, 5, dtype=int)
    np.savez(tmp_path / "a.npz", logits=np.full((40, 5), -1.0), labels=labels)
    np.savez(tmp_path / "b.npz", logits=np.arange(200.0).reshape(40, 5) + 1, labels=labels)
    words = ["--predictions", str(tmp_path / "a.npz"), str(tmp_path / "b.npz"), "--bootstrap", "100"]
    for form in ("text", "csv"):
        assert compare.main([*words, "--profile", "srn2017", "--top3", "forced", "--format", form]) == 0
        printed = capsys.readouterr()
        text = printed.out if form == "text" else printed.err
        assert "A: Equal logits rank in the order of the file, which decides mAP: " in text
        assert "A: In 40 of 40 images the third and fourth highest logits are equal" in text
        assert "B: In" not in text
    labels[:, 4] = 0
    np.savez(tmp_path / "a.npz", logits=np.full((40, 5), -1.0), labels=labels)
    np.savez(tmp_path / "b.npz", logits=np.arange(200.0).reshape(40, 5) + 1, labels=labels)
    assert compare.main([*words, "--profile", "srn2017"]) == 0
    text = capsys.readouterr().out
    assert (
        "A: 1 of 5 classes have no positive and are never predicted; they count as 100, which is 20" in text
    )
    assert "B: 1 of 5 classes" not in text
