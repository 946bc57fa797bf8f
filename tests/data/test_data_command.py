"""The command `python -m bench.data`: the description of a store, and a sheet of its images."""

import doctest
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.base.errors import InputError
from bench.data import __main__, contact_sheet, held_out
from bench.data.preparation import prepare
from bench.data.store import Store
from tests import trees
from tests.prepared import SIZES


@pytest.fixture(scope="module")
def wider(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three persons for training, one for testing; some attributes are unspecified."""
    root = tmp_path_factory.mktemp("wider")
    return prepare(trees.card("wider", sizes=SIZES), source=trees.wider(root / "source"), data=root / "data")


def test_the_doctests_hold():
    assert doctest.testmod(__main__).failed == 0


def test_counts_labels_per_image_and_frequencies_are_those_of_the_store(store: Store):
    text = __main__.describe(store)
    positives_N = (store.train.labels_NC == 1).sum(axis=1)
    assert "    train: 160 images, " in text
    assert f"fingerprint {store.fingerprint}" in text
    lines = [line.split() for line in text.splitlines()]
    heads = next(line for line in lines if line and line[0] == str(positives_N.min()))
    train = next(line for line in lines if line[:1] == ["train"])
    assert dict(zip(heads, train[1:], strict=True))["5"] == str((positives_N == 5).sum())
    nine = next(line for line in lines if line[:1] == ["nine"])
    count = (store.train.labels_NC[:, 9] == 1).sum()
    assert nine[1:4] == [str(count), f"{count / 1.6:.1f}", "%"]


def test_the_most_frequent_label_comes_first():
    train_NC = np.array([[0, 1, 1], [0, 1, -1]], np.int8)
    rows = __main__.frequencies(["a", "b", "c"], train_NC, train_NC[:1])
    assert rows == [
        ["b", "2", "100.0 %", "1", "100.0 %"],
        ["c", "1", "50.0 %", "1", "100.0 %"],
        ["a", "0", "0.0 %", "0", "0.0 %"],
    ]


def test_unspecified_labels_are_counted_if_there_are_negative_ones(store: Store, wider: Store):
    assert "Unspecified (neither positive nor negative): 3 in train, 0 in test" in __main__.describe(wider)
    assert "Unspecified" not in __main__.describe(store)


def pasted(page: Image.Image, position: int) -> Any:
    """The pixels of an image in the first row of the sheet."""
    left = contact_sheet.GAP + position % contact_sheet.COLUMNS * (
        contact_sheet.IMAGE_SIDE + contact_sheet.GAP
    )
    return np.asarray(page)[
        contact_sheet.GAP : contact_sheet.GAP + contact_sheet.IMAGE_SIDE,
        left : left + contact_sheet.IMAGE_SIDE,
    ]


def test_the_sheet_shows_the_images_and_has_text_below(store: Store):
    names = store.manifest["labels"]
    page = Image.open(io.BytesIO(contact_sheet.png(store.train, np.arange(8), names)))
    assert page.width == 6 * (contact_sheet.IMAGE_SIDE + contact_sheet.GAP) + contact_sheet.GAP
    for position, image in enumerate(store.train.images(np.arange(6))):
        expected = Image.fromarray(image).resize((contact_sheet.IMAGE_SIDE, contact_sheet.IMAGE_SIDE))
        assert np.array_equal(pasted(page, position), np.asarray(expected))
    below = np.asarray(page)[
        contact_sheet.GAP + contact_sheet.IMAGE_SIDE : contact_sheet.GAP
        + contact_sheet.IMAGE_SIDE
        + 2 * contact_sheet.LINE_HEIGHT
    ]
    assert (below < 128).any()


def test_the_text_is_the_end_of_the_id_and_the_positive_labels(wider: Store):
    (lines,) = contact_sheet._texts(wider.train, np.array([0]), wider.manifest["labels"])
    assert lines == ["ain/0--Parade/0_Parade_a.jpg#0", "Male, Hat"]
    (lines,) = contact_sheet._texts(wider.train, np.array([1]), wider.manifest["labels"])
    assert lines[1:] == ["no label"]


def test_a_view_without_images_is_described_and_not_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """None of the three persons is held out, as in stores that are older than the rule for few images."""
    monkeypatch.setattr(held_out, "SMALL", 0)
    card = trees.card("wider", sizes=SIZES)
    made = prepare(card, source=trees.wider(tmp_path / "source"), data=tmp_path / "data")
    assert made.held_out.labels_NC.shape == (0, 14)
    words = ["--dataset", "wider", "--data", str(tmp_path / "data"), "--view", "held_out"]
    assert __main__.main(words) == 0
    with pytest.raises(InputError, match="view held_out has no images; give --view one of: train, test$"):
        __main__.main([*words, "--output", str(tmp_path / "a.png")])


class TestCommand:
    @pytest.fixture
    def words(self, small_cards: Path, store: Store) -> list[str]:
        assert small_cards.exists()
        return ["--dataset", "demo", "--data", str(store.folder.parent)]

    def test_prints_and_draws(self, words: list[str], tmp_path: Path, capsys: Any):
        file = tmp_path / "sheets" / "a.png"
        assert __main__.main([*words, "--output", str(file), "--images", "5", "--view", "test"]) == 0
        assert capsys.readouterr().out.endswith(f"written: {file} (5 images of test)\n")
        with Image.open(file) as page:
            assert page.width == 5 * (contact_sheet.IMAGE_SIDE + contact_sheet.GAP) + contact_sheet.GAP

    def test_draws_the_same_again_and_others_for_another_seed(self, words: list[str], tmp_path: Path):
        files = [tmp_path / f"{name}.png" for name in "abc"]
        for file, seed in zip(files, ("0", "0", "1"), strict=True):
            __main__.main([*words, "--output", str(file), "--images", "3", "--seed", seed])
        assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (
                ["--output", "a.gif"],
                "--output a.gif is not a PNG file; give a name that ends in .png",
            ),
            (["--images", "0"], "--images 0 is too small; give 1 or more"),
            (["--seed", "-1"], "--seed -1 is negative; give 0 or more"),
            (["--view", "val"], "invalid choice: 'val'"),
        ],
    )
    def test_names_a_wrong_option(self, words: list[str], more: list[str], message: str):
        with pytest.raises(InputError, match=message):
            __main__.main([*words, *more])

    def test_says_how_to_prepare_a_missing_store(self, words: list[str], tmp_path: Path):
        with pytest.raises(
            InputError, match="holds no prepared data; run: python -m bench.prepare --dataset demo"
        ):
            __main__.main([*words[:3], str(tmp_path)])
