"""A digest of the code that determines a result, so that nothing made by other code is taken for it."""

import ast
import hashlib
import threading
from functools import cache
from pathlib import Path

from bench.base.paths import ROOT

SUITE = ("bench", "methods")  # the packages whose imports are followed
# What results depend on is followed through all imports, but for these modules, each with the reason why it
# cannot change a result. A new module counts until it is put here.
EXEMPT = {
    "bench.base.code_digest": "makes the key",
    "bench.base.errors": "words of refusals",
    "bench.base.locks": "keeps processes apart",
    "bench.base.method_names": "finds a method by its name",
    "bench.base.progress": "what is said while work goes on",
    "bench.base.signals": "when a process leaves; what is resumed is the same to the bit",
    "bench.data.cards": "the parts of a card that count are in the store's fingerprint",
    "bench.training.log": "what is written beside the result",
    "bench.training.tensor_file": "a file of tensors with a checksum of its contents",
}

PARSING = threading.Lock()  # Python 3.11's parser is not for several threads at once
MAY_CHANGE = ("BASELINE", "MARKS", "ORDER", "RECIPES")


def parse(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    with PARSING:
        return ast.parse(path.read_text(encoding="utf-8"))


@cache
def digest(*modules: str) -> str:
    """SHA-256 of the syntax trees of the modules and of all they import of the suite, but for `EXEMPT`.

    Comments, docstrings and layout may change, and so may what determines nothing or is counted elsewhere:
    ORDER, MARKS and BASELINE, which tables and the report read, and RECIPES, whose values are part of what
    they determine.
    """
    text = "\n".join(ast.dump(_tree(module)) for module in sorted(closure(*modules)))
    return hashlib.sha256(text.encode()).hexdigest()


def closure(*modules: str) -> set[str]:
    """The modules and what they import of the suite, directly or not, but for `EXEMPT` and what only it
    imports.
    """
    reached: set[str] = set()
    ahead = list(modules)
    while ahead:
        if (module := ahead.pop()) not in reached:
            reached.add(module)
            ahead += [name for name in imported(module) if name not in EXEMPT]
    return reached


def imported(module: str) -> list[str]:
    """The modules of the suite that a module imports."""
    names = []
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.partition(".")[0] in SUITE and _path(name).exists()]


def _path(module: str) -> Path:
    """The module's file; a package's is its `__init__.py`."""
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


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
