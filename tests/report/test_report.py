"""`bench.report` on a small run: the page, its figures and numbers, and the error messages."""

import html
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import run
from bench.base import paths
from bench.base.run_folder import RunFolder
from bench.data import cards, preparation
from bench.data.store import Store
from bench.deploy import load_model
from bench.report import __main__ as report
from bench.report import figure, model_outputs
from bench.report.evidence import gather
from bench.report.model_outputs import collect_outputs
from bench.report.sections import Sections, Sources, collect
from bench.results import record
from bench.scoring import predictions
from bench.training import device
from tests import records
from tests.training.test_run import FEW

FIGURES = {
    "fig7-gain",
    "precision-recall",
    "per-class-ap",
    "fig3-attention",
    "fig5-places",
    "branches",
    "fig6-company",
    "relations",
    "training-curves",
}


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a small demo: its card and data, runs of two methods, and their report."""
    folder = tmp_path_factory.mktemp("trial")
    text = (cards.CARDS / "demo.toml").read_text(encoding="utf-8")
    text = re.sub(r"images = \d+\npositives = \d+", "images = 160", text)
    (folder / "cards").mkdir()
    (folder / "cards" / "demo.toml").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cards, "CARDS", folder / "cards")
        words = ["--dataset", "demo", "--method", "resnet101,srn", "--jobs", "1", *FEW, *places(folder)]
        assert run.main(words) == 0
        assert report.main(command(folder)) == 0
        yield folder


def places(folder: Path) -> list[str]:
    return ["--data", str(folder / "data"), "--runs", str(folder / "runs")]


def command(folder: Path, *words: str, output: str = "out") -> list[str]:
    return ["--dataset", "demo", "--output", str(folder / output), *places(folder), *words]


def contents(folder: Path, *, runs: Path | None = None, **choice: str) -> Sections:
    """The contents of a report, not drawn."""
    evidence = gather("demo", RunFolder.of("demo", runs or folder / "runs"), **choice)
    return collect(evidence, Sources(folder / "data", None, 1000))


class Page(HTMLParser):
    """Every tag of a page with its attributes, and the text of its captions."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.captions: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)
        if tag == "figcaption":
            self.captions.append("")

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "figcaption" in self.open:
            self.captions[-1] += data


class TestThePage:
    def test_refers_to_nothing_outside_its_folder_and_has_no_scripts(self, trial: Path):
        page = Page(trial / "out" / "index.html")
        for tag, facts in page.tags:
            assert tag not in ("script", "link", "iframe", "img", "object")
            for name in ("src", "href", "xlink:href"):
                text = facts.get(name) or ""
                is_inside = text.startswith(("#", "data:")) or (trial / "out" / text).is_file()
                assert is_inside or not text, text
        style = re.findall(r"<style>.*?</style>", (trial / "out/index.html").read_text(), re.DOTALL)
        assert not re.search(r"@import|url\((?!#)", "".join(style))

    def test_has_every_figure_in_two_widths_with_description_and_caption(self, trial: Path):
        page = Page(trial / "out" / "index.html")
        figures = [facts["id"] for tag, facts in page.tags if tag == "figure"]
        drawings = [facts for tag, facts in page.tags if tag == "svg"]
        assert sorted(figures) == sorted(FIGURES)
        assert len(figures) == len(page.captions) == len(FIGURES)
        assert len(drawings) == 2 * len(FIGURES)  # for a wide and a narrow screen
        assert all(facts["role"] == "img" and facts["aria-label"] for facts in drawings)
        assert all(len(caption) > 30 for caption in page.captions)

    def test_names_the_run_whose_weights_were_used(self, trial: Path):
        numbers = (trial / "out" / "figures").glob("*.json")
        with_run = [facts for path in numbers if "run" in (facts := json.loads(path.read_text("utf-8")))]
        assert len(with_run) == 5
        for facts in with_run:
            assert facts["run"].endswith(" seed 0")
            assert facts["run"] in facts["caption"]
        text = html.unescape((trial / "out" / "index.html").read_text(encoding="utf-8"))
        assert f"Why?</strong> In {with_run[0]['run']}: " in text
        assert "to the logit of another in y_sr alone" in text

    def test_ids_that_drawings_refer_to_are_unique(self, trial: Path):
        text = (trial / "out" / "index.html").read_text(encoding="utf-8")
        ids = re.findall(r'\bid="([^"]+)"', text)
        for name in set(re.findall(r'(?:url\(#|href="#)([^")]+)', text)):
            uses = {drawing for drawing in text.split("<svg")[1:] if f'id="{name}"' in drawing}
            assert len(uses) == ids.count(name) == 1, name

    def test_begins_with_sentences_with_the_numbers_of_the_records(self, trial: Path):
        text = (trial / "out" / "index.html").read_text(encoding="utf-8")
        mAP = {
            run_record["method"]: run_record["metrics"]["srn2017"]["mAP"]
            for run_record in record.read_folder(trial / "runs" / "demo")
        }
        headline = text[: text.index("<h2>")]
        assert f"mAP {mAP['srn']:.1f} %" in headline
        assert f"{mAP['srn'] - mAP['resnet101']:+.2f} points (95 % interval" in headline
        assert headline.count("<li>") == 3

    def test_has_the_same_figures_when_drawn_again(self, trial: Path):
        for report_figure in contents(trial).figures[:2]:
            written = (trial / "out/figures" / f"{report_figure.name}.svg").read_text("utf-8")
            assert figure.draw(report_figure).wide == written


