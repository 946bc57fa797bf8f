"""`python -m bench.score`: each format and profile gives the numbers of `evaluate`."""

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest

from bench import score
from bench.base.paths import ROOT
from bench.base.protocol import ALL, TOP3, Evaluation
from bench.data import cards
from bench.results import table_formats
from bench.scoring import further, thresholds
from bench.scoring.metrics import COLUMNS, evaluate
from bench.scoring.profiles import PROFILES
from tests import plain_metrics as plain
from tests.records import refused

LOGITS, LABELS = np.array(plain.LOGITS), np.array(plain.LABELS)


@pytest.fixture
def files(tmp_path):
    """The contract's vector as the paper's authors publish predictions: text, `%.6f`, and labels 0/1."""
    np.savetxt(tmp_path / "p.txt", LOGITS, fmt="%.6f")
    np.savetxt(tmp_path / "t.txt", LABELS, fmt="%d")
    return ["--predictions", str(tmp_path / "p.txt"), "--labels", str(tmp_path / "t.txt")]


def shown(capsys, *words):
    assert score.main([*words]) == 0
    return capsys.readouterr().out


def rows(capsys, *words):
    """The JSON rows by title."""
    return {row["title"]: row for row in json.loads(shown(capsys, *words, "--format", "json"))["rows"]}


def test_a_text_file_gives_the_contracts_numbers_by_the_default_profile(files, capsys):
    (row,) = rows(capsys, *files).values()
    expected = [70.138889, 55.714286, 72.916667, 66.666667, 66.666667, 63.636364, 70]
    assert [row["all"][name] for name in ALL] == pytest.approx(expected, abs=5e-7)
    assert (row["profile"], row["source"], row["top3"]) == ("srn2017", "scored", {})
    assert list(row["AP"].values()) == pytest.approx([72.222222, 75, 33.333333, 100], abs=5e-7)


@pytest.mark.parametrize("top3", ["forced", "thresholded"])
def test_all_gives_a_row_for_every_profile_with_the_numbers_of_evaluate(top3, files, capsys):
    found = rows(capsys, *files, "--profile", "all", "--top3", top3)
    assert list(found) == list(PROFILES)
    for name, row in found.items():
        expected = evaluate(LOGITS, LABELS, profile=name, top3=top3)
        known = {column: expected[column] for column in ALL if not np.isnan(expected[column])}
        assert row["all"] == known
        assert row["top3"] == {k: v for k, v in expected["top3"].items() if not np.isnan(v)}


def test_several_profiles_may_be_named(files, capsys):
    assert list(rows(capsys, *files, "--profile", "asl,voc2007")) == ["asl", "voc2007"]


@pytest.mark.parametrize("form", table_formats.FORMATS)
def test_every_form_names_every_profile_and_what_it_means(form, files, capsys):
    text = shown(capsys, *files, "--profile", "all", "--format", form)
    assert all(name in text for name in PROFILES)
    assert ("class never predicted" in text.replace("\n  ", " ")) == (form != "csv")


def test_the_text_has_a_line_a_profile_and_marks_the_other_family_of_f1_c(files, capsys):
    text = shown(capsys, *files, "--profile", "all", "--top3", "thresholded")
    lines = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line and line[0] != " "}
    assert lines["srn2017"][:3] == ["70.1", "55.7", "72.9"]
    for name, rules in PROFILES.items():
        assert any(cell.endswith("a") for cell in lines[name]) == (rules.f1_c == "harmonic"), name
    assert "a: harmonic mean of P-C and R-C, not the mean of the classes' F1." in text
    assert lines["voc2007"] == [f"{evaluate(LOGITS, LABELS, profile='voc2007')['mAP']:.1f}", *"-" * 12]
    assert lines["asl"][-6:] == list("-" * 6)


def test_csv_has_every_digit(files, capsys):
    (row,) = csv.DictReader(io.StringIO(shown(capsys, *files, "--format", "csv")))
    assert float(row["P-O"]) == evaluate(LOGITS, LABELS)["P-O"]


