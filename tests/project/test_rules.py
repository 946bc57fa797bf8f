"""The rules of style that a program can check, for every file of the suite."""

import ast
from pathlib import Path

import pytest

from bench.base.paths import ROOT

FILES = sorted(path for folder in ("bench", "methods") for path in (ROOT / folder).rglob("*.py"))
LONGEST_FUNCTION = {"loop.py": 60}  # the loop reads as one paragraph


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
class TestEveryFile:
    def test_fits_on_a_few_screens(self, path: Path):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 250

    def test_says_what_it_is_for(self, path: Path):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))

    def test_has_short_functions_of_few_parameters(self, path: Path):
        for node in functions(path):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= LONGEST_FUNCTION.get(path.name, 40), f"{node.name} has {lines} lines"
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            given = [argument for argument in arguments if argument.arg not in ("self", "cls")]
            is_kernel = "triton.jit" in map(ast.unparse, node.decorator_list)  # takes tensors one by one
            assert is_kernel or len(given) <= 7, f"{node.name} has {len(given)} parameters"

    def test_prints_only_in_commands(self, path: Path):
        text = path.read_text(encoding="utf-8")
        command = '__name__ == "__main__"' in text or path.name == "cli.py"
        assert command or "print" not in called(path)

    def test_uses_neither_exec_nor_globals(self, path: Path):
        assert not {"exec", "eval", "globals"} & called(path)


def functions(path: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def called(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {call.id for call in calls if isinstance(call, ast.Name)}
