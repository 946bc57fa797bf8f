"""README.md, CONTRIBUTING.md and docs/: what they name exists, and tables and pictures are up to date."""

import contextlib
import importlib
import importlib.util
import io
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bench import __main__ as listing
from bench import table
from bench.base.paths import ROOT

DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = {str(path.relative_to(ROOT)): path for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS)}
# The folders of the repository in which a named file must exist; `runs/` and `data/` are not in git.
TRACKED = ("bench", "methods", "datasets", "results", "docs", "tests", ".ci")
# Files that a reader of the pages writes, and a folder that only the wheel has.
EXAMPLES = ("datasets/pets.toml", "methods/resnet101_top.py", "methods/_shared.py", "bench/_shipped/")
PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b")  # bench/data/formats/NAME.py
LARGEST_PICTURE = 300 * 1024  # bytes


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest) -> Path:
    return PAGES[request.param]


@pytest.fixture(scope="module")
def make_pictures() -> Any:
    spec = importlib.util.spec_from_file_location("make_pictures", ROOT / "docs" / "make_pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look for the module of a class
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sessions() -> set[str]:
    words = [sys.executable, "-m", "nox", "--list-sessions"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(re.findall(r"^[*-] (\S+)", done.stdout, re.MULTILINE))


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_a_page_of_the_documentation_is_short(path: Path):
    assert len(read(path).splitlines()) <= 200


def test_the_commands_that_it_names_exist(page: Path):
    named = {name for name in re.findall(r"-m (bench\.\w+)", read(page)) if not PLACEHOLDER.search(name)}
    named |= {
        name
        for name in re.findall(r"`(bench\.\w+)", read(page))
        if not (ROOT / name.replace(".", "/")).is_dir()
    }
    assert named <= set(listing.commands())


def test_the_readme_names_every_command_that_a_user_needs():
    assert len(set(re.findall(r"-m (bench\.\w+)", read(PAGES["README.md"])))) >= 12


def test_the_options_that_it_names_exist(page: Path):
    """Every `--option` in a command line of the suite is in the help of that command."""
    for command, words in re.findall(r"-m (bench\.\w+)((?: [^|`\n]+)?)", read(page)):
        subcommand = re.match(r" (\w+)", words) if command == "bench.perf" else None
        options = set(re.findall(r"--[a-z][a-z-]*", words))
        if options:
            assert options <= help_options(command, *(subcommand.groups() if subcommand else ())), command


@cache
def help_options(command: str, *words: str) -> set[str]:
    """The options in a command's help; those of bench.run are also the recipe fields that it lists."""
    is_package = (ROOT / command.replace(".", "/")).is_dir()
    module = importlib.import_module(f"{command}.__main__" if is_package else command)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit):
        module.main([*words, "--help"])
    text = printed.getvalue()
    fields = re.findall(r"\b[a-z]+(?:_[a-z]+)*\b", text) if command == "bench.run" else []
    return {*re.findall(r"--[a-z][a-z-]*", text), *(f"--{name.replace('_', '-')}" for name in fields)}


def test_the_files_that_it_names_exist(page: Path):
    named = re.findall(rf"`((?:{'|'.join(map(re.escape, TRACKED))})/[^`\s]*)`", read(page))
    paths = {name for name in named if name not in EXAMPLES and not PLACEHOLDER.search(name)}
    assert not {name for name in paths if not list(ROOT.glob(name))}


def test_its_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", read(page)):
        address = "".join(target)
        if not address.startswith("https://"):
            file, _, anchor = address.partition("#")
            path = page.parent / file if file else page
            assert path.exists(), address
            assert not anchor or anchor in anchors(path), address


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)", read(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_sessions_of_nox_that_it_names_exist(page: Path, sessions: set[str]):
    named = set(re.findall(r"nox -s ([\w.-]+)", read(page)))
    assert {name for name in named if not PLACEHOLDER.search(name)} <= {*sessions, "reproduce-pets"}


@pytest.mark.parametrize(
    ("dataset", "page"), [("demo", "results.md"), ("voc2007-bus-car-cat-train", "photographs.md")]
)
def test_the_table_is_that_of_the_accepted_records(
    dataset: str, page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert table.main(["--dataset", dataset, "--runs", str(tmp_path)]) == 0
    printed = capsys.readouterr().out.partition("\n\n")[2].rstrip()
    text = read(ROOT / "docs" / page)
    shown = re.search(r"<!-- table -->\n```\n(.*?)\n```\n<!-- end of table -->", text, re.DOTALL)
    assert shown
    assert shown.group(1) == printed


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["demo-table", "floors"])
def test_a_picture_shows_what_records_and_code_say(make_pictures: Any, name: str, theme: str):
    """After a failure: `python docs/make_pictures.py`."""
    path = ROOT / "docs" / "images" / f"{name}-{theme}.svg"
    facts, _ = make_pictures.pictures()[name]
    (described,) = ET.parse(path).iter("{http://purl.org/dc/elements/1.1/}description")  # noqa: S314 (our own file)
    assert json.loads(described.text or "") == facts
    assert path.stat().st_size < LARGEST_PICTURE


def test_every_picture_is_used_by_a_page():
    used = {Path(name).name for path in PAGES.values() for name in re.findall(r"images/[\w.-]+", read(path))}
    assert {path.name for path in (ROOT / "docs" / "images").iterdir()} == used


def test_a_picture_is_drawn_the_same_each_time(
    make_pictures: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    facts = {"base": {"imports": [], "torch": False}, "training": {"imports": ["base"], "torch": True}}
    monkeypatch.setattr(make_pictures, "pictures", lambda: {"floors": (facts, make_pictures.draw_floors)})
    drawn = []
    for number in range(2):
        monkeypatch.setattr(make_pictures, "IMAGES", tmp_path / str(number))
        monkeypatch.setattr(make_pictures, "ROOT", tmp_path)
        make_pictures.main()
        drawn.append([path.read_bytes() for path in sorted((tmp_path / str(number)).iterdir())])
    assert len(drawn[0]) == 2
    assert drawn[0] == drawn[1]


def test_an_arrow_that_follows_from_others_is_left_out(make_pictures: Any):
    facts = {
        "base": {"imports": [], "torch": False},
        "data": {"imports": ["base"], "torch": False},
        "training": {"imports": ["base", "data"], "torch": True},
    }
    assert make_pictures.arrows(facts) == [("data", "base"), ("training", "data")]
    assert make_pictures.levels(facts) == {"base": 0, "data": 1, "training": 2}
