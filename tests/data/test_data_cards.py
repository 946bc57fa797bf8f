"""The cards of the real data sets: labels, counts, evaluation and archives, also with other options."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.base.errors import InputError
from bench.base.paths import CARDS, REPRODUCED
from bench.data import cards
from bench.data.cards import Card, Split
from bench.results import published
from bench.scoring.profiles import PROFILES

OWNERS = [name for name in cards.names() if name != "demo"]


@pytest.mark.parametrize(
    ("name", "labels", "first_and_last", "train", "test"),
    [
        ("coco", 80, ("person", "toothbrush"), Split(82783, 241035), Split(40504, 116592)),
        (
            "nuswide",
            81,
            ("airport", "zebra"),
            Split(119986, approximate=True),
            Split(80283, 194594, approximate=True),
        ),
        ("wider", 14, ("Male", "stripe"), Split(28340, approximate=True), Split(29177, approximate=True)),
        ("voc2007", 20, ("aeroplane", "tvmonitor"), Split(5011, 7306), Split(4952, 7013)),
        ("voc2012", 20, ("aeroplane", "tvmonitor"), Split(11540), Split(10991)),
    ],
)
def test_a_card_expects_the_papers_images_and_labels(
    name: str, labels: int, first_and_last: tuple[str, str], train: Split, test: Split
):
    card = cards.load_card(name)
    assert len(card.labels) == labels
    assert (card.labels[0], card.labels[-1]) == first_and_last
    assert (card.train, card.test) == (train, test)


@pytest.mark.parametrize(
    ("name", "profile", "top3", "unspecified"),
    [
        ("coco", "srn2017", "thresholded", None),
        ("nuswide", "srn2017", "forced", None),
        ("wider", "srn2017", None, "negative"),
        ("voc2007", "mlgcn", None, "excluded"),
        ("voc2012", "srn2017", None, "excluded"),
    ],
)
def test_a_card_has_the_evaluation_of_its_published_table(
    name: str, profile: str, top3: str | None, unspecified: str | None
):
    evaluation = cards.load_card(name).evaluation
    assert (evaluation.profile, evaluation.top3, evaluation.unspecified) == (profile, top3, unspecified)
    assert evaluation.profile in PROFILES
    if paper := published.load_published(name):
        assert paper.top3 == evaluation.top3


def test_only_voc2012_has_result_files_instead_of_test_labels():
    files = {name: cards.load_card(name).evaluation.result_files for name in cards.names()}
    assert {name: file for name, file in files.items() if file} == {"voc2012": "comp1_cls_test_{label}.txt"}


def test_a_store_with_test_labels_has_another_digest_than_one_without():
    hidden = cards.load_card("voc2012")
    shown = replace(hidden, evaluation=replace(hidden.evaluation, result_files=""))
    assert cards.store_digest(hidden) != cards.store_digest(shown)
    other = replace(hidden, evaluation=replace(hidden.evaluation, profile="mlgcn", result_files="{label}"))
    assert cards.store_digest(hidden) == cards.store_digest(other)


def test_the_demo_has_the_digest_of_the_accepted_records():
    (digest,) = {
        json.loads(path.read_text(encoding="utf-8"))["data"]["card"]
        for path in (REPRODUCED / "demo").glob("*.json")
    }
    assert cards.store_digest(cards.load_card("demo")) == digest


def test_only_the_archives_of_voc2012_are_incomplete():
    lacking = {name: cards.load_card(name).not_offered for name in cards.names()}
    assert {name: missing for name, missing in lacking.items() if missing} == {
        "voc2012": "VOC2012test.tar, the test images"
    }


def test_every_archive_has_its_size_and_md5():
    offered = {name: cards.load_card(name).archives for name in cards.names()}
    assert {name: len(archives) for name, archives in offered.items() if archives} == {
        "coco": 3,
        "voc2007": 2,
        "voc2012": 1,
    }
    for archive in (archive for archives in offered.values() for archive in archives):
        assert re.fullmatch(r"https?://\S+/[\w-]+\.(zip|tar)", archive.url)
        assert re.fullmatch("[0-9a-f]{32}", archive.md5)
        assert archive.bytes > 100_000_000


@pytest.mark.parametrize("name", OWNERS)
def test_a_card_says_how_to_get_its_files(name: str):
    card = cards.load_card(name)
    assert "http" in card.obtain
    assert "one folder, as " in card.obtain
    assert card.licence


def changed(name: str, tmp_path: Path, old: str, new: str) -> Card:
    """The card of the checkout with one change of its text."""
    text = (CARDS / f"{name}.toml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    path = tmp_path / f"{name}.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return cards.read(path)


@pytest.mark.parametrize(
    ("name", "old", "new", "train", "test"),
    [
        ("coco", 'unlabelled = "kept"', 'unlabelled = "dropped"', Split(82081, 241035), Split(40137, 116592)),
        (
            "nuswide",
            'keep = "labelled-and-present"',
            'keep = "all"',
            Split(161789, approximate=True),
            Split(107859, 202389, approximate=True),
        ),
        (
            "voc2007",
            'difficult = "unspecified"',
            'difficult = "positive-in-training"',
            Split(5011),
            Split(4952, 7013),
        ),
    ],
)
def test_another_option_has_its_own_counts(
    tmp_path: Path, name: str, old: str, new: str, train: Split, test: Split
):
    card = changed(name, tmp_path, old, new)
    assert (card.train, card.test) == (train, test)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'md5 = "0da8',
            'sha = "0da8',
            "coco.toml: unknown key 'archives[0].sha'; choose from: url, bytes, md5",
        ),
        ("bytes = 6645013297", 'bytes = "6 GB"', "coco.toml: archives[1].bytes must be a whole number"),
        ("[[variants]]", "[variants]", "coco.toml: variants must be a list of tables"),
        (
            "images = 40504",
            "images = 40504\napproximate = 1",
            "test.approximate must be true or false, not 1",
        ),
    ],
)
def test_a_malformed_entry_is_refused_with_its_place(tmp_path: Path, old: str, new: str, message: str):
    with pytest.raises(InputError) as caught:
        changed("coco", tmp_path, old, new)
    assert message in str(caught.value)
