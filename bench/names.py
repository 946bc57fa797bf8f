"""Names of methods: `SRN-att`, `srn_att` and `ResNet-SRN-att` are one; the file name is the registry."""

import ast

from bench.errors import unknown
from bench.paths import METHODS

PAPER = ("resnet101", "resnet107", "resnet101_semantic", "srn_att", "srn")  # the order of Tables 1-3
ALIASES = {"resnetsrn": "srn", "resnetsrnatt": "srnatt"}


def plain(name: str) -> str:
    """The form in which names are compared.

    >>> plain("ResNet-SRN-att") == plain("srn_att") == "srnatt"
    True
    """
    squeezed = name.lower().replace("-", "").replace("_", "").replace(" ", "")
    return ALIASES.get(squeezed, squeezed)


def methods() -> dict[str, str]:
    """Module name -> the first line of its docstring, "Title: what it is", read without importing it."""
    lines = {}
    for path in sorted(METHODS.glob("[!_]*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or path.stem
        lines[path.stem] = docstring.splitlines()[0]
    return lines


def in_order() -> list[str]:
    """All methods by module name: the paper's in its order, then the others."""
    found = methods()
    return [name for name in PAPER if name in found] + [name for name in found if name not in PAPER]


def title(method: str) -> str:
    """The method's name as tables print it: what stands before the colon in its docstring."""
    return methods()[method].partition(":")[0]


def find_method(name: str) -> str:
    """The module name for any spelling of a method's name; InputError lists the right ones."""
    found = {plain(module): module for module in methods()}
    if plain(name) not in found:
        raise unknown("method", name, found.values())
    return found[plain(name)]
