"""bench.export: the exported folder gives the same logits to the bit, and its files describe the model."""

import copy
import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import huggingface_hub as hub
import numpy as np
import onnxruntime
import pytest
import safetensors
import torch
from PIL import Image

from bench import export, predict
from bench.base.errors import InputError
from bench.data.cards import Card
from bench.data.store import Store
from bench.deploy import hub_folder, load_model, model_card, onnx_model
from bench.deploy.load_model import LoadedModel
from tests import method_files
from tests.records import refused
from tests.runs import finished

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(small_card: Card, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished("srn", card=small_card, store=store, folder=tmp_path_factory.mktemp("r") / "demo")


@pytest.fixture(scope="module")
def original(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the command writes."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    assert export.main(["--run", str(run), "--output", str(folder)]) == 0
    return folder


@pytest.fixture
def exported(original: Path, tmp_path: Path) -> Path:
    """An exported model that a test may damage."""
    return shutil.copytree(original, tmp_path / "model")


def test_it_holds_weights_configuration_and_card_and_no_pickle(exported: Path):
    assert {path.name for path in exported.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    with safetensors.safe_open(exported / "model.safetensors", framework="pt") as file:
        assert "classifier.weight" in file.keys()  # noqa: SIM118 (no mapping)


def test_bench_predict_gives_the_same_answer_for_the_run_and_the_exported_folder(
    run: Path, exported: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    Image.fromarray(store.test.images(np.arange(1))[0]).save(tmp_path / "scene.png")
    answers = []
    for source in (run, exported):
        words = ["--images", str(tmp_path / "scene.png"), "--format", "json", "--device", "cpu"]
        assert predict.main(["--run", str(source), *words]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0] == answers[1]
    assert len(answers[0][0]["labels"]) == 5


def test_the_configuration_has_the_record_and_the_entries_of_other_programs(run: Path, exported: Path):
    config = json.loads((exported / "config.json").read_text(encoding="utf-8"))
    assert config["record"] == json.loads(run.read_text(encoding="utf-8"))
    assert config["architectures"] == ["SRN"]
    assert config["id2label"]["9"] == "nine"
    assert config["label2id"]["nine"] == 9
    assert (config["image_size"], config["image_mean"][0], config["image_std"][2]) == (64, 0.485, 0.225)


def test_the_card_says_of_an_edited_record_that_it_is_and_shows_no_raw_html(loaded: LoadedModel):
    assert "by hand" not in model_card.text(loaded, onnx=False)
    edited = replace(loaded, record={**loaded.record, "checksum": "0", "variant": "a=<script>"})
    text = model_card.text(edited, onnx=False)
    assert "**Edited by hand:** the record was changed after it was written" in text
    assert "a=&lt;script&gt;" in text
    assert "[a=<script>]" not in text.partition("\n---\n")[2]


def test_labels_keep_their_logits_when_a_program_sorts_the_keys(loaded: LoadedModel, exported: Path):
    path = exported / "config.json"
    table = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(table, sort_keys=True), encoding="utf-8")
    assert load_model.load_model(exported, CPU).labels == loaded.labels != tuple(sorted(loaded.labels))


def test_the_hub_reads_the_front_matter_of_the_card_and_its_scores_are_the_records(run: Path, exported: Path):
    card = hub.ModelCard.load(exported / "README.md")
    recorded = json.loads(run.read_text(encoding="utf-8"))["metrics"]["srn2017"]
    scores = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert scores["mAP"] == pytest.approx(recorded["mAP"], abs=1e-4)
    assert scores["top-3 F1-O"] == pytest.approx(recorded["top3"]["F1-O"], abs=1e-4)
    assert {result.dataset_name for result in card.data.eval_results} == {"Digit scenes"}
    assert card.data.pipeline_tag == "image-classification"
    assert f"| {recorded['mAP']:.2f} |" in re.sub(" +", " ", card.text)
    for words in (
        "# SRN [",
        "python -m bench.predict --run DIR",
        "zero, one, two",
        "CC BY 4.0",
        "from bench.deploy.load_model import load_model",
    ):
        assert words in card.text
    assert "model.onnx" not in card.text


@pytest.fixture(scope="module")
def loaded(run: Path) -> LoadedModel:
    return load_model.load_model(run, CPU)


@pytest.fixture(scope="module")
def with_onnx(loaded: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has the model in ONNX as well."""
    folder = tmp_path_factory.mktemp("onnx") / "model"
    hub_folder.write_folder(loaded, folder, onnx=True)
    return folder


class TestOnnx:
    @pytest.mark.parametrize("number", [1, 2, 7])
    def test_onnxruntime_gives_the_same_logits_for_any_number_of_images(
        self, loaded: LoadedModel, with_onnx: Path, store: Store, number: int
    ):
        images_BHWC = store.test.images(np.arange(number))
        session = onnxruntime.InferenceSession(with_onnx / "model.onnx", providers=["CPUExecutionProvider"])
        (logits_BC,) = session.run(["logits"], {"images": images_BHWC})
        np.testing.assert_allclose(logits_BC, loaded.logits(images_BHWC), rtol=1e-4, atol=1e-4)
        assert logits_BC.shape == (number, 10)

    def test_the_card_describes_input_and_output(self, with_onnx: Path):
        card = (with_onnx / "README.md").read_text(encoding="utf-8")
        assert "its input `images` is uint8\n(B, 64, 64, 3), its output `logits` is (B, 10)" in card

    def test_a_missing_package_is_named_with_the_command_that_installs_it(
        self, loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setitem(sys.modules, "onnxscript", None)
        command = "pip install onnx onnxruntime onnxscript"
        with pytest.raises(InputError, match=f"--onnx needs a package that is not installed .*: {command}"):
            hub_folder.write_folder(loaded, tmp_path / "model", onnx=True)
        assert list(tmp_path.iterdir()) == []

    def test_a_model_that_onnx_cannot_express_is_refused_in_one_line_and_nothing_is_written(
        self, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ):
        """Like MCAR's cummax, for which the exporter has no function."""

        def logits(self: torch.nn.Module, images_BCHW: torch.Tensor) -> torch.Tensor:
            return plain(self, images_BCHW).cummax(dim=1).values

        model = type(load_model.load_model(run, CPU).model)
        plain = model.logits
        monkeypatch.setattr(model, "logits", logits)
        capfd.readouterr()
        words = ["--run", str(run), "--output", str(tmp_path / "model"), "--onnx"]
        line = refused(export.main, words, capfd)
        assert line.startswith(
            "error: ONNX cannot express SRN (No ONNX function found for <OpOverload(op='aten."
        )
        assert line.endswith("; leave --onnx out\n")
        assert list(tmp_path.iterdir()) == []

    def test_a_model_that_onnx_can_express_for_one_number_of_images_only_is_refused(
        self, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        def logits(self: torch.nn.Module, images_BCHW: torch.Tensor) -> torch.Tensor:
            return plain(self, images_BCHW) + torch.zeros(len(images_BCHW), 1)

        loaded = load_model.load_model(run, CPU)
        plain = type(loaded.model).logits
        monkeypatch.setattr(type(loaded.model), "logits", logits)
        with pytest.raises(InputError, match=r"ONNX cannot express SRN \(for any number of images\); leave"):
            hub_folder.write_folder(loaded, tmp_path / "model", onnx=True)
        assert list(tmp_path.iterdir()) == []

    def test_logits_that_differ_are_refused_and_nothing_is_written(
        self, loaded: LoadedModel, with_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        content = (with_onnx / "model.onnx").read_bytes()
        monkeypatch.setattr(onnx_model, "_export_bytes", lambda *_: content)
        other = replace(loaded, model=copy.deepcopy(loaded.model))
        with torch.no_grad():
            other.model.get_parameter("classifier.bias").add_(0.01)
        with pytest.raises(
            InputError, match=r"ONNX: logits differ by up to \d\S* from the model's, so nothing was"
        ):
            hub_folder.write_folder(other, tmp_path / "model", onnx=True)
        assert list(tmp_path.iterdir()) == []


class TestFaults:
    def test_a_folder_that_holds_anything_is_not_written_to(
        self, run: Path, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ):
        (tmp_path / "file").touch()
        reasons = {
            exported: "not an empty folder; give a new one",
            tmp_path / "file": "is not a folder; give another",
        }
        for output, reason in reasons.items():
            line = refused(export.main, ["--run", str(run), "--output", str(output)], capsys)
            assert f"{output}: {reason}" in line

    def test_a_folder_without_a_configuration_is_no_exported_model(self, exported: Path):
        (exported / "config.json").unlink()
        with pytest.raises(InputError, match="model: not an exported model: no config.json in it"):
            load_model.load_model(exported, CPU)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ("{", "not JSON: Expecting property name"),
            ("[]", "a JSON object is expected, not list"),
            (
                "{}",
                "not the configuration of an exported model: its schema is not 'multilabel-bench/model/1'",
            ),
            ('{"schema": "multilabel-bench/model/1"}', "of an exported model: .*not an object"),
            ('{"schema": "multilabel-bench/model/1", "record": {}}', "exported model: .*its schema is None"),
        ],
    )
    def test_a_configuration_of_another_kind_is_refused(self, exported: Path, content: str, reason: str):
        (exported / "config.json").write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=f"config.json: .*{reason}"):
            load_model.load_model(exported, CPU)

    @pytest.mark.parametrize(
        ("names", "reason"),
        [
            (None, "its id2label does not number 10 labels from 0"),
            ({"1": "one"}, "its id2label does not number 10 labels from 0"),
            ({str(n): f"{n}" for n in range(10)}, "label '0' is not in both id2label and the AP of its rec"),
            ({str(n): "one" for n in range(10)}, "label 'eight' is not in both id2label and the AP of its r"),
        ],
    )
    def test_label_names_that_differ_from_the_records_are_refused(
        self, exported: Path, names: object, reason: str
    ):
        path = exported / "config.json"
        table = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(table | {"id2label": names}), encoding="utf-8")
        with pytest.raises(InputError, match=f"config.json: not the configuration of .*: {reason}"):
            load_model.load_model(exported, CPU)

    @pytest.mark.parametrize(
        ("field", "value", "shown"),
        [
            ("trunk", 5, "trunk must be text, not 5"),
            ("input_size", "abc", "input_size must be a whole number, not 'abc'"),
            ("alpha", "abc", "alpha must be a number, not 'abc'"),
            ("alpha", None, "alpha must be a number, not null"),
            ("mirror", 1, "mirror must be true or false, not 1"),
            ("crops", [64, "b"], "crops must be a list of whole numbers"),
            ("joint_loss", "both", "unknown joint_loss 'both'; choose from: fused, separate"),
            ("patience", 1.5, "patience must be a whole number, not 1.5"),
        ],
    )
    def test_a_recipe_of_wrong_types_is_refused(self, exported: Path, field: str, value: object, shown: str):
        path = exported / "config.json"
        table = json.loads(path.read_text(encoding="utf-8"))
        table["record"]["recipe"][field] = value
        del table["checksum"]  # as of an older version; else its checksum is refused first
        path.write_text(json.dumps(table), encoding="utf-8")
        with pytest.raises(InputError, match=f"model: its recipe: {shown}$"):
            load_model.load_model(exported, CPU)

    @pytest.mark.parametrize(
        ("width", "message"),
        [
            (-1, "model: its recipe: relation_width=-1: give a whole number"),
            (7, "its tensors do not fit this code"),
        ],
    )
    def test_sizes_that_do_not_fit_its_network_are_refused(self, width: int, message: str, exported: Path):
        path = exported / "config.json"
        table = json.loads(path.read_text(encoding="utf-8"))
        table["record"]["recipe"]["relation_width"] = width
        del table["checksum"]  # as of an older version; else its checksum is refused first
        path.write_text(json.dumps(table), encoding="utf-8")
        with pytest.raises(InputError, match=message):
            load_model.load_model(exported, CPU)

    def test_a_configuration_that_was_changed_is_refused(self, exported: Path):
        path = exported / "config.json"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace('"image_size": 64', '"image_size": 65'), encoding="utf-8")
        with pytest.raises(
            InputError, match="config.json: .*changed after bench.export wrote it: .*export again"
        ):
            load_model.load_model(exported, CPU)

    def test_a_record_without_labels_is_refused(self, exported: Path):
        path = exported / "config.json"
        table = json.loads(path.read_text(encoding="utf-8"))
        del table["record"]["metrics"]["srn2017"]["AP"]
        path.write_text(json.dumps(table), encoding="utf-8")
        with pytest.raises(InputError, match="config.json: .*: no metrics.srn2017.AP$"):
            load_model.load_model(exported, CPU)

    def test_damaged_and_missing_weights_are_named(self, exported: Path):
        path = exported / "model.safetensors"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        with pytest.raises(InputError, match="model.safetensors is damaged"):
            load_model.load_model(exported, CPU)
        path.unlink()
        with pytest.raises(InputError, match="model.safetensors cannot be read"):
            load_model.load_model(exported, CPU)

    def test_a_missing_run_is_named(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        words = ["--run", "srn-seed0", "--runs", str(tmp_path), "--output", str(tmp_path / "out")]
        assert "--run srn-seed0: neither a path nor a run" in refused(export.main, words, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in method_files.working() if name != "srn"])
def test_onnx_can_express_every_method_except_the_one_whose_operator_it_lacks(
    name: str, small_card: Card, store: Store, tmp_path: Path
):
    """The file is written only if onnxruntime gives the same logits, also for another number of images."""
    run = finished(name, card=small_card, store=store, folder=tmp_path / "demo")
    if name == "mcar":  # the maximum so far of a row, by which regions end
        with pytest.raises(InputError, match=r"ONNX cannot express MCAR .*cummax"):
            hub_folder.write_folder(load_model.load_model(run, CPU), tmp_path / "model", onnx=True)
    else:
        hub_folder.write_folder(load_model.load_model(run, CPU), tmp_path / "model", onnx=True)
        assert (tmp_path / "model" / "model.onnx").stat().st_size > 0
