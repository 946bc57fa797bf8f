"""The folders of the checkout; all other modules take them from here."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CARDS = ROOT / "datasets"
METHODS = ROOT / "methods"
PUBLISHED = ROOT / "results" / "published"
REPRODUCED = ROOT / "results" / "reproduced"
DATA = ROOT / "data"
RUNS = ROOT / "runs"
