"""A benchmark of multi-label image classification methods, described in one sentence.

A **dataset card** becomes a **prepared store**, which **batches** turns into tensors on which a **method**
learns in **stages** until **inference** writes a **predictions file**, from which **metrics** alone computes
the **record** that **table** sets beside the published numbers.

Each noun is a file and each arrow is a function. Code before the store knows nothing about models; code after
the predictions file needs neither torch nor a GPU.

From Python: `from bench import evaluate, load` (docs/python.md). Both are imported when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.deploy.python_model import load
    from bench.scoring.scores import evaluate

__all__ = ["evaluate", "load"]

_MODULES = {"evaluate": "bench.scoring.scores", "load": "bench.deploy.python_model"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
