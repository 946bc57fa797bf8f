"""The folders of the suite and of its user; all other modules take them from here.

In a checkout all of them lie in it. An installed suite carries its cards, published rows and accepted records
in `bench/_shipped`, and makes `data/`, `runs/` and `results/` in the folder in which a command is started.
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent  # bench/
ROOT = PACKAGE.parent  # what holds the packages `bench` and `methods`: the checkout, or site-packages
SHIPPED = PACKAGE / "_shipped"  # where the wheel has what is no Python; see pyproject.toml
IS_INSTALLED = SHIPPED.is_dir()


def shipped(name: str) -> Path:
    """A folder that comes with the suite, by its path in the checkout, as in `results/published`."""
    return (SHIPPED if IS_INSTALLED else ROOT) / name


def _workplace() -> Path:
    """The folder in which data, runs and results are made."""
    if not IS_INSTALLED:
        return ROOT
    try:
        return Path.cwd()
    except FileNotFoundError:  # it was removed since; whatever is written there says so
        return Path()


WORKPLACE = _workplace()
CARDS = shipped("datasets")
METHODS = ROOT / "methods"
PUBLISHED = shipped("results/published")
REPRODUCED = shipped("results/reproduced")
OWN_CARDS = WORKPLACE / "datasets"
DATA = WORKPLACE / "data"
RUNS = WORKPLACE / "runs"
PERF = WORKPLACE / "results" / "perf"


def accepted(dataset: str, *, to_write: bool = False) -> Path:
    """The folder of a data set's accepted records: that of the suite.

    With an installed suite the user's own, if there is one or it is to be written.
    """
    own = WORKPLACE / "results" / "reproduced" / dataset
    return own if IS_INSTALLED and (to_write or own.is_dir()) else REPRODUCED / dataset
