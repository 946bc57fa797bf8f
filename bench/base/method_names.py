"""Find methods by name and read how tables show them; the files in `methods/` are the registry.

The user's files count like the suite's: see `bench.base.search_path`.

`SRN-att`, `srn_att` and `ResNet-SRN-att` name the same method. Its file is parsed, not imported: the first
line of its docstring is "Name: summary". Two assignments are optional: `ORDER = (year, row)`, the year of
publication and the row in that paper's tables, and `MARKS = {word: meaning}`, remarks that a reader needs
before comparing its results with published ones.
"""

import ast
from pathlib import Path
from typing import Any, TypeGuard

from bench.base import search_path
from bench.base.code_digest import parse
from bench.base.errors import InputError, unknown
from bench.base.paths import METHODS

ALIASES = {"resnetsrn": "srn", "resnetsrnatt": "srnatt"}
PARTS = ("Config", "Model", "stages", "RECIPES")  # what every method's file defines
LAST = (9999, 0)  # the order of a method without ORDER: after all others


def normalised(name: str) -> str:
    """A name in the form in which names are compared: lower case, without separators, aliases resolved.

    >>> normalised("ResNet-SRN-att") == normalised("srn_att") == "srnatt"
    True
    """
    squeezed = name.lower().replace("-", "").replace("_", "").replace(" ", "")
    return ALIASES.get(squeezed, squeezed)


def file_names() -> list[str]:
    """The module names of all methods' files, whatever these hold."""
    return sorted(name for name in _files() if not name.startswith("_"))


def method_summaries() -> dict[str, str]:
    """The first line of each method's docstring, "Name: summary", by module name."""
    return {name: (ast.get_docstring(tree) or name).splitlines()[0] for name, tree in _trees().items()}


def methods_in_order() -> list[str]:
    """The module names of all methods, sorted by ORDER (year, row); those without ORDER come last."""
    trees = _trees()
    return sorted(trees, key=lambda name: (_constant(trees[name], "ORDER", LAST), name))


def display_name(method: str) -> str:
    """The method's name as tables print it: the text before the colon in its docstring."""
    return method_summaries()[method].partition(":")[0]


def marks(method: str) -> dict[str, str]:
    """The remarks beside the method's name in tables, word -> meaning; {} if there is no such method."""
    trees = _trees()
    return dict(_constant(trees[method], "MARKS", {})) if method in trees else {}


def recipe_fields(method: str) -> dict[str, str]:
    """The fields of a method's recipe, name -> type as written in the source; base class fields come first.

    The file is parsed, because importing it would import torch. `bench.training.method.recipe` checks values.
    """
    return _fields(parse(_files()[method]), "Config")


def field_groups() -> dict[str, set[str]]:
    """The fields that all methods share, by the words before the colon in their class's docstring."""
    groups = {}
    for name in ("_recipe", "_recipe_parts"):
        for node in parse(METHODS / f"{name}.py").body:
            if isinstance(node, ast.ClassDef):
                lines = [line for line in node.body if _is_field(line)]
                title = (ast.get_docstring(node) or node.name).partition(":")[0]
                groups[title] = {ast.unparse(line.target) for line in lines}
    return groups


def _fields(tree: ast.Module, name: str) -> dict[str, str]:
    """The annotated fields of a class and of its base classes."""
    fields: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            for base in reversed(node.bases):  # as dataclasses collect them
                fields |= _base_fields(tree, base)
            for line in node.body:
                if _is_field(line):
                    fields[ast.unparse(line.target)] = ast.unparse(line.annotation)
    return fields


def _is_field(line: ast.stmt) -> TypeGuard[ast.AnnAssign]:
    """Whether a line in a dataclass's body is a field."""
    return isinstance(line, ast.AnnAssign) and not ast.unparse(line.annotation).startswith("ClassVar")


def _base_fields(tree: ast.Module, base: ast.expr) -> dict[str, str]:
    """The fields of a base class in the same file or in another one of `methods/`, as in `srn.Config`."""
    module, _, name = ast.unparse(base).rpartition(".")
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            module = (node.module or "").rpartition(".")[2]
    path = _files().get(module)
    return _fields(parse(path) if path else tree, name)


def find_method(name: str) -> str:
    """The module name for any spelling of a method's name; InputError lists all methods, or names what
    the method's file lacks.
    """
    modules = {normalised(module): module for module in file_names()}
    if normalised(name) not in modules:
        raise unknown("method", name, modules.values())
    module = modules[normalised(name)]
    path = _files()[module]
    defined = _defined(parse(path))
    if missing := [part for part in PARTS if part not in defined]:
        shown = f"methods/{path.name}" if path.parent == METHODS else path
        raise InputError(
            f'{shown} defines no {" and no ".join(missing)}; see "Add a method" in docs/methods.md'
        )
    return module


def _defined(tree: ast.Module) -> set[str]:
    """The names that a module defines, assigns or imports at its top level."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def _trees() -> dict[str, ast.Module]:
    return {name: parse(path) for name, path in _files().items() if not name.startswith("_")}


def _files() -> dict[str, Path]:
    """Name -> file of all methods and of what they share."""

    def compared(name: str) -> str:
        return ("_" if name.startswith("_") else "") + normalised(name)

    return search_path.files("methods", METHODS, compared=compared)


def _constant(tree: ast.Module, name: str, default: Any) -> Any:
    """The value of a constant that a module assigns at its top level, or the default."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            return ast.literal_eval(node.value)
    return default
