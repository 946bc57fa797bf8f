"""The names that a file in `methods/` imports from the harness: labels, stages, schedules, the trunk.

`docs/methods.md` shows a whole method that uses them; a method imports nothing else of `bench/`. A name is
imported when it is first used, so that commands can read logs and options without importing torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.base.errors import InputError, unknown
    from bench.base.schema import Range, check_ranges
    from bench.training.method import NO_FILE, Explanation, File, Labels
    from bench.training.schedule import Schedule
    from bench.training.stages import (
        Augmentation,
        BatchNorm,
        Collection,
        Loss,
        Opt,
        Select,
        Stage,
        Weights,
    )
    from bench.training.trunk_kinds import Trunk

__all__ = [
    "NO_FILE",
    "Augmentation",
    "BatchNorm",
    "Collection",
    "Explanation",
    "File",
    "InputError",
    "Labels",
    "Loss",
    "Opt",
    "Range",
    "Schedule",
    "Select",
    "Stage",
    "Trunk",
    "Weights",
    "check_ranges",
    "unknown",
]
MODULES = (
    "bench.base.errors",
    "bench.base.schema",
    "bench.training.schedule",
    "bench.training.stages",
    "bench.training.method",
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module_name in (*MODULES, "bench.training.trunk_kinds"):
            module = importlib.import_module(module_name)
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
