"""The user's cards and methods count like the suite's; no name and no package is shadowed in silence."""

import argparse
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.base import cli, code_digest, faults, method_names, paths, provenance, search_path
from bench.base.errors import InputError
from bench.data import cards

CARD = (paths.CARDS / "demo.toml").read_text(encoding="utf-8")
METHOD = '''"""Mine: of our own."""
from methods import resnet101
from methods._own_part import scaled
class Config(resnet101.Config):
    own_field: int = 1
class Model(resnet101.Model): ...
stages = resnet101.stages
RECIPES = {}
'''


def write(folder: Path, **files: str) -> Path:
    """Write files into the folder; names such as `methods__mine_py`."""
    for name, text in files.items():
        kind, _, rest = name.partition("__")
        stem, _, ending = rest.rpartition("_")
        path = folder / kind / f"{stem}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a card and a method."""
    part = "def scaled(x):\n    return x\n"
    write(tmp_path, datasets__pets_toml=CARD, methods__mine_py=METHOD, methods___own_part_py=part)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(search_path.INCLUDE, "")
    return tmp_path


def test_cards_and_methods_of_the_working_folder_count_like_those_of_the_suite(own: Path):
    assert {"pets", "demo", "coco"} <= set(cards.names())
    assert cards.load_card("pets@size=32").name == "pets@size=32"
    assert cards.card_file("pets") == own / "datasets" / "pets.toml"
    assert method_names.find_method("Mine") == "mine"
    assert {"mine", "srn"} <= set(method_names.methods_in_order())
    assert {"epochs", "own_field"} <= method_names.recipe_fields("mine").keys()


