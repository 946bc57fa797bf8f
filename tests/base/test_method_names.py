"""Names of methods: every spelling is found, and what tables need is read without importing the file."""

from pathlib import Path

import pytest

from bench.base import method_names
from bench.base.errors import InputError


@pytest.mark.parametrize("spelling", ["SRN-att", "srn-att", "srn_att", "Srn Att", "ResNet-SRN-att"])
def test_any_spelling_of_a_name_finds_the_method(spelling: str):
    assert method_names.find_method(spelling) == "srn_att"


def test_the_papers_name_of_srn_is_an_alias():
    assert method_names.find_method("ResNet-SRN") == "srn"


def test_a_wrong_name_lists_the_right_ones():
    with pytest.raises(InputError, match=r"unknown method 'snr'; choose from: .*resnet101.*srn_att"):
        method_names.find_method("snr")


def test_display_names_are_those_of_the_papers_tables_in_their_order():
    display_names = [method_names.display_name(name) for name in method_names.methods_in_order()[:8]]
    assert display_names[:3] == ["KNN", "WARP", "Linear probe"]  # the last is in no paper's table
    assert display_names[3:] == ["ResNet-101", "ResNet-107", "ResNet-101-semantic", "SRN-att", "SRN"]


class TestReadingAFile:
    """The files are parsed, not imported: importing these would fail."""

    @pytest.fixture(autouse=True)
    def _files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        texts = {
            "later": "ORDER = (2020, 1)",
            "second": "ORDER = (2019, 2)",
            "first": 'ORDER = (2019, 1)\nMARKS = {"small": "on half of the data"}',
            "silent": "",
            "also_silent": "def f(): ORDER = (1900, 1)",
            "_shared": "ORDER = (1800, 1)",
        }
        for name, text in texts.items():
            head = f'"""{name.title()}: what it is."""\nimport no_such_package\n'
            (tmp_path / f"{name}.py").write_text(f"{head}{text}\n", encoding="utf-8")
        monkeypatch.setattr(method_names, "METHODS", tmp_path)

    def test_methods_are_sorted_by_year_then_row_and_those_without_order_come_last(self):
        assert method_names.methods_in_order() == ["first", "second", "later", "also_silent", "silent"]

    def test_marks_are_those_of_the_file(self):
        assert method_names.marks("first") == {"small": "on half of the data"}
        assert method_names.marks("silent") == method_names.marks("no such method") == {}

    def test_the_display_name_is_the_one_in_the_docstring(self):
        assert method_names.display_name("first") == "First"

    def test_an_attribute_of_the_class_is_no_field_of_its_recipe(self, tmp_path: Path):
        text = 'class Config:\n    OWN: ClassVar[tuple[str, ...]] = ("lr",)\n    lr: float = 0.1\n'
        (tmp_path / "mine.py").write_text(text, encoding="utf-8")
        assert method_names.recipe_fields("mine") == {"lr": "float"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "def stages(): 0",
            'methods/mine.py defines no Config and no Model and no RECIPES; see "Add a method"',
        ),
        ("class Model:\n  x = (", "mine.py: line 2: not Python: "),
    ],
)
def test_a_methods_file_that_lacks_a_part_is_named(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "mine.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(method_names, "METHODS", tmp_path)
    with pytest.raises(InputError, match=message):
        method_names.find_method("mine")
