"""The sessions of noxfile.py: what they install and run, and the mistakes that they name before that."""

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from bench import check
from bench.base import method_names
from bench.base.errors import InputError
from bench.base.paths import ROOT
from bench.data import cards
from bench.training import run_options


@pytest.fixture(scope="module")
def noxfile() -> Any:
    spec = importlib.util.spec_from_file_location("noxfile", ROOT / "noxfile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def session(*words: str, location: Path = Path()) -> Any:
    """What the functions use of nox's session; `calls` are the commands and log lines in their order."""
    calls: list[tuple[str, ...]] = []

    def error(message: str) -> NoReturn:
        raise InputError(message)

    def recorder(*first: str) -> Any:
        return lambda *command, **_: calls.append((*first, *command))

    return SimpleNamespace(
        posargs=list(words),
        error=error,
        calls=calls,
        log=recorder("log"),
        run=recorder(),
        run_install=recorder(),
        install=recorder("install"),
        virtualenv=SimpleNamespace(location=str(location)),
    )


def test_nox_itself_finds_the_cards_and_names_a_mistake():
    """As the command `nox`, which does not look for modules in the folder where it is."""
    words = [sys.executable, "-P", "-m", "nox", "--no-venv", "-s", "reproduce-coco", "--", "--dataset"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "--dataset: a name is expected after it, as in nuswide@keep=all" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_data_set_is_the_card_or_the_variant_asked_for_in_the_suites_spelling(noxfile: Any):
    assert noxfile.data_set(session("--fresh"), "nuswide") == "nuswide"
    asked = session("--dataset=nuswide@size=448,lists=official,keep=all")
    assert noxfile.data_set(asked, "nuswide") == "nuswide@keep=all,size=448"
    with pytest.raises(InputError, match="unknown option 'colour'"):
        noxfile.data_set(session("--dataset", "nuswide@colour=red"), "nuswide")


def test_a_store_that_is_there_needs_no_source(noxfile: Any, tmp_path: Path):
    card, asked = cards.load_card("coco@unlabelled=dropped"), session("--data", str(tmp_path))
    with pytest.raises(InputError, match=r"get train2014.zip, .* -- --source DIR; or .* -- --download$"):
        noxfile.require_data(asked, card)
    (tmp_path / card.name).mkdir()
    (tmp_path / card.name / "manifest.json").touch()
    noxfile.require_data(asked, card)


def test_what_is_not_offered_whole_is_not_advised_to_be_fetched(noxfile: Any, tmp_path: Path):
    with pytest.raises(InputError, match="then: nox -s reproduce-voc2012 -- --source DIR$"):
        noxfile.require_data(session("--data", str(tmp_path)), cards.load_card("voc2012"))


class TestInstall:
    def test_every_version_is_that_of_the_lock(self, noxfile: Any, tmp_path: Path):
        asked = session(location=tmp_path)
        noxfile.install(asked, "export")
        export, install = asked.calls
        constraints = str(tmp_path / "constraints.txt")
        assert export[:2] == ("uv", "export")
        assert {"--frozen", "--all-groups", "--no-emit-project"} <= set(export)
        assert export[-2:] == ("--output-file", constraints)
        assert install[:5] == ("install", "--constraint", constraints, "-e", ".")
        assert [word.partition(">")[0] for word in install[5:]] == ["onnx", "onnxruntime", "onnxscript"]

    def test_the_lock_has_the_versions_that_made_the_accepted_records(self, locked: dict[str, str]):
        folder = ROOT / "results" / "reproduced" / "demo"
        records = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
        assert records
        for record in records:
            versions = record["provenance"]["versions"]
            assert {name: locked[name] for name in versions if name != "python"} == {
                name: version for name, version in versions.items() if name != "python"
            }

    def test_the_lock_names_public_addresses_alone_and_one_version_of_each_package(
        self, locked: dict[str, str]
    ):
        text = (ROOT / "uv.lock").read_text(encoding="utf-8")
        assert set(re.findall(r"\w+://[^/\"]+", text)) == {
            "https://pypi.org",
            "https://files.pythonhosted.org",
        }
        assert "path = " not in text
        assert len(locked) == text.count("[[package]]")
        assert len(text) < 2**20

    def test_hooks_before_a_commit_have_the_versions_of_the_lock(self, locked: dict[str, str]):
        text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
        hooks = re.findall(r"repo: \S+/(ruff|codespell)\S*\n +rev: v(\S+)", text)
        assert dict(hooks) == {name: locked[name] for name in ("ruff", "codespell")}

    def test_what_is_above_the_lower_bounds_is_named(self, noxfile: Any):
        bounds = ["torch>=2.11", "Types_tqdm", "scikit-learn>=1.5", "tqdm>=4.66.3", "nox>=2025.2.9"]
        freeze = "-e file:///suite\ntorch==2.11.0+cpu\nscikit_learn==1.5.0\ntqdm==4.66.4\n"
        above = noxfile.above_bounds(bounds, freeze)
        assert above == ["nox None, not 2025.2.9", "tqdm 4.66.4, not 4.66.3"]


@pytest.fixture(scope="module")
def locked() -> dict[str, str]:
    """The versions in uv.lock by package; of the suite itself too."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    return {package["name"]: package["version"] for package in packages}


class TestMethods:
    PAPER = "resnet101,resnet107,resnet101-semantic,srn-att,srn"

    def test_are_the_papers_five_and_on_the_demo_the_control(self, noxfile: Any):
        assert noxfile.method_list(session(), "coco") == self.PAPER
        with_control = self.PAPER.replace("107,", "107,resnet101@budget=equal,")
        assert noxfile.method_list(session("--seeds", "0,1"), "demo") == with_control
        assert noxfile.method_list(session("--terms", "equal"), "demo") == self.PAPER

    def test_are_those_asked_for(self, noxfile: Any):
        assert noxfile.method_list(session("--method=SRN-att,knn"), "demo") == "SRN-att,knn"
        assert noxfile.method_list(session("--method", "all"), "demo") == "all,resnet101@budget=equal"
        assert noxfile.method_list(session("--method", "all"), "coco") == "all"

    def test_are_names_that_bench_run_takes(self, noxfile: Any):
        chosen = run_options.methods(noxfile.method_list(session("--method", "all"), "demo"))
        assert chosen == [(name, {}) for name in method_names.methods_in_order()] + [
            ("resnet101", {"budget": "equal"})
        ]

    def test_that_do_not_exist_are_named_before_anything_is_installed(self, noxfile: Any):
        asked = session("--method", "srn,snr")
        with pytest.raises(InputError, match="unknown method 'snr'; choose from: "):
            noxfile.reproduce("demo")(asked)
        assert asked.calls == []


def test_one_command_trains_all_methods_on_one_trunk_size_and_budget(noxfile: Any, tmp_path: Path):
    """The line of docs/methods.md; of an option given twice the last counts."""
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"`nox -s reproduce-coco -- (--method all [^`]+)`", text)
    (tmp_path / "coco").mkdir()
    (tmp_path / "coco" / "manifest.json").touch()
    asked = session(*line.split(), "--data", str(tmp_path))
    noxfile.reproduce("coco")(asked)
    (command,) = [call[3:] for call in asked.calls if call[1:3] == ("-m", "bench.run")]
    args = run_options.parse(command, description="")
    assert [name for name, _ in run_options.methods(args.method)] == method_names.methods_in_order()
    changed = run_options.changes(args)
    assert (changed["terms"], changed["budget"]) == ("equal", "equal")
    assert {"trunk", "input_size"} <= changed.keys()
    on_demo = session("--method", "all", "--terms", "equal")
    assert noxfile.method_list(on_demo, "demo") == "all"


def test_reproducing_a_data_set_without_accepted_records_is_no_fault(noxfile: Any):
    assert noxfile.NOTHING_COMPARED == check.NOTHING_COMPARED


def test_reproducing_says_first_what_it_takes_and_has_the_table_printed_after_each_run(noxfile: Any):
    asked = session("--method", "srn,knn", "--seeds", "1", "--runs", "here")
    noxfile.reproduce("demo")(asked)
    first, *commands = asked.calls
    assert first[0] == "log"
    assert "minutes" in first[1]
    assert "GB of disk and a download of" in first[1]
    runs = ("--runs", "here")
    assert [command[2:] for command in commands if command[0] == "python"] == [
        ("bench.run", "--dataset", "demo", "--table", *asked.posargs, "--method", "srn,knn"),
        ("bench.table", "--dataset", "demo", *runs),
        ("bench.check", "--dataset", "demo", *runs),
    ]
