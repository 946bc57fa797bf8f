"""README.md: its length, its picture, its dataset card, and the two commands that it begins with."""

import re
from pathlib import Path

from bench.base.paths import ROOT
from bench.data import cards

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_is_short():
    assert len(TEXT.splitlines()) <= 150


def test_it_begins_with_a_picture_for_light_and_dark_pages():
    title, sentence, picture = TEXT.split("\n\n")[:3]
    assert title.startswith("# ")
    assert len(sentence.splitlines()) == 1
    assert 'media="(prefers-color-scheme: dark)"' in picture
    for theme in ("light", "dark"):
        assert f"docs/images/demo-table-{theme}.svg" in picture


def test_its_dataset_card_loads(tmp_path: Path):
    text = re.search(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert text
    (tmp_path / "pets.toml").write_text(text.group(1), encoding="utf-8")
    assert cards.read(tmp_path / "pets.toml").labels == ("cat", "dog")
    assert len(text.group(1).splitlines()) <= 10


def test_its_two_doors_come_first():
    headings = re.findall(r"^## (.*)", TEXT, re.MULTILINE)
    assert headings[:2] == ["Reproduce the paper", "Your own pictures"]
    assert 'pip install "nox[uv]" && nox -s reproduce-demo\nnox -s tests\n' in TEXT
