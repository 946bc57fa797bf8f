"""The wheel: built, installed, and used from an empty folder with a card and a method of the user's own."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bench.base.paths import CARDS, ROOT

pytestmark = pytest.mark.slow

METHOD = '''"""Mine: ResNet-101's training, under a smaller loss."""

from dataclasses import dataclass, replace

from bench.training import Stage
from methods import resnet101
from methods._mine_parts import smaller


@dataclass(frozen=True)
class Config(resnet101.Config):
    factor: float = 0.5


class Model(resnet101.Model):
    pass


def stages(config: Config) -> tuple[Stage, ...]:
    return tuple(replace(stage, owner=__name__) for stage in resnet101.stages(config))


RECIPES = {"tiny": Config(**vars(resnet101.RECIPES["demo"]))}
'''
PARTS = "def smaller(loss):\n    return loss / 2\n"
USE = """
import pickle, sys
from bench import load
import numpy as np
model = load("tiny/mine", device="cpu")
print(model.predict([np.zeros((50, 60, 3), np.uint8)], top=1)[0].labels)
pickle.dump(model.loaded.model.to("cpu"), open("model.pickle", "wb"))
"""
ASK = ["run", "--dataset", "tiny", "--method", "mine", "--epochs", "2", "--batch-size", "32"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by hatchling, which the group `tests` has, without a network."""
    folder = tmp_path_factory.mktemp("dist")
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    words = ["-m", "pip", "install", "--no-index", "--no-deps", "--target", str(folder), str(wheel)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a card of 160 + 48 scenes and a method in two files."""
    made = tmp_path_factory.mktemp("work")
    card = (CARDS / "demo.toml").read_text(encoding="utf-8")
    card = card.replace("images = 6000\npositives = 28640", "images = 160")
    card = card.replace("images = 2000\npositives = 9551", "images = 48")
    texts = {"datasets/tiny.toml": card, "methods/mine.py": METHOD, "methods/_mine_parts.py": PARTS}
    for name, text in texts.items():
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_text(text, encoding="utf-8")
    return made


def start(words: list[str], site: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_it_has_cards_rows_and_records_and_no_python_beside_them(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    shipped = {name.removeprefix("bench/_shipped/") for name in names if name.startswith("bench/_shipped/")}
    assert {f"datasets/{path.name}" for path in CARDS.iterdir()} <= shipped
    assert {"results/published/SHA256SUMS", "results/reproduced/demo/srn-seed0.json"} <= shipped
    assert {Path(name).suffix for name in shipped} == {".toml", ".json", ""}
    assert {Path(name).parts[0] for name in names if "dist-info" not in name} == {"bench", "methods"}
    assert wheel.stat().st_size < 2_000_000


def test_it_knows_its_cards_and_accepted_records_in_an_empty_folder(site: Path, tmp_path: Path):
    script = start([str(site / "bin" / "multilabel-bench"), "table", "--dataset", "demo"], site, tmp_path)
    assert script.returncode == 0, script.stderr
    assert "accepted records of" in script.stdout
    module = start([sys.executable, "-m", "bench.table", "--dataset", "demo"], site, tmp_path)
    assert (module.returncode, module.stdout) == (0, script.stdout)
    code = "import bench, methods; print(bench.__file__, methods.__file__)"
    places = start([sys.executable, "-c", code], site, tmp_path).stdout.split()
    assert places == [str(site / name / "__init__.py") for name in ("bench", "methods")]
    wrong = start([str(site / "bin" / "multilabel-bench"), "run", "--dataset", "nope"], site, tmp_path)
    assert wrong.returncode == 2
    assert not list(tmp_path.iterdir())


def test_a_card_and_a_method_that_the_suite_has_never_seen(site: Path, folder: Path, tmp_path: Path):
    script = str(site / "bin" / "multilabel-bench")
    first = start([script, *ASK], site, folder)
    assert first.returncode == 0, first.stderr
    (path,) = (folder / "runs" / "tiny").glob("mine@*.json")
    assert "Mine seed 0: recorded, mAP " in first.stdout
    assert f"in {path.relative_to(folder)}" in first.stdout
    assert (folder / "data" / "tiny" / "manifest.json").exists()
    made = json.loads(path.read_text(encoding="utf-8"))["provenance"]
    assert made["commit"] is None
    assert set(made["installed"]) == {"version", "code"}
    assert set(made["own_files"]) == {"datasets/tiny.toml", "methods/mine.py", "methods/_mine_parts.py"}

    module = [sys.executable, "-m", f"bench.{ASK[0]}", *ASK[1:]]
    assert "unchanged, nothing to train" in start(module, site, folder).stdout
    elsewhere = start([*module, "--include", str(folder), "--runs", str(folder / "runs")], site, tmp_path)
    assert "unchanged, nothing to train" in elsewhere.stdout, elsewhere.stderr
    two = start([*module, "--seeds", "0,1", "--jobs", "2"], site, folder)
    assert (two.returncode, two.stdout.count("Mine seed")) == (0, 2), two.stderr

    used = start([sys.executable, "-c", USE], site, folder)
    assert used.returncode == 0, used.stderr
    code = "import pickle; print(type(pickle.load(open('model.pickle', 'rb'))))"
    again = start([sys.executable, "-c", code], site, folder)
    assert again.stdout == "<class 'methods.mine.Model'>\n", again.stderr

    (folder / "methods" / "_mine_parts.py").write_text(PARTS.replace("2", "3"), encoding="utf-8")
    changed = start(module, site, folder)
    assert "Mine seed 0: recorded" in changed.stdout
    assert "main 2/2" in changed.stderr  # it was trained again
