"""Compute a digest of the code that determines a result, so that results of other code are not reused."""

import ast
import hashlib
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from bench.base import search_path
from bench.base.errors import InputError
from bench.base.paths import ROOT

SUITE = ("bench", "methods")  # imports of other packages are not followed
# All imported modules are part of the digest except these, each with the reason why it cannot change a
# result. A new module is part of the digest unless it is added here.
EXEMPT = {
    "bench.base.code_digest": "computes the digest itself",
    "bench.base.errors": "wording of error messages",
    "bench.base.locks": "only makes processes wait",
    "bench.base.method_names": "finds a method by its name",
    "bench.base.paths": "where files are, not what they hold",
    "bench.base.progress": "progress messages only",
    "bench.base.schema": "refuses values, and changes none",
    "bench.base.search_path": "finds files by their names",
    "bench.base.signals": "stops a process; a resumed training gives identical results",
    "bench.data.cards": "the relevant parts of a card are in the store's fingerprint",
    "bench.training.log": "writes a log beside the result",
    "bench.training.tensor_file": "a file of tensors with a checksum of its contents",
}
# As EXEMPT, of what the readers of original files import; see `digest_of_reader`.
EXEMPT_IN_READERS = {
    "bench.base.lists": "lists in messages only",
    "bench.base.structured_files": "refuses files, or reads them by standards; a test pins what it reads",
}

PARSING = threading.Lock()  # the parser of Python 3.11 is not safe to call from several threads at once
MAY_CHANGE = ("BASELINE", "MARKS", "ORDER", "RECIPES")


def parse(path: Path) -> ast.Module:
    """The syntax tree of a Python file; InputError names the line that is no Python."""
    with PARSING:
        try:
            return ast.parse(path.read_text(encoding="utf-8"))
        except SyntaxError as fault:
            raise InputError(f"{path}: line {fault.lineno}: not Python: {fault.msg}") from fault


@cache
def digest(*modules: str, exempt: Sequence[str] = ()) -> str:
    """SHA-256 of the syntax trees of the modules and of everything they import from the suite, but `EXEMPT`.

    exempt: further modules that are left out.

    Comments, docstrings and layout do not change it. Neither do assignments to the names in MAY_CHANGE: only
    tables and the report read ORDER, MARKS and BASELINE, and the values in RECIPES are part of a stage's key.
    """
    text = "\n".join(ast.dump(_tree(module)) for module in sorted(closure(*modules, exempt=exempt)))
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_reader(module: str) -> str:
    """The digest of a reader of original files; a store that another reader made is made again.

    The wording of a message must not cost hours of preparation and, where they are gone, the original files.
    """
    return digest(module, exempt=tuple(EXEMPT_IN_READERS))


def closure(*modules: str, exempt: Sequence[str] = ()) -> set[str]:
    """The modules and all that they import from the suite, directly or indirectly.

    Imports are not followed into the modules of `EXEMPT` and `exempt`.
    """
    reached: set[str] = set()
    queue = list(modules)
    while queue:
        if (module := queue.pop()) not in reached:
            reached.add(module)
            queue += [name for name in imported(module) if name not in EXEMPT and name not in exempt]
    return reached


def imported(module: str) -> list[str]:
    """The modules of the suite that a module imports, directly."""
    names = []
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []  # of a relative import
            package = ".".join([*parents, *([node.module] if node.module else [])])
            names += [package, *(f"{package}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.partition(".")[0] in SUITE and _path(name).exists()]


def _path(module: str) -> Path:
    """The module's file, the suite's or in a folder of the user's methods; for a package, its `__init__.py`.

    Of a module that does not exist, the file that it would have.
    """
    package, *names = module.split(".")
    for folder in search_path.own_folders("methods") if package == "methods" and names else ():
        if (own := _file(folder.joinpath(*names))).exists():
            return own
    return _file(ROOT.joinpath(package, *names))


def _file(path: Path) -> Path:
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _tree(module: str) -> ast.Module:
    """The module's syntax tree without docstrings and without assignments to MAY_CHANGE."""
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
