"""What a file in `methods/` imports from the harness: labels, stages, schedules, the trunk.

`docs/methods.md` shows a whole method made of these. Nothing else of `bench/` is a method's business.
"""

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