def test_the_data_sets_card_says_how_its_paper_scores(tmp_path, capsys, monkeypatch):
    card = (cards.CARDS / "wider.toml").read_text(encoding="utf-8")
    monkeypatch.setattr(cards, "CARDS", tmp_path)
    (tmp_path / "wider.toml").write_text(card, encoding="utf-8")
    labels = np.random.default_rng(0).choice([-1, 0, 1], (30, 14))
    logits = np.random.default_rng(1).normal(size=(30, 14))
    np.savez(tmp_path / "p.npz", logits=logits, labels=labels)
    (row,) = rows(capsys, "--predictions", str(tmp_path / "p.npz"), "--dataset", "wider").values()
    expected = evaluate(logits, labels, unspecified="negative")
    assert row["all"] == {name: expected[name] for name in ALL}
    excluded = rows(
        capsys, "--predictions", str(tmp_path / "p.npz"), "--dataset", "wider", "--unspecified", "excluded"
    )
    assert excluded["srn2017"]["all"]["P-O"] == evaluate(logits, labels, unspecified="excluded")["P-O"]


def test_probabilities_give_what_their_logits_give(files, tmp_path, capsys):
    np.save(tmp_path / "p.npy", 1 / (1 + np.exp(-LOGITS)))
    words = ["--predictions", str(tmp_path / "p.npy"), *files[2:], "--probabilities"]
    assert rows(capsys, *words)["srn2017"]["all"] == pytest.approx(rows(capsys, *files)["srn2017"]["all"])


def test_what_a_reader_must_know_stands_below(tmp_path, capsys):
    """Labels without a positive by name, and 0 beside -1, which nothing guesses the meaning of."""
    np.savez(
        tmp_path / "p.npz", logits=LOGITS, labels=np.where(LABELS, [1, 0, 1, -1], 0), label_names=list("abcd")
    )
    text = shown(capsys, "--predictions", str(tmp_path / "p.npz"))
    assert "Labels without a positive, 2 of 4: b, d." in text
    assert "The labels hold 0 and -1, and both count as negative; --unspecified" in text
    assert "hold 0 and -1" not in shown(
        capsys, "--predictions", str(tmp_path / "p.npz"), "--unspecified", "excluded"
    )
    assert rows(capsys, "--predictions", str(tmp_path / "p.npz"))["srn2017"]["AP"]["b"] is None


class TestOracle:
    def test_it_has_the_best_threshold_of_all(self, files, capsys):
        found = rows(capsys, *files, "--profile", "all", "--oracle-thresholds")
        oracles = {row["profile"]: row for row in found.values() if row["marks"]}
        assert set(oracles) == {name for name, rules in PROFILES.items() if rules.positive}
        for name, row in oracles.items():
            plain_row = found[name]
            sums = [one["all"]["F1-C"] + one["all"]["F1-O"] for one in (row, plain_row)]
            assert sums[0] >= sums[1]
            assert row["all"]["mAP"] == plain_row["all"]["mAP"]

    def test_no_threshold_that_it_tries_is_better(self, files, capsys):
        found = rows(capsys, *files, "--oracle-thresholds")
        (oracle,) = [row for row in found.values() if row["marks"]]
        at = {p: np.log(p / (1 - p)) < LOGITS for p in np.arange(1, 100) / 100}
        best = max(self.gain(said) for said in at.values())
        assert oracle["all"]["F1-C"] + oracle["all"]["F1-O"] == pytest.approx(best)
        assert self.gain(at[oracle["threshold"]]) == pytest.approx(best)

    @staticmethod
    def gain(said):
        """F1-C + F1-O, by the definition of F1 alone."""
        tp, wrong = (said & (LABELS == 1)).sum(0), (said != (LABELS == 1)).sum(0)
        return 100 * (2 * tp / (2 * tp + wrong)).mean() + 100 * 2 * tp.sum() / (2 * tp.sum() + wrong.sum())

    @pytest.mark.parametrize("form", table_formats.FORMATS)
    def test_it_is_labelled_wherever_it_is_printed(self, form, files, capsys):
        words = [*files, "--profile", "mcar", "--format", form]
        assert "oracle" not in shown(capsys, *words)
        text = shown(capsys, *words, "--oracle-thresholds")
        numbers = [line for line in text.splitlines() if "mcar, p" in line]
        assert numbers
        assert "oracle" in text if form == "json" else all("oracle" in line for line in numbers)


