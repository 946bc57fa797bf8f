"""The fidelity pages: files, names, recipe values, options, sizes and counts are those of the code."""

import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from bench import table
from bench.base.paths import ROOT
from bench.data import cards
from bench.report import html_page
from bench.results import published, table_formats
from bench.results.comparison_table import FIDELITY_NOTE
from bench.results.table_model import Table
from bench.scoring import profiles
from bench.training import batches, method, run_options, trunk
from bench.training.method import Labels
from methods import _graph

PAGES = [ROOT / "docs" / name for name in ("fidelity.md", "fidelity-methods.md")]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
VERDICTS = {"faithful", "chosen", "unknown"}
OF_OTHER_METHODS = ("MCAR", "MSRN", "ML-GCN", "ASL", "CSRA", "WARP", "KNN")
FIELD = re.compile(r"([a-z_]+) = (\S+)")
CONSTANT = re.compile(r"([A-Z_]+) = (\S+)")
CARD_OPTION = re.compile(r"[a-z0-9]+@\S+")


@dataclass(frozen=True)
class Row:
    """A row of a table: what is done here, where, and the verdict; method: whose recipe its fields are."""

    here: str
    where: str
    verdict: str
    section: str

    @property
    def files(self) -> dict[str, list[str]]:
        """The names that the row gives, by file."""
        named: dict[str, list[str]] = {}
        for word in code(self.where):
            if "/" in word:
                file = word
                named[file] = []
            else:
                named[file].append(word)
        return named

    @property
    def method(self) -> str:
        if self.section in OF_OTHER_METHODS:
            return self.section.lower()
        own = [file for file in self.files if re.fullmatch(r"methods/[a-z]\w*\.py", file)]
        return own[0].removeprefix("methods/").removesuffix(".py") if own else "srn"


def code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def rows() -> Iterator[Row]:
    for part in TEXT.split("\n## ")[1:]:
        for line in part.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if line.startswith("|") and len(cells) >= 4 and cells[-1] not in ("", "---"):
                yield Row(*cells[-3:], section=part.splitlines()[0])


ROWS = [*rows()]


def recipe(name: str, **changes: str) -> Any:
    return method.recipe(method.load_method(name), "coco", changes)


@cache
def size(name: str, **changes: Any) -> int:
    """The number of parameters with ResNet-101 at 224 and 80 labels."""
    module = method.load_method(name)
    labels = Labels(tuple(map(str, range(80))), np.zeros((80, 80), dtype=np.int64))
    with torch.device("meta"):
        loaded = trunk.load_trunk("resnet101", from_scratch=True)
        model = module.Model(replace(module.Config(), **changes), labels, loaded)
    return sum(parameter.numel() for parameter in model.parameters())


def sizes() -> dict[str, int]:
    base, text = size("resnet101"), {"attention_blocks": 0, "branch_norms": False}
    return {
        "ResNet-101, with": base,
        "a dense layer": 2048 * 14 * 14 * 80,
        "added by SRN, as here": size("srn") - base,
        "added by SRN without": size("srn", attention_blocks=0) - base,
        "added by SRN, `--variant text`": size("srn", **text) - base,
        "added by ResNet-107": size("resnet107") - base,
        "conv4": 2048 * 14 * 14,
        "MSRN": size("msrn"),
    }


def test_it_has_a_verdict_for_each_equation_figure_and_table():
    assert len(ROWS) > 80
    assert {row.verdict for row in ROWS} == VERDICTS
    numbers = {
        (kind, int(number))
        for kind, listed in re.findall(r"(Eq\.|Fig\.|Tables?) (\d+(?:, \d+)*)", TEXT)
        for number in listed.split(", ")
    }
    assert {("Eq.", number) for number in range(1, 11)} <= numbers
    assert {("Fig.", number) for number in range(2, 8)} <= numbers
    assert {("Tables", number) for number in (1, 2, 3)} <= numbers


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.where.replace("`", "")[:80])
class TestEveryRow:
    def test_names_what_exists(self, row: Row):
        assert row.files
        for file, names in row.files.items():
            assert (ROOT / file).exists(), file
            for name in names:
                assert exists(file, name.partition(" = ")[0]), f"{file}: {name}"

    def test_gives_the_values_of_the_code(self, row: Row):
        """A default that is set again changes nothing; another choice is allowed and changes something."""
        default = recipe(row.method)
        for words in code(row.here):
            if match := FIELD.fullmatch(words):
                assert recipe(row.method, **{match[1]: match[2]}) == default, words
            elif words.startswith("--") and "FILE" not in words:
                changes = {name.replace("-", "_"): text for name, text in re.findall(r"--(\S+) (\S+)", words)}
                if "precision" in changes:
                    run_options.parse(
                        ["--dataset", "coco", "--method", "srn", *words.split()], description=""
                    )
                else:
                    assert recipe(row.method, **changes) != default, words
            elif CARD_OPTION.fullmatch(words):
                assert cards.load_card(words) != cards.load_card(cards.base(words))

    def test_gives_the_constants_of_its_file(self, row: Row):
        for file, names in row.files.items():
            for match in filter(None, map(CONSTANT.fullmatch, names)):
                assert str(getattr(load(file), match[1])) == match[2]


