"""`nox -s reproduce-<card>`: a mistake is named in a line before anything is installed."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from bench.base.errors import InputError
from bench.base.paths import ROOT
from bench.data import cards


@pytest.fixture(scope="module")
def noxfile() -> Any:
    spec = importlib.util.spec_from_file_location("noxfile", ROOT / "noxfile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def session(*words: str) -> Any:
    """What the functions use of nox's session."""

    def error(message: str) -> NoReturn:
        raise InputError(message)

    return SimpleNamespace(posargs=list(words), error=error)


def test_nox_itself_finds_the_cards_and_names_a_mistake():
    """As the command `nox`, which does not look for modules in the folder where it is."""
    words = [sys.executable, "-P", "-m", "nox", "--no-venv", "-s", "reproduce-coco", "--", "--dataset"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "--dataset: a name is expected after it, as in nuswide@keep=all" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_data_set_is_the_card_or_the_variant_asked_for_in_the_suites_spelling(noxfile: Any):
    assert noxfile.data_set(session("--fresh"), "nuswide") == "nuswide"
    asked = session("--dataset=nuswide@size=448,lists=official,keep=all")
    assert noxfile.data_set(asked, "nuswide") == "nuswide@keep=all,size=448"
    with pytest.raises(InputError, match="unknown option 'colour'"):
        noxfile.data_set(session("--dataset", "nuswide@colour=red"), "nuswide")


def test_a_store_that_is_there_needs_no_source(noxfile: Any, tmp_path: Path):
    card, asked = cards.load_card("coco@unlabelled=dropped"), session("--data", str(tmp_path))
    with pytest.raises(InputError, match=r"get train2014.zip, .* -- --source DIR; or .* -- --download$"):
        noxfile.require_data(asked, card)
    (tmp_path / card.name).mkdir()
    (tmp_path / card.name / "manifest.json").touch()
    noxfile.require_data(asked, card)


def test_what_is_not_offered_whole_is_not_advised_to_be_fetched(noxfile: Any, tmp_path: Path):
    with pytest.raises(InputError, match="then: nox -s reproduce-voc2012 -- --source DIR$"):
        noxfile.require_data(session("--data", str(tmp_path)), cards.load_card("voc2012"))
