"""Variants with partly known labels: which entries stay known, their names, and what the store holds."""

from pathlib import Path

import numpy as np
import pytest

from bench.base.errors import InputError
from bench.data import cards, known_labels, preparation, survey
from bench.data.known_labels import Known
from bench.data.preparation import prepare
from tests import prepared

KNOWN_OF_2 = [False, False, True, True]
NAMES = [f"{n}.jpg" for n in range(2000)]


def test_the_draw_depends_on_seed_image_and_label_alone():
    known_NC = np.array([known_labels.is_known(name, ["a", "b"], Known(0.1, 0, -1)) for name in NAMES])
    turned_NC = np.array([known_labels.is_known(name, ["b", "a"], Known(0.1, 0, -1)) for name in NAMES])
    other_NC = np.array([known_labels.is_known(name, ["a", "b"], Known(0.1, 1, -1)) for name in NAMES])
    more_NC = np.array([known_labels.is_known(name, ["a", "b"], Known(0.5, 0, -1)) for name in NAMES])
    assert np.array_equal(known_NC, turned_NC[:, ::-1])
    assert (known_NC <= more_NC).all()  # a larger share keeps what a smaller one knows
    assert (known_NC != other_NC).any()
    assert abs(known_NC.mean() - 0.1) < 0.02
    assert abs((known_NC[:, 0] & known_NC[:, 1]).mean() - 0.01) < 0.01


def test_the_draw_is_the_same_on_every_machine():
    assert known_labels.is_known("2.jpg", ["a", "b", "c", "d"], Known(0.5, 0, -1)) == KNOWN_OF_2


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("coco@known=.10", "coco@known=0.1"),
        ("coco@known=0.1,known_seed=0", "coco@known=0.1"),
        ("coco@size=448,known_seed=3,known=0.5", "coco@known=0.5,known_seed=3,size=448"),
        ("coco@unlabelled=dropped,known=0.5", "coco@known=0.5,unlabelled=dropped"),
        ("coco@known=1", "coco"),
    ],
)
def test_a_variant_has_one_name(name: str, full: str):
    card = cards.load_card(name)
    assert card.name == full
    assert cards.load_card(full) == card


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("coco@known=0", "data set coco: known=0: give a number above 0, at most 1, as in known=0.1"),
        ("coco@known=nan", "known=nan: give a number above 0"),
        ("coco@known=half", "known=half: give a number above 0"),
        ("coco@known_seed=1", "known_seed needs known: @known=0.1,known_seed=0"),
        ("coco@known=0.1,known_seed=-1", "known_seed=-1: give a whole number from 0 to 1000000000"),
    ],
)
def test_a_wrong_variant_is_refused(name: str, message: str):
    with pytest.raises(InputError, match=message):
        cards.load_card(name)


def test_known_is_no_key_of_a_card(tmp_path: Path):
    path = tmp_path / "own.toml"
    path.write_text("known = 0.1\n", encoding="utf-8")
    with pytest.raises(InputError, match="own.toml: known is no key of a card; say it in commands"):
        cards.read(path)


def test_its_evaluation_and_test_images_are_those_of_the_data_set():
    card, variant = cards.load_card("coco"), cards.load_card("coco@known=0.1")
    assert (variant.evaluation, variant.test) == (card.evaluation, card.test)
    assert variant.train.images == card.train.images
    assert variant.train.positives == 0
    assert cards.store_digest(variant) != cards.store_digest(card)
    assert cards.store_digest(variant) != cards.store_digest(cards.load_card("coco@known=0.1,known_seed=1"))


@pytest.mark.parametrize(
    ("name", "zero"), [("coco", False), ("coco@known=0.1", True), ("voc2007", True), ("wider", True)]
)
def test_what_zero_means_in_training_is_known(name: str, zero: bool):
    assert known_labels.is_zero_unknown(cards.load_card(name)) == zero


@pytest.mark.usefixtures("alone")
def test_the_store_holds_unknown_training_labels_and_whole_test_labels(tmp_path: Path):
    card, source = prepared.numbered(), prepared.numbered_tree(tmp_path / "source")
    variant = known_labels.with_known(card, "0.3", "7")
    whole = preparation.prepare(card, source=source, data=tmp_path / "data")
    store = prepare(variant, source=source, data=tmp_path / "data")
    train_NC = store.train.labels_NC
    known_NC = train_NC != 0
    assert 0.2 < known_NC.mean() < 0.4
    assert np.array_equal(train_NC[known_NC] == 1, whole.train.labels_NC[known_NC] == 1)
    assert set(np.unique(train_NC)) == {-1, 0, 1}
    assert np.array_equal(store.test.labels_NC, whole.test.labels_NC)
    ids = store.train.column("id").tolist()
    held_out = [ids.index(name) for name in store.held_out.column("id").tolist()]
    assert np.array_equal(store.held_out.labels_NC, train_NC[held_out])


def test_labels_that_the_data_set_does_not_specify_stay_unknown():
    labels_C = np.array([1, 0, -1, 0], np.int8)
    for zero, expected in ((0, [1, 0, -1, 0]), (-1, [1, -1, -1, -1])):
        item = survey.Sample("x", Path("x"), labels_C)
        new = survey._partly_known(item, Known(1.0, 0, zero), ["a", "b", "c", "d"])
        assert isinstance(new, survey.Sample)
        assert new.labels_C.tolist() == expected
        assert new.labels_C.dtype == np.int8
