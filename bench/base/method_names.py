"""Names of methods: `SRN-att`, `srn_att` and `ResNet-SRN-att` are one; the file name is the registry.

What a method's file tells of itself is read without importing it: the first line of its docstring and, where
they are there, `ORDER = (year, row)`, the year of its publication and its row in that paper's tables, and
`MARKS = {word: meaning}`, what readers must know before they compare its rows with published ones.
"""

import ast
from typing import Any

from bench.base.code_digest import parse
from bench.base.errors import unknown
from bench.base.paths import METHODS

ALIASES = {"resnetsrn": "srn", "resnetsrnatt": "srnatt"}
LAST = (9999, 0)  # where a method stands that does not say


def normalised(name: str) -> str:
    """The form in which names are compared.

    >>> normalised("ResNet-SRN-att") == normalised("srn_att") == "srnatt"
    True
    """
    squeezed = name.lower().replace("-", "").replace("_", "").replace(" ", "")
    return ALIASES.get(squeezed, squeezed)


def method_summaries() -> dict[str, str]:
    """Module name -> the first line of its docstring, "Title: what it is"."""
    return {name: (ast.get_docstring(tree) or name).splitlines()[0] for name, tree in _trees().items()}


def methods_in_order() -> list[str]:
    """All methods by module name: by year, of one paper in its order, and last those that do not say."""
    trees = _trees()
    return sorted(trees, key=lambda name: (_constant(trees[name], "ORDER", LAST), name))


def display_name(method: str) -> str:
    """The method's name as tables print it: what stands before the colon in its docstring."""
    return method_summaries()[method].partition(":")[0]


def marks(method: str) -> dict[str, str]:
    """What stands beside the method's name in tables, word -> meaning; none of a method that is gone."""
    trees = _trees()
    return dict(_constant(trees[method], "MARKS", {})) if method in trees else {}


def recipe_fields(method: str) -> dict[str, str]:
    """The fields of a method's recipe with their types as they are written, those of its bases first.

    Read without importing the method, which would import torch; `bench.training.method.recipe` checks values.
    """
    return _fields(parse(METHODS / f"{method}.py"), "Config")


def _fields(tree: ast.Module, name: str) -> dict[str, str]:
    """The annotated fields of a class, of its bases too; a base is imported from a file in `methods/`."""
    fields: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            for base in node.bases:
                fields |= _base_fields(tree, base)
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    fields[line.target.id] = ast.unparse(line.annotation)
    return fields


def _base_fields(tree: ast.Module, base: ast.expr) -> dict[str, str]:
    """Those of `srn.Config`, of `Recipe` imported from `methods._recipe`, or of a class of the same file."""
    module, _, name = ast.unparse(base).rpartition(".")
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            module = (node.module or "").rpartition(".")[2]
    path = METHODS / f"{module}.py"
    return _fields(parse(path) if module and path.exists() else tree, name)


def find_method(name: str) -> str:
    """The module name for any spelling of a method's name; InputError lists the right ones."""
    found = {normalised(module): module for module in method_summaries()}
    if normalised(name) not in found:
        raise unknown("method", name, found.values())
    return found[normalised(name)]


def _trees() -> dict[str, ast.Module]:
    paths = sorted(METHODS.glob("[!_]*.py"))
    return {path.stem: parse(path) for path in paths}


def _constant(tree: ast.Module, name: str, default: Any) -> Any:
    """The literal that a module assigns to a name at its top level."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            return ast.literal_eval(node.value)
    return default
