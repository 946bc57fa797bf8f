"""The floors of `bench/`: what each may import, and which of them must do without torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from bench.base.paths import ROOT

# Floor -> what it may import beside itself: a floor, or one module of it.
MAY_IMPORT = {
    "base": (),
    "data": ("base",),
    "scoring": ("base",),
    "results": ("base", "data", "scoring"),
    "site": ("base", "data", "scoring", "results"),
    "training": ("base", "data", "scoring", "results.record"),
    "deploy": ("base", "data", "training", "results.record"),
    "report": ("base", "data", "scoring", "results", "training", "deploy.load_model"),
    "perf": ("base", "data", "scoring", "results", "training"),
}
WITHOUT_TORCH = ("base", "data", "scoring", "results", "site")
COMMANDS = {path.stem for path in (ROOT / "bench").glob("[!_]*.py")}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


METHOD_FILES = sorted((ROOT / "methods").glob("*.py"))
FILES = {module_of(path): path for path in (ROOT / "bench").rglob("*.py")}


def imports(path: Path) -> set[str]:
    """The modules of the suite that a file imports, anywhere in it."""
    named = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            named |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return named & {*FILES, "methods", *map(module_of, METHOD_FILES)}


def floor(module: str) -> str:
    return module.split(".")[1] if module.count(".") else ""


def test_the_listing_of_bench_is_the_list_of_commands():
    for name in COMMANDS:
        assert '\nif __name__ == "__main__":' in FILES[f"bench.{name}"].read_text(encoding="utf-8"), name
    assert {path.name for path in (ROOT / "bench").iterdir() if path.is_dir()} - {"__pycache__"} == {
        *MAY_IMPORT
    }


@pytest.mark.parametrize("module", [name for name in FILES if floor(name) in MAY_IMPORT])
def test_a_floor_imports_only_those_below_it(module: str):
    own = floor(module)
    for name in imports(FILES[module]) - {"bench"}:
        inner = name.removeprefix("bench.")
        packages = (own, *MAY_IMPORT[own])
        allowed = any(inner == package or inner.startswith(f"{package}.") for package in packages)
        # `from bench.results import record` names the package beside the module.
        is_parent = any(package.startswith(f"{inner}.") for package in packages)
        assert allowed or is_parent, f"{module} imports {name}"


@pytest.mark.parametrize("module", FILES)
def test_nothing_imports_a_command(module: str):
    commands = {f"bench.{name}" for name in COMMANDS}
    commands |= {name for name in FILES if name.endswith(".__main__")}
    assert not imports(FILES[module]) & commands


@pytest.mark.parametrize("path", METHOD_FILES, ids=lambda path: path.stem)
def test_a_method_knows_the_public_door_alone(path: Path):
    named = imports(path)
    # The package itself finds the files of a user's methods.
    allowed = {"bench.base.search_path"} if path.stem == "__init__" else {"bench.training"}
    assert {name for name in named if name.startswith("bench")} <= allowed


@pytest.mark.parametrize("module", FILES)
def test_the_harness_names_no_method(module: str):
    """Methods are found by their names; nothing in `bench/` imports one."""
    assert not {name for name in imports(FILES[module]) if name.startswith("methods.")}


def test_the_floors_left_of_training_need_no_torch():
    modules = [name for name in FILES if floor(name) in WITHOUT_TORCH and not name.endswith("__main__")]
    code = "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n"
    code += "    assert 'torch' not in sys.modules, name\n"
    done = subprocess.run(
        [sys.executable, "-c", code, *modules], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
