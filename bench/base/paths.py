"""Where things lie in the checkout: nothing else in the suite knows a folder by name."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CARDS = ROOT / "datasets"
METHODS = ROOT / "methods"
PUBLISHED = ROOT / "results" / "published"
REPRODUCED = ROOT / "results" / "reproduced"
DATA = ROOT / "data"
RUNS = ROOT / "runs"
