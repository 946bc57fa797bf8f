"""The digest of code changes with everything that may change a result, and with nothing else."""

import ast
from pathlib import Path

import pytest

from bench.base import code_digest
from bench.data import formats
from bench.training import method

CODE = '''"""A summary."""
X = 1


def f() -> int:
    """One."""
    return X  # a reason


ORDER = (2017, 1)
RECIPES = {}
'''


@pytest.fixture
def digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "methods").mkdir()
    monkeypatch.setattr(code_digest, "ROOT", tmp_path)

    def of(text: str, **others: str) -> str:
        for name, content in {"tested": text, **others}.items():
            (tmp_path / "methods" / f"{name}.py").write_text(content, encoding="utf-8")
        code_digest.digest.cache_clear()
        code_digest._tree.cache_clear()
        return code_digest.digest("methods.tested")

    yield of
    code_digest.digest.cache_clear()
    code_digest._tree.cache_clear()


@pytest.mark.parametrize(
    "change",
    [
        ("One", "Two"),
        ("summary", "sentence"),
        ("a reason", "another"),
        ("{}", "{'demo': 1}"),
        ("\n\n\n", "\n\n"),
        ("2017", "2018"),
    ],
)
def test_comments_docstrings_layout_recipes_and_order_do_not_change_the_digest(
    digest, change: tuple[str, str]
):
    assert digest(CODE) == digest(CODE.replace(*change))


@pytest.mark.parametrize("change", [("X = 1", "X = 2"), ("return X", "return -X"), ("def f", "def g")])
def test_changed_code_changes_the_digest(digest, change: tuple[str, str]):
    assert digest(CODE) != digest(CODE.replace(*change))


@pytest.mark.parametrize(
    "statement",
    [
        "from methods import other",
        "from methods.other import Y",
        "from . import other",
        "from .other import Y",
        "import methods.other as that",
    ],
)
def test_imported_methods_change_the_digest(digest, statement: str):
    text = f"{statement}\n{CODE}"
    before = digest(text, other="Y = 1\n")
    assert before == digest(text, other="Y = 1  # the same\n")
    assert before != digest(text, other="Y = 2\n")


SHARED = ("srn_att", "srn", "resnet101", "_recipe", "_recipe_parts", "_losses", "_layers")


def test_srn_att_depends_on_srn_and_resnet101_and_what_they_share():
    reached = code_digest.closure("methods.srn_att")
    own = {module for module in reached if module.startswith("methods.")}
    assert own == {f"methods.{name}" for name in SHARED}


ROOTS = ("bench.training.stage_cache", "bench.training.inference", "methods.srn")


def test_a_stages_key_covers_every_module_that_its_result_depends_on_but_the_exempt_ones():
    """All imports are followed, so a new module is covered without being listed."""
    reached = code_digest.closure(*ROOTS)
    for module in reached:
        left_out = set(code_digest.imported(module)) - reached
        assert left_out <= set(code_digest.EXEMPT), module
    for name in ("loop", "batches", "device", "trunk", "schedule", "stage_checkpoint", "distributed"):
        assert f"bench.training.{name}" in reached
    assert {"bench.scoring.metrics", "bench.scoring.average_precision", "bench.data.store"} <= reached


def test_every_exemption_is_needed_and_has_a_reason():
    reached = code_digest.closure(*ROOTS)
    imported = {name for module in reached for name in code_digest.imported(module)}
    for module, reason in code_digest.EXEMPT.items():
        assert module in imported, f"no covered module imports {module}: remove its exemption"
        assert len(reason.split()) >= 3


def test_every_exemption_of_readers_is_needed_and_has_a_reason():
    readers = [f"bench.data.formats.{name.replace('-', '_')}" for name in formats.names()]
    reached = code_digest.closure(*readers, exempt=tuple(code_digest.EXEMPT_IN_READERS))
    imported = {name for module in reached for name in code_digest.imported(module)}
    for module, reason in code_digest.EXEMPT_IN_READERS.items():
        assert module not in reached
        assert module in imported, f"no reader imports {module}: remove its exemption"
        assert len(reason.split()) >= 3
    assert {module for module in reached if module.startswith("bench.base.")} == set()
    assert "bench.data.formats._source" in reached


@pytest.mark.parametrize("module", ["bench.training.loop", "bench.scoring.metrics", "bench.base.protocol"])
def test_an_edit_of_a_covered_module_changes_the_key(module: str, monkeypatch: pytest.MonkeyPatch):
    before = code_digest.digest("bench.training.stage_cache")
    real, edited = code_digest.parse, code_digest._path(module)

    def parse(path: Path) -> ast.Module:
        tree = real(path)
        if path == edited:
            tree.body += ast.parse("ANOTHER = 1").body
        return tree

    code_digest.digest.cache_clear()
    code_digest._tree.cache_clear()
    monkeypatch.setattr(code_digest, "parse", parse)
    try:
        assert code_digest.digest("bench.training.stage_cache") != before
    finally:
        code_digest.digest.cache_clear()
        code_digest._tree.cache_clear()


def test_a_methods_digest_is_that_of_the_code_when_it_was_loaded(monkeypatch: pytest.MonkeyPatch):
    """An edit during training does not affect the running code, and must not affect its digest."""
    code_digest.digest.cache_clear()
    code_digest._tree.cache_clear()
    method.load_method("warp")

    def edited(_path: Path) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(code_digest, "parse", edited)
    assert code_digest.digest("methods.warp")
