"""The README tells the truth: its table is generated, its card loads, its commands exist."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench import __main__ as listing
from bench import table
from bench.base.paths import ROOT
from bench.data import cards

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
ADD_A_METHOD = TEXT.partition("\n## Add a method\n")[2].partition("\n## ")[0]
HOLD, TRAIN, SHOW = re.findall(r"^python .*", ADD_A_METHOD, re.MULTILINE)


def test_its_table_is_the_one_of_the_accepted_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert table.main(["--dataset", "demo", "--runs", str(tmp_path)]) == 0
    printed = capsys.readouterr().out.partition("\n\n")[2].rstrip()
    shown = re.search(r"<!-- table -->\n```\n(.*?)\n```\n<!-- end of table -->", TEXT, re.DOTALL)
    assert shown
    assert shown.group(1) == printed


def test_its_card_of_ones_own_loads(tmp_path: Path):
    text = re.search(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert text
    (tmp_path / "pets.toml").write_text(text.group(1), encoding="utf-8")
    assert cards.read(tmp_path / "pets.toml").labels == ("cat", "dog")
    assert len(text.group(1).splitlines()) <= 10


def test_the_commands_that_it_names_exist():
    named = set(re.findall(r"-m (bench\.\w+)", TEXT))
    assert len(named) >= 7
    assert named <= set(listing.commands())


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project with the method of the page on methods in it, and a tiny demo."""
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


def typed(command: str, checkout: Path) -> str:
    """What a command of the page prints in the checkout."""
    words = [sys.executable, *command.split()[1:]]
    done = subprocess.run(words, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_page_on_methods_followed_word_by_word_ends_with_a_row_in_the_table(checkout: Path):
    assert "ResNet-101-top seed 0: recorded, mAP" in typed(TRAIN, checkout)
    rows = [line.split() for line in typed(SHOW, checkout).splitlines() if "ResNet-101-top" in line]
    assert [row[1] for row in rows] == ["1"]


@pytest.mark.slow
def test_its_page_on_methods_holds_the_method_to_what_every_method_promises(checkout: Path):
    assert re.search(r"\d+ passed, \d+ deselected", typed(HOLD, checkout))