class TestIntervals:
    def test_every_column_has_one_and_it_is_the_same_every_time(self, files, capsys):
        words = [*files, "--top3", "forced", "--bootstrap", "60"]
        (row,) = rows(capsys, *words).values()
        assert (row,) == tuple(rows(capsys, *words).values())
        for group, names in (("all", ALL), ("top3", TOP3)):
            assert list(row["low"][group]) == list(row["high"][group]) == list(names)
            assert all(row["low"][group][name] <= row["high"][group][name] for name in names)
        assert row["low"]["all"]["F1-O"] < row["all"]["F1-O"] < row["high"]["all"]["F1-O"]

    def test_they_stand_below_the_numbers_and_are_explained(self, files, capsys):
        text = shown(capsys, *files, "--bootstrap", "60")
        lines = [line.split()[:2] for line in text.splitlines()]
        assert lines.index(["97.5", "%"]) == lines.index(["2.5", "%"]) + 1
        assert "2.5 %, 97.5 %: 95 % interval from 60 bootstrap replicates" in text

    def test_too_few_replicates_are_refused(self, files, capsys):
        message = refused(score.main, [*files, "--bootstrap", "39"], capsys)
        assert message == "error: --bootstrap 39 is too few; give at least 40, better 1000\n"


def test_what_empty_classes_add_to_a_mean_is_said(tmp_path, capsys):
    """Under srn2017 a class without positives that is never predicted counts as 100."""
    np.savez(tmp_path / "q.npz", logits=-np.ones((4, 2)), labels=[[1, 0], [1, 0], [0, 0], [0, 0]])
    row = rows(capsys, "--predictions", str(tmp_path / "q.npz"))["srn2017"]
    assert row["all"]["F1-C"] == pytest.approx(50)
    remark = row["remarks"]["all"]["F1-C"]
    assert remark.startswith("1 of 2 classes have no positive and are never predicted; they count as 100")
    assert remark.endswith("which is 50.0 points of this mean")


def test_how_much_the_order_of_ties_decides_is_said(tmp_path, capsys):
    np.savez(tmp_path / "q.npz", logits=np.zeros((4, 1)), labels=[[1], [0], [0], [0]])
    words = ["--predictions", str(tmp_path / "q.npz")]
    text = " ".join(shown(capsys, *words).split())
    assert "mAP: 25.00 with the positives among them last, 100.00 with them first" in text
    assert "Equal logits" not in shown(capsys, *words, "--profile", "sklearn")


@pytest.mark.parametrize("form", ["csv", "json"])
def test_formats_for_programs_warn_on_standard_error(form, tmp_path, capsys):
    np.savez(tmp_path / "q.npz", logits=abs(LOGITS) / 100, labels=LABELS)
    assert score.main(["--predictions", str(tmp_path / "q.npz"), "--format", form]) == 0
    assert (
        "warning: All values lie from 0 to 1; if they are probabilities, add --prob"
        in capsys.readouterr().err
    )


def test_a_text_that_a_spreadsheet_would_run_has_an_apostrophe_in_front(tmp_path, capsys):
    np.savez(tmp_path / "=cmd.npz", logits=LOGITS, labels=LABELS)
    text = shown(capsys, "--predictions", str(tmp_path / "=cmd.npz"), "--format", "csv")
    assert text.splitlines()[1].startswith("'=cmd,")


