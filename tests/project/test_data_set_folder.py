"""The house itself: the folder `datasets` gives way to the library, and no file of ours hides it."""

import subprocess
import sys
from pathlib import Path

from bench.base.paths import ROOT


def test_the_library_datasets_is_importable_from_the_root():
    code = "import datasets; print(datasets.Dataset.from_file.__name__, datasets.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    name, path = done.stdout.split(maxsplit=1)
    assert name == "from_file"
    assert not Path(path.strip()).is_relative_to(ROOT / "datasets")


def test_the_folder_datasets_holds_cards_and_no_python():
    assert {path.suffix for path in (ROOT / "datasets").iterdir()} == {".toml"}
    ours = [path for folder in ("bench", "methods", "tests") for path in (ROOT / folder).rglob("datasets.py")]
    assert ours == []
