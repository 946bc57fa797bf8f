"""The command `python -m bench.prepare`: its output, its options, its messages."""

from pathlib import Path
from typing import Any

import pytest

from bench import prepare, run
from bench.base.errors import InputError
from bench.data import card_options, cards, preparation, store
from bench.data.cards import Sizes
from tests import trees

pytestmark = pytest.mark.usefixtures("alone")


class TestCommand:
    @pytest.fixture
    def words(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """`bench.prepare` for the small MS-COCO, whose card is the only one."""
        text = (cards.CARDS / "coco.toml").read_text(encoding="utf-8")
        for number, small in (
            ("82783", "4"),
            ("241035", "5"),
            ("40504", "2"),
            ("116592", "1"),
            ("82081", "3"),
            ("40137", "1"),
        ):
            text = text.replace(number, small)
        folder = trees.write(
            tmp_path / "cards" / "coco.toml", [text + "[sizes]\ntrain = 48\ntest = 32"]
        ).parent
        monkeypatch.setattr(cards, "CARDS", folder)
        return ["--dataset", "coco", "--data", str(tmp_path / "data")]

    def test_says_what_the_store_holds(self, words: list[str], source: Path, tmp_path: Path, capsys: Any):
        assert prepare.main([*words, "--source", str(source)]) == 0
        assert capsys.readouterr().out == (
            "    train: 4 images, 5 positive labels\n"
            " held_out: 1 images, 1 positive labels\n"
            "     test: 2 images, 1 positive labels\n"
            f"ready: {tmp_path}/data/coco\n"
        )

    def test_takes_options_of_the_card_and_says_what_they_leave_out(
        self, words: list[str], source: Path, tmp_path: Path, capsys: Any
    ):
        words[1] = "coco@unlabelled=dropped"
        assert prepare.main([*words, "--source", str(source)]) == 0
        printed = capsys.readouterr().out
        assert "left out of train: 1 without a label\nleft out of test: 1 without a label\n" in printed
        made_from = store.open_store(tmp_path / "data" / "coco@unlabelled=dropped").manifest["made_from"]
        assert made_from["options"]["unlabelled"] == "dropped"

    def test_says_that_data_are_partial(self, words: list[str], source: Path, capsys: Any):
        (source / "train2014" / "COCO_train2014_000000000025.jpg").unlink()
        assert prepare.main([*words, "--source", str(source), "--allow-partial"]) == 0
        assert (
            "partial: the data set is incomplete; when you have the rest, delete the store"
            in capsys.readouterr().out
        )

    def test_verifies(self, words: list[str], source: Path, capsys: Any):
        with pytest.raises(
            InputError, match="holds no prepared data; run: python -m bench.prepare --dataset coco"
        ):
            prepare.main([*words, "--verify"])
        prepare.main([*words, "--source", str(source)])
        assert prepare.main([*words, "--verify"]) == 0
        assert capsys.readouterr().out.endswith("coco is intact: 7 images in 3 files match their checksums\n")

    def test_says_what_to_get_if_there_is_neither_store_nor_source(self, words: list[str]):
        with pytest.raises(
            InputError, match=r"the original files of MS-COCO are needed; get train2014.zip, .*--download$"
        ):
            prepare.main(words)

    def test_says_that_a_store_exists_if_another_source_is_given(
        self, words: list[str], source: Path, tmp_path: Path, capsys: Any
    ):
        store = tmp_path / "data" / "coco"
        other = trees.coco(tmp_path / "other")
        for named in (source, source, other):
            assert prepare.main([*words, "--source", str(named)]) == 0
        line = f"{store} exists already, so {other} was not read; to prepare it again, delete {store}\n"
        assert capsys.readouterr().err.endswith(line)
        prepare.main([*words, "--source", str(source)])
        prepare.main(words)
        assert capsys.readouterr().err == ""

    def test_says_that_a_store_exists_if_images_were_missing(
        self, words: list[str], source: Path, tmp_path: Path, capsys: Any
    ):
        name = source / "train2014" / "COCO_train2014_000000000025.jpg"
        name.rename(tmp_path / "later.jpg")
        prepare.main([*words, "--source", str(source), "--allow-partial"])
        (tmp_path / "later.jpg").rename(name)
        prepare.main([*words, "--source", str(source)])
        assert (
            f"{source} was not read; to prepare it again, delete {tmp_path}/data/coco"
            in capsys.readouterr().err
        )

    def test_refuses_a_source_that_does_not_exist_even_if_none_is_needed(
        self, words: list[str], source: Path, tmp_path: Path
    ):
        prepare.main([*words, "--source", str(source)])
        with pytest.raises(InputError, match="nowhere is not a folder; get train2014.zip"):
            prepare.main([*words, "--source", str(tmp_path / "nowhere")])

    def test_uses_the_downloaded_files_if_no_source_is_given(
        self, words: list[str], source: Path, tmp_path: Path
    ):
        (tmp_path / "data").mkdir()
        source.rename(tmp_path / "data" / "coco.source")
        assert prepare.main(words) == 0
        assert (tmp_path / "data" / "coco" / "manifest.json").exists()

    @pytest.mark.parametrize(
        ("word", "message"),
        [
            (
                "unlabelled",
                "data set coco@unlabelled: 'unlabelled' is not option=value, as in nuswide@keep=all",
            ),
            ("val_json=../a", "data set coco@val_json=../a: 'val_json=../a' is not option=value"),
            ("colour=red", "coco.toml: unknown option 'colour'; choose from: train_json, .*unlabelled"),
            ("unlabelled=lost", "coco.toml: unknown options.unlabelled 'lost'; choose from: kept, dropped"),
        ],
    )
    def test_names_a_wrong_option(self, words: list[str], source: Path, word: str, message: str):
        with pytest.raises(InputError, match=message):
            prepare.main(["--dataset", f"coco@{word}", *words[2:], "--source", str(source)])


def test_an_option_that_is_not_text_is_written_as_in_the_card():
    assert cards.load_card("demo@noise=0.2").options["noise"] == 0.2
    with pytest.raises(
        InputError, match="demo.toml: option noise must be written as in the card, not 'loud'"
    ):
        cards.load_card("demo@noise=loud")


def test_a_data_set_with_options_has_one_name_for_every_order_of_them():
    assert cards.load_card("nuswide@lists=exchanged,keep=all").name == "nuswide@keep=all,lists=exchanged"
    assert cards.load_card("nuswide@keep=labelled-and-present").name == "nuswide"
    assert cards.load_card("nuswide@").name == "nuswide"


def test_another_image_size_makes_a_separate_store():
    larger = card_options.at(cards.load_card("nuswide@keep=all"), 448)
    assert (larger.name, larger.sizes) == ("nuswide@keep=all,size=448", Sizes(train=512, test=448))
    assert cards.load_card("nuswide@size=448,keep=all") == larger
    assert card_options.at(larger, 448) is larger
    assert card_options.at(cards.load_card("coco"), 224).name == "coco"
    assert cards.store_digest(larger) != cards.store_digest(cards.load_card("nuswide@keep=all"))


@pytest.mark.parametrize("size", ["0", "-3", "large", ""])
def test_a_wrong_size_is_refused(size: str):
    with pytest.raises(
        InputError, match=f"data set coco: size={size} is not a number of pixels; write it as"
    ):
        cards.load_card(f"coco@size={size}")


def test_a_size_that_is_not_the_recipes_is_refused():
    with pytest.raises(
        InputError,
        match="coco@size=448: the recipe needs images of 224 pixels; change it with --set input_size=PIXELS",
    ):
        card_options.at(cards.load_card("coco@size=448"), 224)


def test_run_and_prepare_share_the_options_of_preparation(monkeypatch: pytest.MonkeyPatch):
    given: list[dict[str, Any]] = []

    def stop(*_: Any, **how: Any) -> None:
        given.append(how)
        raise InputError("enough")

    monkeypatch.setattr(preparation, "prepare", stop)
    monkeypatch.setattr(prepare, "prepare", stop)
    words = ["--dataset", "demo", "--allow-partial", "--overlap", "drop-test"]
    for main, own in ((run.main, ["--method", "knn", "--device", "cpu"]), (prepare.main, [])):
        with pytest.raises(InputError, match="enough"):
            main([*words, *own])
    assert given[0] == given[1]
    assert (given[0]["overlap"], given[0]["allow_partial"]) == ("drop-test", True)
    with pytest.raises(InputError, match="invalid choice: 'none' .*drop-train"):
        run.main(["--dataset", "demo", "--method", "knn", "--overlap", "none"])
