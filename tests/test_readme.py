"""The README tells the truth: its table is generated, its card loads, its commands exist."""

import re
from pathlib import Path

import pytest

from bench import __main__ as listing
from bench import cards, table
from bench.paths import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


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
