"""docs/methods.md, followed word by word: the file that it shows, the commands, and the row in the table."""

import ast
import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.base.paths import ROOT

TEXT = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
ADD_A_METHOD = TEXT.partition("\n## Add a method\n")[2].partition("\n## ")[0]
TEST, TRAIN, SHOW = re.findall(r"^python .*", ADD_A_METHOD, re.MULTILINE)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project with the method of the page in it, and a tiny demo."""
    for name in ("bench", "methods", "datasets", "results", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    card = tmp_path / "datasets" / "demo.toml"
    text = card.read_text(encoding="utf-8")
    text = re.sub(r"images = 6000\npositives = \d+", "images = 160", text)
    card.write_text(re.sub(r"images = 2000\npositives = \d+", "images = 48", text), encoding="utf-8")
    (file,) = re.findall(r"This is all of `(methods/\w+\.py)`", ADD_A_METHOD)
    (code,) = re.findall(r"```python\n(.*?)```", ADD_A_METHOD, re.DOTALL)
    (tmp_path / file).write_text(code, encoding="utf-8")
    return tmp_path


def run_in(checkout: Path, command: str) -> str:
    """What a command of the page prints in the checkout."""
    words = [sys.executable, *command.split()[1:]]
    done = subprocess.run(words, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_new_method_ends_with_a_row_in_the_table(checkout: Path):
    assert "ResNet-101-top seed 0: recorded, mAP" in run_in(checkout, TRAIN)
    rows = [line.split() for line in run_in(checkout, SHOW).splitlines() if "ResNet-101-top" in line]
    assert [row[1] for row in rows] == ["1"]


@pytest.mark.slow
def test_the_new_method_passes_the_tests_of_every_method(checkout: Path):
    assert re.search(r"\d+ passed, \d+ deselected", run_in(checkout, TEST))


def test_the_names_of_its_example_in_python_exist():
    (code,) = re.findall(r"```python\n(.*?)```", TEXT.partition("\n## Predict and export\n")[2], re.DOTALL)
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            assert all(hasattr(module, alias.name) for alias in node.names)