def test_output_goes_to_a_file(files, tmp_path, capsys):
    path = tmp_path / "scores.json"
    assert shown(capsys, *files, "--format", "json", "--output", str(path)) == f"written: {path}\n"
    assert json.loads(path.read_text(encoding="utf-8"))["rows"][0]["profile"] == "srn2017"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--profile", "coco"], "unknown profile 'coco'; choose from: srn2017, mlgcn, "),
        (["--profile", "mcar,"], "unknown profile ''; choose from: "),
        (["--dataset", "zoo"], "unknown data set 'zoo'; choose from: "),
        (["--top3", "all"], "argument --top3: invalid choice: 'all' (choose from "),
        (["--format", "pdf"], "argument --format: invalid choice: 'pdf' (choose from "),
        (["--probabilities"], "p.txt: line 1, column 1: 2.0 is not a probability, from 0 to 1"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(words, message, files, capsys):
    assert message in refused(score.main, [*files, *words], capsys)


def test_a_missing_label_for_top3_is_said(tmp_path, capsys):
    np.savez(tmp_path / "p.npz", logits=LOGITS[:, :2], labels=LABELS[:, :2])
    message = refused(score.main, ["--predictions", str(tmp_path / "p.npz"), "--top3", "forced"], capsys)
    assert message == "error: k = 3, but an image has 2 labels; choose k from 1 to 2\n"


def test_it_runs_as_a_command_without_torch(files):
    code = f"import sys; from bench import score; score.main({files!r}); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "6 images, 4 labels" in done.stdout


def test_numbers_are_the_columns_and_nothing_else(files, capsys):
    (row,) = rows(capsys, *files).values()
    assert tuple(row["all"]) == ("mAP", *COLUMNS)


class TestFurtherMetrics:
    @pytest.fixture
    def scored(self, tmp_path):
        """Two files as a program may write them, of 60 scored and 40 held-out images; label d is rare."""
        rng = np.random.default_rng(0)
        for name, images in (("test", 60), ("held", 40)):
            labels = (rng.random((images, 4)) < [0.5, 0.4, 0.4, 0.05]).astype(int)
            ids = [f"{name}{number}" for number in range(images)]
            logits = (rng.normal(size=(images, 4)) + 2 * labels - 2).round(1)
            np.savez(
                tmp_path / f"{name}.npz", logits=logits, labels=labels, label_names=list("abcd"), ids=ids
            )
        return tmp_path

    def test_every_form_has_them_if_they_are_asked_for(self, scored, capsys):
        words = ["--predictions", str(scored / "test.npz"), "--profile", "sklearn,voc2007"]
        data = np.load(scored / "test.npz")
        values = further.general(data["logits"], data["labels"], Evaluation())
        decided = further.of_decisions(data["logits"], data["labels"], PROFILES["sklearn"], Evaluation())
        found = rows(capsys, *words, "--all-metrics")
        assert found["sklearn"]["further"] == values | decided
        assert found["voc2007"]["further"] == values
        assert list(found["sklearn"]["ECE"]) == list(found["sklearn"]["AUROC"]) == list("abcd")
        csv_text = shown(capsys, *words, "--all-metrics", "--format", "csv")
        first = next(csv.DictReader(io.StringIO(csv_text)))
        assert {name: float(first[name]) for name in values | decided} == values | decided
        for form in ("text", "markdown", "latex", "html"):
            text = " ".join(shown(capsys, *words, "--all-metrics", "--format", form).split())
            assert all(f"{name}: {value:.2f}" in text for name, value in (values | decided).items()), form
            assert "AUROC" not in shown(capsys, *words, "--format", form)

    def test_with_a_bootstrap_each_has_an_interval_in_every_form(self, scored, capsys):
        words = ["--predictions", str(scored / "test.npz"), "--profile", "sklearn", "--all-metrics"]
        words += ["--bootstrap", "50"]
        (row,) = rows(capsys, *words).values()
        names = set(row["further"])
        assert names <= set(row["low"]["further"])
        assert all(row["low"]["further"][name] <= row["high"]["further"][name] for name in names)
        assert (
            row["low"]["further"]["AUROC-C"] < row["further"]["AUROC-C"] < row["high"]["further"]["AUROC-C"]
        )
        first = next(csv.DictReader(io.StringIO(shown(capsys, *words, "--format", "csv"))))
        assert float(first["low ECE"]) == row["low"]["further"]["ECE"]
        text = " ".join(shown(capsys, *words).split())
        low, high = (row[end]["further"]["one-error"] for end in ("low", "high"))
        assert f"one-error: {row['further']['one-error']:.2f} [{low:.2f}, {high:.2f}]; share" in text
        assert "an image drawn twice counts twice in its bin" in text
        assert "from 50 bootstrap replicates, as are the brackets." in text

    def test_labels_that_a_mean_leaves_out_are_said(self, scored, capsys):
        labels = np.load(scored / "test.npz")["labels"]
        labels[:, 3] = 0
        np.savez(scored / "none.npz", logits=np.load(scored / "test.npz")["logits"], labels=labels)
        words = ["--predictions", str(scored / "none.npz"), "--all-metrics"]
        text = " ".join(shown(capsys, *words).split())
        assert "AUROC-C leaves out 1 of 4 labels, which have no positive or no negative: column 3." in text

    def test_without_the_option_json_and_csv_are_as_before(self, scored, capsys):
        words = ["--predictions", str(scored / "test.npz")]
        (row,) = rows(capsys, *words).values()
        assert {"further", "ECE", "thresholds"}.isdisjoint(row)
        head = shown(capsys, *words, "--format", "csv").splitlines()[0]
        assert head.endswith(",".join(ALL))

    def test_thresholds_fitted_on_held_out_images_make_a_row_that_says_so(self, scored, capsys):
        words = ["--predictions", str(scored / "test.npz"), "--held-out", str(scored / "held.npz")]
        found = rows(capsys, *words, "--profile", "sklearn,voc2007")
        assert list(found) == ["sklearn", "sklearn, by label", "voc2007"]
        held, data = np.load(scored / "held.npz"), np.load(scored / "test.npz")
        fitted = thresholds.fit_thresholds(held["logits"], held["labels"])
        rules = thresholds.with_thresholds(PROFILES["sklearn"], fitted)
        expected = evaluate(data["logits"], data["labels"], profile=rules)
        row = found["sklearn, by label"]
        assert row["all"] == {name: expected[name] for name in ALL}
        assert list(row["thresholds"].values()) == list(rules.thresholds)
        assert np.isnan(fitted).tolist() == [False, False, False, True]
        meaning = "1 of 4 labels, with less than 10 positives or negatives there: d"
        assert meaning in row["marks"]["fitted"]
        assert meaning in " ".join(shown(capsys, *words).split())

    def test_in_csv_the_marks_are_explained_on_standard_error(self, scored, capsys):
        words = ["--predictions", str(scored / "test.npz"), "--held-out", str(scored / "held.npz")]
        score.main([*words, "--oracle-thresholds", "--format", "csv"])
        warned = capsys.readouterr().err
        assert (
            "warning: srn2017, by label (fitted): each label has a threshold of its own, fitted on" in warned
        )
        assert "(oracle): the threshold, of p =" in warned

    def test_thresholds_are_never_fitted_on_scored_images(self, scored, capsys):
        words = ["--predictions", str(scored / "test.npz"), "--held-out", str(scored / "test.npz")]
        message = refused(score.main, words, capsys)
        assert "60 of its images, such as 'test0', are among those that are scored" in message
        data = np.load(scored / "test.npz")
        np.savez(scored / "bare.npz", logits=data["logits"], labels=data["labels"])
        np.savez(scored / "part.npz", logits=data["logits"][20:3:-1], labels=data["labels"][20:3:-1])
        words = ["--predictions", str(scored / "bare.npz"), "--held-out", str(scored / "part.npz")]
        message = refused(score.main, words, capsys)
        assert "its images are among those that are scored" in message

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (
                ["--held-out", "{}/x.npy"],
                "x.npy holds no labels of the held-out images; add --held-out-labels",
            ),
            (["--held-out-labels", "{}/x.npy"], "--held-out-labels: give the predictions of these images as"),
            (["--held-out", "{}/narrow.npz"], "narrow.npz has 3 labels, "),
        ],
    )
    def test_held_out_predictions_that_do_not_fit_are_refused(self, words, message, scored, capsys):
        np.save(scored / "x.npy", np.zeros((3, 4)))
        np.savez(scored / "narrow.npz", logits=np.zeros((3, 3)), labels=np.ones((3, 3)))
        np.savez(scored / "bare.npz", logits=LOGITS, labels=LABELS)
        given = [word.format(scored) for word in words]
        assert message in refused(score.main, ["--predictions", str(scored / "bare.npz"), *given], capsys)

    def test_ties_that_move_a_further_metric_are_said(self, tmp_path, capsys):
        np.savez(tmp_path / "q.npz", logits=np.zeros((2, 2)), labels=[[1, 0], [0, 1]])
        words = ["--predictions", str(tmp_path / "q.npz")]
        text = " ".join(shown(capsys, *words, "--all-metrics").split())
        assert "P@1 and one-error: of equal logits the label that comes first counts as higher" in text
        assert "P@1" not in shown(capsys, *words)


@pytest.mark.parametrize("form", table_formats.FORMATS)
def test_values_from_0_to_1_that_are_taken_as_logits_are_said_in_every_form(form, tmp_path, capsys):
    np.savez(tmp_path / "q.npz", logits=abs(LOGITS) / 100, labels=LABELS)
    words = ["--predictions", str(tmp_path / "q.npz"), "--format", form]
    said = "All values lie from 0 to 1; if they are probabilities, add --probabilities."
    for more in ([], ["--output", str(tmp_path / "out")]):
        assert score.main([*words, *more]) == 0
        captured = capsys.readouterr()
        told = captured.err if form in ("csv", "json") else captured.out
        if more and form not in ("csv", "json"):
            told = (tmp_path / "out").read_text(encoding="utf-8")
        assert said in " ".join(told.split())
    assert score.main([*words, "--probabilities"]) == 0
    assert "All values" not in "".join(capsys.readouterr())