class TestFiles:
    @pytest.mark.parametrize("kind", ["png", "svg", "csv", "json"])
    def test_every_figure_has_a_file_of_every_kind(self, trial: Path, kind: str):
        starts = {"png": b"\x89PNG", "svg": b"<?xml", "json": b"{"}
        paths_by_name = {path.stem: path for path in (trial / "out" / "figures").glob(f"*.{kind}")}
        assert set(paths_by_name) >= FIGURES
        assert all(path.read_bytes().startswith(starts.get(kind, b"")) for path in paths_by_name.values())

    def test_every_axis_states_what_it_measures(self, trial: Path):
        """With its unit in brackets."""
        for name in ("fig7-gain", "precision-recall", "training-curves"):
            text = (trial / "out" / "figures" / f"{name}.svg").read_text(encoding="utf-8")
            assert re.search(r">[^<]*\[(%|points|mean)\]", text), name

    def test_the_gain_of_every_label_is_the_difference_of_the_records(self, trial: Path):
        written = json.loads((trial / "out" / "figures" / "fig7-gain.json").read_text())
        baseline, subject = record.read_folder(trial / "runs" / "demo")
        for row in written["rows"]:
            both = [made["metrics"]["srn2017"]["AP"][row["label"]] for made in (subject, baseline)]
            assert row["gain"] == pytest.approx(both[0] - both[1])
            assert row["low"] <= row["high"]

    def test_the_last_branch_scores_as_the_record_says(self, trial: Path):
        found = json.loads((trial / "out" / "figures" / "branches.json").read_text())
        assert found["mAP"]["y"] == pytest.approx(recorded_mAP(trial), abs=mAP_tolerance())

    def test_the_last_branch_scores_nearly_so_where_a_gpu_rounds_to_bfloat16(
        self, trial: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(device, "precision", lambda _: torch.bfloat16)
        (found,) = (one for one in contents(trial).figures if one.name == "branches")
        assert found.facts["mAP"]["y"] != pytest.approx(recorded_mAP(trial), abs=1e-6)
        assert found.facts["mAP"]["y"] == pytest.approx(recorded_mAP(trial), abs=mAP_tolerance())


def recorded_mAP(trial: Path) -> float:
    return float(record.read_folder(trial / "runs" / "demo")[1]["metrics"]["srn2017"]["mAP"])


def mAP_tolerance() -> float:
    """How far, in points, a recomputed mAP may be from the record's.

    bfloat16 has 8 significant bits, so that images with nearly equal logits may change places.
    """
    return 5e-5 if device.precision(device.choose()) is torch.float32 else 1.0


class TestModelOutputs:
    def model(self, trial: Path) -> tuple[load_model.LoadedModel, Store]:
        (path,) = (trial / "runs" / "demo").glob("srn@*.json")
        store = preparation.prepare(cards.load_card("demo"), data=trial / "data")
        return load_model.load_model(path, torch.device("cpu")), store

    def test_outputs_are_those_that_were_predicted(self, trial: Path):
        model, store = self.model(trial)
        outputs = collect_outputs(model, store.test, images=1000)
        (path,) = (trial / "runs" / "demo" / "predictions").glob("srn@*.safetensors")
        assert np.allclose(outputs.prediction_MC, predictions.read_predictions(path).logits_NC, atol=1e-5)
        assert outputs.ids == tuple(store.test.column("id"))
        assert np.allclose(outputs.attention_MCHW.sum(axis=(2, 3)), 1, atol=1e-5)
        assert (outputs.weighted_MCHW <= outputs.attention_MCHW).all()

    def test_few_images_are_taken_from_the_whole_view(self, trial: Path):
        model, store = self.model(trial)
        all_, few = (collect_outputs(model, store.test, images=number) for number in (1000, 4))
        assert few.rows_M.tolist() == [0, 53, 106, 159]
        assert np.allclose(few.neurons_MK, all_.neurons_MK[few.rows_M], atol=1e-5)
        assert (few.pixels_MSS3 == all_.pixels_MSS3[few.rows_M]).all()

    @torch.no_grad()
    def test_influence_is_the_logit_with_a_map_minus_the_logit_without(self, trial: Path):
        model, store = self.model(trial)
        outputs = collect_outputs(model, store.test, images=1000)
        net, plain = model.model, np.zeros((10, 10))
        for label in range(10):
            rows = np.flatnonzero(outputs.labels_MC[:, label] == 1)
            maps = torch.from_numpy(outputs.weighted_MCHW[rows])
            fewer = maps.clone()
            fewer[:, label] = 0
            plain[label] = (net.regularization(maps) - net.regularization(fewer)).mean(dim=0).numpy()
        assert np.allclose(outputs.influence_CC, plain, atol=1e-4)

    def test_where_a_gpu_rounds_to_bfloat16_influence_is_still_exact(
        self, trial: Path, monkeypatch: pytest.MonkeyPatch
    ):
        model, store = self.model(trial)
        exact = collect_outputs(model, store.test, images=20)
        monkeypatch.setattr(device, "precision", lambda _: torch.bfloat16)
        rounded = collect_outputs(model, store.test, images=20)
        assert not np.array_equal(rounded.prediction_MC, exact.prediction_MC)
        assert np.allclose(rounded.prediction_MC, exact.prediction_MC, atol=0.1)
        assert np.array_equal(rounded.influence_CC, exact.influence_CC, equal_nan=True)

    def test_the_boxes_of_the_demo_are_those_of_its_labels(self, trial: Path):
        _, store = self.model(trial)
        ids = [str(name) for name in store.test.column("id")]
        boxes_of_images = model_outputs.boxes(cards.load_card("demo"), None, ids)
        assert boxes_of_images
        for boxes, labels_C in zip(boxes_of_images, store.test.labels_NC, strict=True):
            assert {box.label for box in boxes} == set(np.flatnonzero(labels_C == 1))


class TestWithoutSomeFiles:
    def test_accepted_records_alone_give_table_and_gain_and_the_command_for_the_rest(
        self,
        trial: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ):
        """As in a fresh checkout: records, but neither predictions nor weights."""
        records.write_all(tmp_path / "accepted" / "demo", *record.read_folder(trial / "runs" / "demo"))
        monkeypatch.setattr(paths, "REPRODUCED", tmp_path / "accepted")
        words = ["--dataset", "demo", "--output", str(tmp_path / "out"), "--data", str(trial / "data")]
        assert report.main([*words, "--runs", str(tmp_path / "runs")]) == 0
        assert capsys.readouterr().out == f"written: {tmp_path / 'out' / 'index.html'}\n"
        page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
        drawn = {path.stem for path in (tmp_path / "out" / "figures").glob("*.svg")}
        assert drawn == {"fig7-gain", "per-class-ap", "training-curves"}
        assert "need predictions; run: python -m bench.run --dataset demo --method resnet101,srn" in page
        assert "its weights are not in" in page
        assert "; run: python -m bench.run --dataset demo --method srn" in page

    def test_a_method_without_attention_is_named(self, trial: Path):
        content = contents(trial, subject="ResNet-101", baseline="SRN")
        assert content.missing == [
            (
                "Attention, neurons and label relations: "
                "the method resnet101 has no attention maps and neurons to show"
            )
        ]
        assert content.headline[0].startswith("Does it help? ")
        assert "ResNet-101 [" in content.headline[0].partition(" has mAP ")[0]

    def test_a_store_of_other_images_than_those_of_the_records_is_not_used(self, trial: Path, tmp_path: Path):
        shutil.copytree(trial / "runs", tmp_path / "runs")
        for path in (tmp_path / "runs" / "demo").glob("*.json"):
            text = path.read_text(encoding="utf-8")
            path.write_text(re.sub(r'"fingerprint": "\w+"', '"fingerprint": "0"', text), encoding="utf-8")
        (missing,) = contents(trial, runs=tmp_path / "runs").missing
        assert " holds other images than the record of srn@" in missing
        assert missing.endswith("to train it again, run: python -m bench.run --dataset demo --method srn")

    def test_a_record_of_another_input_size_takes_nothing_from_the_page(self, trial: Path, tmp_path: Path):
        shutil.copytree(trial / "runs", tmp_path / "runs")
        other = record_of(trial, "resnet101")
        other = {**other, "variant": "input_size=32", "recipe": {**other["recipe"], "input_size": 32}}
        other |= {"data": {**other["data"], "fingerprint": "0" * 64}}
        records.write_all(tmp_path / "runs" / "demo", other)
        content = contents(trial, runs=tmp_path / "runs")
        assert not content.missing
        assert {"fig3-attention", "branches", "relations"} <= {one.name for one in content.figures}
        assert "input_size=32" not in content.headline[0]

    def test_labels_are_text_and_neither_mathematics_nor_html(self, trial: Path):
        names = ("$\\frac{$", "<script>x</script>", "a$b$c", "100 %_^{")
        found = gather("demo", RunFolder.of("demo", trial / "runs"))
        labels = (*names, *found.card.labels[len(names) :])
        named = replace(
            found, card=replace(found.card, labels=labels), members=renamed(found.members, labels)
        )
        content = collect(named, Sources(trial / "data", None, 64))
        drawn = [figure.draw(one) for one in content.figures]
        assert any("$\\frac{$" in one.wide for one in drawn)
        assert not any("<script" in one.wide + one.narrow for one in drawn)

    def test_predictions_of_another_run_are_left_out_and_named(self, trial: Path, tmp_path: Path):
        shutil.copytree(trial / "runs", tmp_path / "runs")
        (path,) = (tmp_path / "runs" / "demo" / "predictions").glob("resnet101@*.safetensors")
        kept = predictions.read_predictions(path)
        predictions.write_predictions(path, replace(kept, logits_NC=-kept.logits_NC))
        content = contents(trial, runs=tmp_path / "runs")
        reason = "left out, because they do not score what their record states"
        assert content.missing[-1] == f"Predictions {path}: {reason}"
        assert "interval" not in content.headline[0]

    def test_one_method_alone_is_not_compared(self, trial: Path, tmp_path: Path):
        records.write_all(tmp_path / "runs" / "demo", record_of(trial, "resnet101"))
        content = contents(trial, runs=tmp_path / "runs")
        assert content.headline[0].startswith(
            "No methods are compared, because there are only records of ResNet"
        )
        assert [report_figure.name for report_figure in content.figures] == [
            "per-class-ap",
            "training-curves",
        ]


def renamed(members: Any, labels: tuple[str, ...]) -> Any:
    """The same records with other names of the labels."""

    def rename(one: record.Record) -> record.Record:
        scores = {
            profile: {**values, "AP": dict(zip(labels, values["AP"].values(), strict=True))}
            for profile, values in one["metrics"].items()
        }
        return {**one, "metrics": scores}

    return {group: [rename(one) for one in of] for group, of in members.items()}


def record_of(trial: Path, method: str) -> record.Record:
    by_method = {made["method"]: made for made in record.read_folder(trial / "runs" / "demo")}
    return by_method[method]


class TestErrors:
    def refused(self, folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> str:
        return records.refused(report.main, command(folder, *words), capsys)

    def test_an_unknown_data_set_is_named(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        message = self.refused(tmp_path, capsys, "--dataset", "damo")
        assert message.startswith("error: unknown data set 'damo'; choose from: ")

    def test_without_records_the_command_that_makes_them_is_named(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(cards, "CARDS", paths.CARDS)
        message = self.refused(tmp_path, capsys, "--dataset", "coco")
        assert "there is nothing to report: no records yet" in message
        assert message.endswith("run: python -m bench.run --dataset coco --method all\n")

    def test_a_method_without_a_record_is_named_with_those_that_have_one(
        self, trial: Path, capsys: pytest.CaptureFixture[str]
    ):
        message = self.refused(trial, capsys, "--method", "resnet107")
        assert message == "error: there is no record of resnet107; there are records of: resnet101, srn\n"

    def test_too_few_images_are_refused(self, trial: Path, capsys: pytest.CaptureFixture[str]):
        assert self.refused(trial, capsys, "--images", "3") == "error: --images 3: give at least 8\n"

    def test_a_folder_that_cannot_be_written_is_named(self, trial: Path, capsys: pytest.CaptureFixture[str]):
        (trial / "file").write_text("")
        words = command(trial, output="file/out")
        message = records.refused(report.main, words, capsys)
        assert "file/out: cannot be entered: Not a directory; give another folder: --output DIR" in message

    def test_records_of_other_labels_are_refused(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        records.write_all(tmp_path / "runs" / "demo", records.fake())
        message = self.refused(tmp_path, capsys)
        assert message == "error: srn-seed0.json: its labels are not those of demo.toml\n"

    def test_annotations_of_other_images_are_refused(self):
        with pytest.raises(report.InputError, match="do not have image 'x.jpg' of the store"):
            model_outputs.boxes(cards.load_card("demo"), None, ["x.jpg"])
