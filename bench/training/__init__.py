"""What a file in `methods/` imports from the harness: labels, stages, schedules, the trunk.

`docs/methods.md` shows a whole method made of these. Nothing else of `bench/` is a method's business.
A name is imported when it is first used, so that commands can ask for logs and options without torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.base.errors import InputError, unknown
    from bench.training.method import NO_FILE, Explanation, File, Labels
    from bench.training.schedule import Schedule
    from bench.training.stages import Augmentation, BatchNorm, Collection, Loss, Select, Stage
    from bench.training.trunk import Trunk, x_side

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
    "Schedule",
    "Select",
    "Stage",
    "Trunk",
    "unknown",
    "x_side",
]
HOMES = ("bench.base.errors", "bench.training.schedule", "bench.training.stages", "bench.training.method")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for home in (*HOMES, "bench.training.trunk"):
            module = importlib.import_module(home)
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
