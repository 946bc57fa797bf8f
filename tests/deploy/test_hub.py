"""bench.export --push and bench.predict --run hf:ORG/NAME, against a Hub on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from PIL import Image

import bench
from bench import export, predict
from bench.base import checksums
from bench.base.errors import InputError
from bench.data.cards import Card
from bench.data.store import Store
from bench.deploy import load_model
from bench.deploy.find_run import find_run
from tests import hub_server
from tests.hub_server import Hub
from tests.records import refused
from tests.runs import finished

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(small_card: Card, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished("srn", card=small_card, store=store, folder=tmp_path_factory.mktemp("r") / "demo")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_server.hub(monkeypatch, tmp_path / "cache") as server:
        yield server


@pytest.fixture
def image(store: Store, tmp_path: Path) -> Path:
    path = tmp_path / "scene.png"
    Image.fromarray(store.test.images(np.arange(1))[0]).save(path)
    return path


def pushed(run: Path, folder: Path, *words: str) -> int:
    return export.main(["--run", str(run), "--output", str(folder), *words])


def answers(source: object, image: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Any, str]:
    """What bench.predict answers with all digits, and what it says on standard error."""
    capsys.readouterr()
    words = ["--images", str(image), "--format", "json", "--device", "cpu", "--top", "10"]
    assert predict.main(["--run", str(source), *words]) == 0
    out, err = capsys.readouterr()
    return json.loads(out), err


def test_a_pushed_model_gives_the_same_probabilities_to_the_bit_also_without_network(
    run: Path,
    server: Hub,
    image: Path,
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    pushed(run, tmp_path / "model", "--push", "mine/srn")
    commit = server.repositories["model", "mine/srn"].commits[-1][0]
    assert capsys.readouterr().out.splitlines()[-1] == f"pushed: hf:mine/srn@{commit}"
    there, said = answers("hf:mine/srn", image, capsys)
    assert there == answers(run, image, capsys)[0]
    assert f"hf:mine/srn: commit {commit}" in said.splitlines()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert answers(f"hf:mine/srn@{commit}", image, capsys)[0] == there
    images_BHWC = store.test.images(np.arange(4))
    logits = [load_model.load_model(path, CPU).logits(images_BHWC) for path in (find_run("hf:mine/srn"), run)]
    assert np.array_equal(*logits)
    assert bench.load("hf:mine/srn", device="cpu").labels == bench.load(run, device="cpu").labels


def test_one_commit_holds_weights_record_thresholds_and_a_card_that_names_the_address(
    run: Path, server: Hub, tmp_path: Path
):
    pushed(run, tmp_path / "model", "--push", "mine/srn", "--private")
    repository = server.repositories["model", "mine/srn"]
    assert (len(repository.commits), repository.private) == (2, True)
    files = server.files("model", "mine/srn")
    assert files.keys() == {".gitattributes", "README.md", "config.json", "model.safetensors"}
    record = json.loads(files["config.json"])["record"]
    assert record == json.loads(run.read_text(encoding="utf-8"))
    assert record["thresholds"]["logits"]
    card = files["README.md"].decode()
    assert "python -m bench.predict --run hf:mine/srn --images PATH..." in card
    assert "Licence: CC BY 4.0" in card
    assert (tmp_path / "model" / "README.md").read_text(encoding="utf-8") == card


def test_nothing_is_asked_of_the_hub_without_push(run: Path, server: Hub, tmp_path: Path):
    pushed(run, tmp_path / "model")
    assert server.asked == []


def test_a_push_that_cannot_succeed_is_refused_before_anything_is_written(
    run: Path,
    server: Hub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    words = ["--run", str(run), "--output", str(tmp_path / "model")]
    assert "--private belongs to --push ORG/NAME" in refused(export.main, [*words, "--private"], capsys)
    monkeypatch.setenv("HF_TOKEN", hub_server.READER)
    line = refused(export.main, [*words, "--push", "mine/srn"], capsys)
    assert line.startswith("error: hf:mine/srn: your token can only read; make a token with the right")
    assert not (tmp_path / "model").exists()
    assert server.repositories == {}


def test_damaged_weights_are_refused(
    run: Path, server: Hub, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    pushed(run, tmp_path / "model", "--push", "mine/srn")
    weights = bytearray(server.files("model", "mine/srn")["model.safetensors"])
    weights[-1] ^= 1
    server.damaged["model.safetensors"] = bytes(weights)
    capsys.readouterr()
    line = refused(predict.main, ["--run", "hf:mine/srn", "--images", str(image)], capsys)
    assert line.startswith("error: hf:mine/srn: model.safetensors is damaged: it has not the digest")


def test_a_model_whose_method_is_not_of_this_checkout_is_refused_and_no_code_is_fetched(
    run: Path, server: Hub, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    pushed(run, tmp_path / "model", "--push", "mine/srn")
    config = json.loads(server.files("model", "mine/srn")["config.json"])
    config["record"]["method"] = "theirs"
    config["record"][checksums.KEY] = checksums.of_object(config["record"])
    config[checksums.KEY] = checksums.of_object(config)
    other = {"config.json": json.dumps(config).encode(), "methods/theirs.py": b"raise SystemExit(9)"}
    server.add("model", "mine/srn", {**server.files("model", "mine/srn"), **other, "theirs.py": b"raise 1"})
    capsys.readouterr()
    with pytest.raises(InputError, match="by the code of this checkout alone: unknown method"):
        predict.main(["--run", "hf:mine/srn", "--images", str(image)])
    assert not [request for request in server.asked if "theirs.py" in request]


def test_a_repository_that_is_no_exported_model(server: Hub, image: Path, capsys: pytest.CaptureFixture[str]):
    server.add("model", "mine/other", {"pytorch_model.bin": b"pickle"})
    line = refused(predict.main, ["--run", "hf:mine/other", "--images", str(image)], capsys)
    assert "hf:mine/other: its commit " in line
    assert line.endswith(" has no config.json\n")
