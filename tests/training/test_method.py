"""Files in a recipe: their content determines the stages' keys, the record has their name without folder."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.base.errors import InputError
from bench.training import method, reproduce, stage_cache
from bench.training.content_digest import content_digest
from bench.training.method import NO_FILE, File
from bench.training.stage_cache import StageContext
from tests.conftest import small_recipe


def keys(file: Path, context: StageContext) -> list[str]:
    recipe = small_recipe("resnet101", trunk_weights=File(str(file)))
    return stage_cache.stage_keys(method.load_method("resnet101"), recipe, context, 0)


def test_files_of_the_same_content_are_the_same_and_of_other_content_are_not(
    context: StageContext, tmp_path: Path
):
    one, same, other = (tmp_path / name for name in ("one.pth", "same.pth", "other.pth"))
    for file, content in ((one, "1"), (same, "1"), (other, "2")):
        file.write_text(content, encoding="utf-8")
    assert keys(one, context) == keys(same, context) != keys(other, context)


def test_a_file_that_changes_is_another_file(context: StageContext, tmp_path: Path):
    file = tmp_path / "w.pth"
    file.write_text("1", encoding="utf-8")
    before = keys(file, context)
    file.write_text("12", encoding="utf-8")
    assert keys(file, context) != before


def test_a_stages_setting_that_is_a_file_counts_by_its_content(tmp_path: Path):
    empty, filled = tmp_path / "one", tmp_path / "other"
    empty.write_bytes(b"")
    filled.write_bytes(b"1")
    assert content_digest({"file": File(str(empty))}) != content_digest({"file": File(str(filled))})
    assert content_digest({"file": File(str(empty))}) != content_digest({"file": NO_FILE})


def test_the_record_names_a_file_without_its_folder():
    recipe = replace(small_recipe("resnet101"), trunk_weights=File("/somewhere/w.pth"))
    assert reproduce._recipe(recipe)["trunk_weights"] == "w.pth"
    assert reproduce._recipe(small_recipe("resnet101"))["trunk_weights"] == ""


def test_a_missing_file_is_named_before_it_is_needed():
    with pytest.raises(InputError, match="trunk_weights=nowhere.pth: there is no such file"):
        method.recipe(method.load_method("srn"), "demo", {"trunk_weights": "nowhere.pth"})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=f"{tmp_path}: cannot be read: Is a directory"):
        _ = File(str(tmp_path)).digest


def test_none_and_an_empty_text_take_a_value_away(tmp_path: Path):
    (tmp_path / "w.pth").touch()
    config = method.recipe(method.load_method("srn"), "demo", {"max_distort": "none", "trunk_weights": ""})
    assert (config.max_distort, config.trunk_weights) == (None, NO_FILE)
