"""A digest of the code that determines a result, so that nothing made by other code is taken for it."""

import ast
import hashlib
import threading
from functools import cache
from pathlib import Path

from bench.base.paths import ROOT

FOLLOWED = ("methods", "bench.data.formats")
# What the harness does to a model while it learns, and how it predicts.
LEARNING = (
    "bench.training.batches",
    "bench.training.distributed",
    "bench.training.learners",
    "bench.training.method",
    "bench.training.stage_checkpoint",
    "bench.training.schedule",
    "bench.training.stages",
    "bench.training.loop",
)
SCORING = (
    "bench.scoring.average_precision",
    "bench.training.inference",
    "bench.scoring.matrices",
    "bench.scoring.metrics",
    "bench.scoring.profiles",
)

PARSING = threading.Lock()  # Python 3.11's parser is not for several threads at once
MAY_CHANGE = ("BASELINE", "MARKS", "ORDER", "RECIPES")


def parse(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    with PARSING:
        return ast.parse(path.read_text(encoding="utf-8"))


@cache
def digest(*modules: str) -> str:
    """SHA-256 of the modules' syntax trees, and of what they import of `methods` and `bench.data.formats`.

    Comments, docstrings and layout may change, and so may what determines nothing or is counted elsewhere:
    ORDER, MARKS and BASELINE, which tables and the report read, and RECIPES, whose values are part of what
    they determine.
    """
    text = "\n".join(ast.dump(_tree(module)) for module in sorted(closure(*modules)))
    return hashlib.sha256(text.encode()).hexdigest()


def closure(*modules: str) -> set[str]:
    """The modules, and what they import of `methods` and `bench.data.formats`, directly or not."""
    found: set[str] = set()
    ahead = list(modules)
    while ahead:
        if (module := ahead.pop()) not in found:
            found.add(module)
            ahead += _imported(module)
    return found


def _imported(module: str) -> list[str]:
    names = []
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.startswith(FOLLOWED) and _path(name).exists()]


def _path(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


@cache
def _tree(module: str) -> ast.Module:
    tree = parse(_path(module))
    tree.body = [node for node in tree.body if not _may_change(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:]
    return tree


def _may_change(node: ast.stmt) -> bool:
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AnnAssign)
        else []
    )
    return any(isinstance(target, ast.Name) and target.id in MAY_CHANGE for target in targets)
