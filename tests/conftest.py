"""What tests share: a small demo data set, made once for each worker, and a method trained on it in
seconds.
"""

import importlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from bench.data import cards, preparation
from bench.data.cards import Card, Split
from bench.data.store import Store
from bench.training import jobs, method
from bench.training.stage_cache import StageContext
from tests import trees

settings.register_profile("suite", derandomize=True, database=None, deadline=None)
settings.load_profile("suite")

SMALL = {"epochs": 2, "attention_epochs": 1, "regularization_epochs": 1, "joint_epochs": 1, "batch_size": 32}


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Results then do not depend on how many workers share the machine."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def one_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several runs of one command go one after the other in this process, where tests can see into them."""
    monkeypatch.setattr(jobs, "usual_number", lambda _device, *, threads: 1 if threads else 0)


@pytest.fixture(scope="session")
def small_card() -> Card:
    """The demo's card with 160 training and 48 test scenes."""
    return replace(cards.load_card("demo"), train=Split(160), test=Split(48))


@pytest.fixture(scope="session")
def store(small_card: Card, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The small demo, prepared."""
    return preparation.prepare(small_card, data=tmp_path_factory.mktemp("data"))


@pytest.fixture
def context(store: Store, tmp_path: Path) -> StageContext:
    """A place to train in, with nothing stored."""
    return StageContext(store, torch.device("cpu"), tmp_path / "stages")


@pytest.fixture
def small_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose only card is a small demo, for commands that load it by name; returns its folder."""
    text = (cards.CARDS / "demo.toml").read_text(encoding="utf-8")
    small = text.replace("images = 6000\npositives = 28640", "images = 160").replace(
        "images = 2000\npositives = 9551", "images = 48"
    )
    assert small.count("images = 160") == small.count("images = 48") == 1
    folder = tmp_path / "cards"
    folder.mkdir()
    (folder / "demo.toml").write_text(small, encoding="utf-8")
    monkeypatch.setattr(cards, "CARDS", folder)
    return folder


def small_recipe(name: str, **changes: Any) -> Any:
    """A method's demo recipe, cut to seconds."""
    return replace(method.recipe(method.load_method(name), "demo"), **{**SMALL, **changes})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small MS-COCO in its owner's layout."""
    return trees.coco(tmp_path / "source")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Preparation in this process: several take seconds to start, and only the tests about them have them."""
    monkeypatch.setattr(preparation, "cores", lambda: 1)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """An installed Chromium, else Playwright's own."""
    playwright = importlib.import_module("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with playwright.sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()
