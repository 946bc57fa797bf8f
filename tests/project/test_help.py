"""`--help` of every command comes at once: it imports neither torch nor a method."""

import subprocess
import sys

import pytest

from bench import __main__ as listing
from bench.base import method_names
from bench.base.paths import ROOT
from bench.training import method
from tests import method_files

COMMANDS = ["bench", *sorted(listing.commands())]
CODE = """
import runpy, sys
sys.argv = [sys.argv[1], "--help"]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    slow = {"torch", "timm", "sklearn"} & set(sys.modules)
    slow |= {name for name in sys.modules if name.startswith("methods.")}
    assert not slow, slow
"""


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_neither_torch_nor_a_method(command: str):
    words = [sys.executable, "-c", CODE, command]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"python -m {command}" in done.stdout


@pytest.mark.parametrize("name", method_files.working())
def test_the_fields_read_without_import_are_those_of_the_recipe(name: str):
    fields = method.fields(method.load_method(name))
    assert list(method_names.recipe_fields(name)) == list(fields)
    flags = {field for field, kind in fields.items() if kind is bool}
    assert {field for field, kind in method_names.recipe_fields(name).items() if kind == "bool"} == flags