def load(file: str) -> Any:
    return importlib.import_module(file.removesuffix(".py").replace("/", "."))


def exists(file: str, name: str) -> bool:
    """Whether a Python file defines `A.b`, or a TOML file has the key `a.b`."""
    place: Any = load(file) if file.endswith(".py") else tomllib.loads((ROOT / file).read_text("utf-8"))
    for part in name.split("."):
        if isinstance(place, dict):
            if part not in place:
                return False
            place = place[part]
        elif hasattr(place, part):
            place = getattr(place, part)
        else:
            return part in getattr(place, "__dataclass_fields__", {})
    return True


def without_settings() -> str:
    """The page without its settings, which another test compares."""
    return re.sub(r"`[a-z_]+ = \S+`|`--[^`]+`", "", TEXT)


def test_its_sizes_are_those_of_the_models():
    table_of_sizes = dict(re.findall(r"^\| (.+?) \| ([\d,]+) \|$", TEXT, re.MULTILINE))
    expected = {what: number for what, number in sizes().items() if what != "MSRN"}
    assert len(table_of_sizes) == len(expected)
    for beginning, number in expected.items():
        (written,) = [text for what, text in table_of_sizes.items() if what.startswith(beginning)]
        assert written == f"{number:,}", beginning


def test_all_its_large_numbers_are_those_of_models_cards_and_the_paper():
    known = {f"{number:,}" for number in sizes().values()}
    millions = {f"{number / 1e6:.1f} M" for number in sizes().values()}
    for name in ("coco", "nuswide", "nuswide@keep=all", "wider"):
        card = cards.load_card(name)
        splits = (card.train, card.test)
        known |= {f"{split.images:,}" for split in splits} | {f"{sum(split.images for split in splits):,}"}
        known |= set(re.findall(r"\d+,\d{3}", card.summary))
    assert set(re.findall(r"(?<![\d,])\d{1,3}(?:,\d{3})+(?![\d,])", without_settings())) <= known
    assert set(re.findall(r"\d+\.\d M\b", TEXT)) <= millions


def test_its_labels_per_picture_are_the_cards():
    nuswide, coco = cards.load_card("nuswide").test, cards.load_card("coco").train
    assert f"{(nuswide.positives or 0) / nuswide.images:.1f}" == "2.4"
    assert f"{(coco.positives or 0) / coco.images:.1f}" == "2.9"


def test_its_results_are_published():
    tables = [published.load_published(name) for name in ("coco", "nuswide", "wider")]
    printed = [row for found in tables if found for row in (*found.rows, *found.others)]
    values = {str(value) for row in printed for value in row.all.values()}
    without_sizes = re.sub(r"\d+\.\d (?:M|%)", "", without_settings())
    assert set(re.findall(r"(?<![\d.])\d\d\.\d(?![\d.])", without_sizes)) <= values
    counted = [len(row.all) + len(row.top3) for row in printed if row.source == "srn"]
    assert f"| {sum(counted)} numbers |" in TEXT


def test_its_words_on_rules_are_the_codes():
    rules = profiles.get_profile("srn2017")
    assert (rules.positive, rules.area, rules.f1_c, rules.eps) == ((">", 0.5), "envelope", "mean", 2.0**-52)
    assert (rules.ties, rules.no_positives) == ("file order", "left out")
    kinds = {name: cards.load_card(name).evaluation for name in ("nuswide", "coco", "wider")}
    assert [kinds[name].top3 for name in kinds] == ["forced", "thresholded", None]
    assert kinds["wider"].unspecified == "negative"
    assert {card.profile for card in kinds.values()} == {"srn2017"}
    assert torch.nn.BatchNorm2d(1).momentum == 0.1
    assert inspect.signature(_graph.edges).parameters["threshold"].default == 0.4
    assert cards.Sizes() == cards.Sizes(train=256, test=224)
    assert len(batches.PLACES) == 5
    assert len(batches.PLACES + batches.MORE_PLACES) == 13


@pytest.mark.parametrize("form", ["text", "markdown", "latex", "html", "json"])
@pytest.mark.parametrize("dataset", ["coco", "demo"])
def test_a_table_leads_to_it_in_one_line(dataset: str, form: str, capsys: pytest.CaptureFixture[str]):
    assert form in table_formats.FORMATS
    assert table.main(["--dataset", dataset, "--format", form]) == 0
    assert capsys.readouterr().out.count("docs/fidelity.md") == 1


def test_the_report_leads_to_it_in_one_line():
    empty = Table("demo", ("Demo",), (("all", "mAP"),), (), (FIDELITY_NOTE,), "")
    page = html_page.build("Demo", headline=[], table=empty, drawn_figures=[], missing=[])
    assert page.count("docs/fidelity.md") == 1
