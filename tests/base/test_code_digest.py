"""The digest of code: what changes a result changes it, what does not leaves it."""

import ast
from pathlib import Path

import pytest

from bench.base import code_digest
from bench.training import method

CODE = '''"""What it is."""
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
        for name, content in {"mine": text, **others}.items():
            (tmp_path / "methods" / f"{name}.py").write_text(content, encoding="utf-8")
        code_digest.digest.cache_clear()
        code_digest._tree.cache_clear()
        return code_digest.digest("methods.mine")

    yield of
    code_digest.digest.cache_clear()
    code_digest._tree.cache_clear()


@pytest.mark.parametrize(
    "change",
    [
        ("One", "Two"),
        ("What", "Why"),
        ("a reason", "another"),
        ("{}", "{'demo': 1}"),
        ("\n\n\n", "\n\n"),
        ("2017", "2018"),
    ],
)
def test_comments_docstrings_layout_recipes_and_order_may_change(digest, change: tuple[str, str]):
    assert digest(CODE) == digest(CODE.replace(*change))


@pytest.mark.parametrize("change", [("X = 1", "X = 2"), ("return X", "return -X"), ("def f", "def g")])
def test_code_may_not(digest, change: tuple[str, str]):
    assert digest(CODE) != digest(CODE.replace(*change))


@pytest.mark.parametrize(
    "how",
    [
        "from methods import other",
        "from methods.other import Y",
        "from . import other",
        "from .other import Y",
        "import methods.other as that",
    ],
)
def test_what_is_imported_of_methods_counts_too(digest, how: str):
    text = f"{how}\n{CODE}"
    one = digest(text, other="Y = 1\n")
    assert one == digest(text, other="Y = 1  # the same\n")
    assert one != digest(text, other="Y = 2\n")


def test_srn_att_depends_on_srn_and_resnet101_and_what_they_share():
    reached = code_digest.closure("methods.srn_att")
    own = {module for module in reached if module.startswith("methods.")}
    assert own == {f"methods.{name}" for name in ("srn_att", "srn", "resnet101", "_recipe")}


ROOTS = ("bench.training.stage_cache", "bench.training.inference", "methods.srn")


def test_what_a_stages_result_depends_on_is_in_its_key_unless_it_is_exempt_with_a_reason():
    """Every import of what counts is followed, so a new module counts without being listed."""
    reached = code_digest.closure(*ROOTS)
    for module in reached:
        left_out = set(code_digest.imported(module)) - reached
        assert left_out <= set(code_digest.EXEMPT), module
    for name in ("loop", "batches", "device", "trunk", "schedule", "stage_checkpoint", "distributed"):
        assert f"bench.training.{name}" in reached
    assert {"bench.scoring.metrics", "bench.scoring.average_precision", "bench.data.store"} <= reached


def test_no_exemption_is_out_of_date_or_without_a_reason():
    reached = code_digest.closure(*ROOTS)
    imported = {name for module in reached for name in code_digest.imported(module)}
    for module, reason in code_digest.EXEMPT.items():
        assert module in imported, f"{module} is imported by nothing that counts: its exemption can go"
        assert len(reason.split()) >= 3


@pytest.mark.parametrize("module", ["bench.training.loop", "bench.scoring.metrics", "bench.base.protocol"])
def test_an_edit_of_a_module_that_counts_changes_the_key(module: str, monkeypatch: pytest.MonkeyPatch):
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


def test_a_methods_code_counts_as_it_was_when_it_was_loaded(monkeypatch: pytest.MonkeyPatch):
    """What is edited while it trains does not run, and must not stand for what did."""
    code_digest.digest.cache_clear()
    code_digest._tree.cache_clear()
    method.load_method("warp")

    def edited(_path: Path) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(code_digest, "parse", edited)
    assert code_digest.digest("methods.warp")