def test_the_option_includes_a_folder_once_in_this_process_and_those_that_it_starts(
    own: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
    assert "pets" not in cards.names()
    parser = cli.Parser(prog="python -m bench.x", description=None)
    cli.add_include(parser)
    for _ in range(2):
        assert parser.parse_args(["--include", str(own)]) == argparse.Namespace(include=None)
    assert os.environ[search_path.INCLUDE] == str(own.resolve())
    assert "pets" in cards.names()
    assert "mine" in method_names.method_summaries()
    monkeypatch.chdir(own)  # the working folder and included: still one folder
    assert "pets" in cards.names()


@pytest.mark.parametrize("where", ["option", "variable"])
def test_a_folder_without_cards_and_methods_is_refused(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(search_path.INCLUDE, str(tmp_path / "gone") if where == "variable" else "")
    with pytest.raises(InputError, match=r"gone: it has neither a folder datasets .* BENCH_INCLUDE"):
        search_path.include(tmp_path / "gone") if where == "option" else cards.names()


def test_a_card_of_a_name_of_ours_is_refused_with_both_files(own: Path):
    write(own, datasets__Demo_toml=CARD)
    with pytest.raises(InputError) as refused:
        cards.load_card("coco")
    expected = (
        f"{own}/datasets/Demo.toml: the name Demo is that of {paths.CARDS}/demo.toml; rename one of the two "
        "files"
    )
    assert str(refused.value) == expected


@pytest.mark.parametrize("name", ["SRN-att", "resnet_srn", "_recipe"])
def test_a_method_of_a_name_of_ours_in_any_spelling_is_refused_with_both_files(own: Path, name: str):
    (own / "methods" / f"{name}.py").write_text(METHOD, encoding="utf-8")
    with pytest.raises(InputError, match=rf"{own}/methods/{name}\.py: .* is that of {paths.METHODS}/"):
        method_names.find_method("knn")


def test_a_method_and_a_file_of_shared_code_have_different_names(own: Path):
    write(own, methods__recipe_py=METHOD, methods___mine_py="")
    assert method_names.find_method("recipe") == "recipe"


@pytest.mark.parametrize("name", ["datasets/__init__.py", "datasets.py", "methods/__init__.py", "methods.py"])
def test_a_file_that_hides_a_package_is_refused_only_where_python_would_import_it(
    own: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    (own / name).write_text("", encoding="utf-8")
    assert "pets" in cards.names()  # by the short script the working folder is not on Python's path
    assert "mine" in method_names.method_summaries()
    monkeypatch.syspath_prepend(own)
    package = name.partition("/")[0].removesuffix(".py")
    with pytest.raises(InputError, match=rf"{name}: hides the package {package} .* remove it"):
        (cards.names(), method_names.method_summaries())


def test_the_code_of_a_users_method_counts_in_keys_with_what_it_shares(own: Path):
    def digest() -> str:
        for cached in (code_digest.digest, code_digest._tree):
            cached.cache_clear()
        return code_digest.digest("methods.mine")

    try:
        first = digest()
        assert {"methods._own_part", "methods.resnet101"} <= code_digest.closure("methods.mine")
        write(own, methods__mine_py=f"{METHOD}# a remark\n")
        assert digest() == first
        write(own, methods___own_part_py="def scaled(x):\n    return 2 * x\n")
        second = digest()
        assert second != first
        write(own, methods__mine_py=f"{METHOD}X = 1\n")
        assert digest() not in (first, second)
    finally:
        for cached in (code_digest.digest, code_digest._tree):
            cached.cache_clear()


def test_a_method_that_lacks_a_part_is_refused_with_its_file(own: Path):
    write(own, methods__mine_py='"""Mine: half."""\nRECIPES = {}\n')
    with pytest.raises(InputError, match=rf"{own}/methods/mine\.py defines no Config and no Model"):
        method_names.find_method("mine")


def test_a_fault_in_a_users_method_names_its_file(own: Path):
    path = own / "methods" / "mine.py"
    with pytest.raises(ZeroDivisionError) as fault:
        exec(compile("1 / 0", str(path), "exec"))  # noqa: S102 (a fault in that file)
    assert f"a fault in a method's file: ZeroDivisionError: division by zero ({path}, line 1)" in str(
        faults.explain(fault.value)
    )


def run_here(*words: str, folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(paths.ROOT)}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_library_datasets_is_importable_beside_a_folder_of_cards(own: Path):
    code = "import datasets, methods; print(datasets.Dataset.__name__, methods.__file__)"
    printed = run_here("-c", code, folder=own)
    assert printed.split() == ["Dataset", str(paths.METHODS / "__init__.py")]


@pytest.mark.parametrize("words", [["bench"], ["bench.run", "--help"]])
def test_lists_and_helps_name_what_is_included(own: Path, words: list[str], tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    printed = run_here("-m", *words, "--include", str(own), folder=tmp_path / "elsewhere")
    assert "pets" in printed
    assert "mine" in printed


class TestProvenance:
    @pytest.mark.usefixtures("own")
    def test_names_the_users_files(self):
        made = provenance.provenance("a processor", threads=1)
        assert set(made["own_files"]) == {"datasets/pets.toml", "methods/mine.py", "methods/_own_part.py"}

    def test_of_an_installed_suite_is_its_version_and_a_digest_of_its_code(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(provenance, "_git", lambda *_: None)
        made = provenance.provenance("a processor", threads=1)
        assert (made["commit"], made["dirty"]) == (None, None)
        assert set(made["installed"]) == {"version", "code"}
        assert len(made["installed"]["code"]) == 64
        assert "own_files" not in made

    def test_does_not_take_the_commit_of_a_repository_around_the_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        subprocess.run(["git", "init", "-q", tmp_path], check=True)
        (tmp_path / "site-packages").mkdir()
        monkeypatch.setattr(provenance, "ROOT", tmp_path / "site-packages")
        assert provenance._git("rev-parse", "--show-toplevel")
        assert not provenance._is_checkout()


def test_an_installed_suite_accepts_records_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shipped = paths.REPRODUCED / "demo"
    assert paths.accepted("demo") == paths.accepted("demo", to_write=True) == shipped
    monkeypatch.setattr(paths, "IS_INSTALLED", True)
    monkeypatch.setattr(paths, "WORKPLACE", tmp_path)
    own = tmp_path / "results" / "reproduced" / "demo"
    assert paths.accepted("demo") == shipped
    assert paths.accepted("demo", to_write=True) == own
    own.mkdir(parents=True)
    assert paths.accepted("demo") == own


class TestShortScript:
    CODE = "import sys; from bench.__main__ import script; sys.argv[0] = 'multilabel-bench'; script()"

    def start(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", self.CODE, *words],
            cwd=paths.ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    def test_lists_the_commands_by_their_short_names(self):
        printed = self.start()
        assert printed.returncode == 0
        assert printed.stdout.startswith("Commands (details: multilabel-bench NAME --help)\n  card  ")

    def test_help_has_the_name_under_which_it_was_started(self):
        printed = self.start("table", "--help")
        assert printed.returncode == 0
        assert printed.stdout.startswith("usage: multilabel-bench table [-h] --dataset NAME")

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["nope"], "error: unknown command 'nope'; choose from: card, check, "),
            (["table", "--dataset", "nope"], "error: unknown data set 'nope'; "),
        ],
    )
    def test_the_exit_status_is_that_of_the_command(self, words: list[str], message: str):
        printed = self.start(*words)
        assert printed.returncode == 2
        assert printed.stderr.startswith(message)


@pytest.mark.parametrize("command", ["data", "export", "predict", "report", "run", "score", "table"])
def test_every_command_that_reads_cards_or_methods_has_the_option(
    command: str, capsys: pytest.CaptureFixture[str]
):
    package = (paths.ROOT / "bench" / command).is_dir()
    module = importlib.import_module(f"bench.{command}.__main__" if package else f"bench.{command}")
    with pytest.raises(SystemExit):
        module.main(["--help"])
    assert "--include DIR" in capsys.readouterr().out
