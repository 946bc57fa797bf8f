"""Data set cards: defaults, and messages about malformed cards."""

import dataclasses
from pathlib import Path

import pytest

from bench.base import paths
from bench.base.errors import InputError
from bench.data import cards
from bench.data.cards import Split

GOOD = """
title = "Two things"
summary = "a small card"
format = "digit-scenes"
labels = ["a", "b"]
source = "here"
licence = "none"
train = {images = 4}
test = {images = 2, positives = 3}
"""


def card(tmp_path: Path, text: str) -> cards.Card:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return cards.read(path)


def test_a_card_is_read_with_the_papers_defaults(tmp_path: Path):
    mine = card(tmp_path, GOOD)
    assert (mine.name, mine.labels, mine.test) == ("mine", ("a", "b"), Split(2, 3))
    assert (mine.sizes.train, mine.sizes.test) == (256, 224)
    assert (mine.evaluation.profile, mine.evaluation.top3, mine.evaluation.unspecified) == (
        "srn2017",
        None,
        None,
    )


@pytest.mark.parametrize("name", cards.names())
def test_every_card_of_the_checkout_loads(name: str):
    assert cards.load_card(name).name == name
    assert len(cards.load_card(name).summary) <= 90


def test_an_unknown_card_lists_the_cards():
    with pytest.raises(InputError, match="unknown data set 'imagenet'; choose from: .*demo"):
        cards.load_card("imagenet")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("licence", "license"), "mine.toml: unknown key 'license'; choose from: title, summary"),
        (('licence = "none"', ""), "mine.toml: missing: licence"),
        (("images = 4", "image = 4"), "mine.toml: unknown key 'train.image'; choose from: images, positives"),
        (("images = 4", 'images = "4"'), "mine.toml: train.images must be a whole number, not '4'"),
        (('"here"', "3"), "mine.toml: source must be text, not 3"),
        (('["a", "b"]', '"ab"'), "mine.toml: labels must be a list of names"),
        (('["a", "b"]', '["a", "a"]'), "mine.toml: labels must be a list of different names"),
        (("train = {images = 4}", "train = 4"), "mine.toml: train must be a table"),
        (("[", "[["), "mine.toml: "),
        (("train =", "options = 3\ntrain ="), "mine.toml: options must be a table"),
        (
            ("train =", 'evaluation = {top3 = "some"}\ntrain ='),
            "unknown evaluation.top3 'some'; choose from: forced",
        ),
    ],
)
def test_a_malformed_card_is_refused_with_file_and_key(tmp_path: Path, change: tuple[str, str], message: str):
    with pytest.raises(InputError) as caught:
        card(tmp_path, GOOD.replace(*change))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("images = 4", "images = -1"), "mine.toml: train.images=-1: give a whole number from 0"),
        (
            ("train =", "sizes = {train = 0, test = 0}\ntrain ="),
            "sizes.train=0: give a whole number from 8 to",
        ),
        (('["a", "b"]', '["a", "b\\n"]'), r"label 'b\n' is empty or has characters that cannot be printed"),
        (("train =", f"{'a.' * 200}b = 1\ntrain ="), "line 8: a key of more than 100 parts"),
        (('"here"', "[" * 20_000), "nested too deeply"),
    ],
)
def test_a_card_that_means_nothing_is_refused(tmp_path: Path, change: tuple[str, str], message: str):
    with pytest.raises(InputError) as caught:
        card(tmp_path, GOOD.replace(*change, 1))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('name = "other"', "mine.toml: name is no key of a card; a card is named after its file; rename the"),
        ("known = {share = 0.1}", "mine.toml: known is no key of a card; say it in commands: NAME@known=0.1"),
    ],
)
def test_a_field_that_is_no_key_is_refused_with_what_to_do(tmp_path: Path, line: str, message: str):
    with pytest.raises(InputError, match=message):
        card(tmp_path, f"{line}\n{GOOD}")


def test_every_field_of_a_card_is_a_key_that_the_docs_describe_or_is_refused():
    keys = (paths.ROOT / "docs" / "data.md").read_text(encoding="utf-8").partition("| key | meaning |")[2]
    table = keys.partition("\n\n")[0]
    fields = {field.name for field in dataclasses.fields(cards.Card)}
    described = {name for name in fields if f"`{name}`" in table}
    assert fields - described - {"resample", "not_offered"} == set(cards.NO_KEYS)


@pytest.mark.parametrize("change", ["keep=a\nb", "keep=\x1b", f"keep={'a' * 200}", "keep=../a"])
def test_an_option_that_cannot_be_part_of_a_folders_name_is_refused(change: str):
    with pytest.raises(InputError, match="is not option=value, as in"):
        cards.load_card(f"nuswide@{change}")


def test_a_size_out_of_range_is_refused():
    with pytest.raises(InputError, match="sizes.train=.*: give a whole number from 8 to 4096"):
        cards.load_card("coco@size=99999999")
