"""Preparing the original files: everything is counted, every problem is named."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image

from bench.base import lists
from bench.base.errors import InputError
from bench.data import assembly, decode, formats, held_out, libraries, preparation, shards, task, verify
from bench.data.cards import Card, Sizes, Split
from bench.data.formats import Sample
from bench.data.summary import describe_manifest
from tests import trees
from tests.prepared import SIZES, coco, go, numbered, numbered_tree

pytestmark = pytest.mark.usefixtures("alone")


def expected(sample: Sample, side: int) -> Any:
    """The sample's pixels at the size of the store, computed with Pillow only."""
    assert isinstance(sample.image, Path)
    with Image.open(sample.image) as opened:
        image = opened.convert("RGB")
    if sample.box:
        left, top, width, height = sample.box
        right, bottom = min(left + width, image.width), min(top + height, image.height)
        image = image.crop(
            (
                int(np.floor(max(left, 0))),
                int(np.floor(max(top, 0))),
                int(np.ceil(right)),
                int(np.ceil(bottom)),
            )
        )
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR)).astype(int)


@pytest.mark.parametrize("name", trees.MAKE)
def test_an_official_tree_becomes_a_store_with_pillows_pixels(name: str, tmp_path: Path):
    card, root = trees.card(name, sizes=SIZES), trees.MAKE[name](tmp_path / "source")
    made = go(card, root, tmp_path)
    for split, view, side in (("train", made.train, 48), ("test", made.test, 32)):
        items = list(formats.reader(card.format)(card, split, root))
        samples = [item for item in items if isinstance(item, Sample)]
        assert view.column("id").tolist() == [sample.id for sample in samples]
        assert np.array_equal(view.labels_NC, [sample.labels_C for sample in samples])
        images = view.images(np.arange(len(view))).astype(int)
        for image, sample in zip(images, samples, strict=True):
            assert np.abs(image - expected(sample, side)).max() <= 1
        reasons = [item.reason for item in items if not isinstance(item, Sample)]
        assert made.manifest["left_out"][split] == {reason: reasons.count(reason) for reason in set(reasons)}
    assert made.manifest["partial"] is False


def test_the_persons_of_a_photograph_are_held_out_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shards, "is_held_out", lambda group: "Parade" in group)
    made = go(trees.card("wider", sizes=SIZES), trees.wider(tmp_path / "source"), tmp_path)
    names = ["train/0--Parade/0_Parade_a.jpg#0", "train/0--Parade/0_Parade_a.jpg#1"]
    assert made.held_out.column("id").tolist() == names
    assert made.train.column("id")[made.fitted].tolist() == ["val/1--Handshaking/1_Handshaking_b.jpg#0"]
    assert made.held_out.images(np.arange(2)).shape == (2, 32, 32, 3)


def test_the_store_does_not_depend_on_the_size_of_shards(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = preparation.prepare(coco(), source=source, data=tmp_path / "a")
    monkeypatch.setattr(shards, "MAX_ITEMS", 1)
    cut = preparation.prepare(coco(), source=source, data=tmp_path / "b")
    assert cut.fingerprint == whole.fingerprint
    assert cut.manifest["files"]["train"] == [1, 1, 1, 1]
    wanted = np.array([3, 0])
    assert np.array_equal(cut.train.images(wanted), whole.train.images(wanted))
    assert cut.train.column("id").tolist() == whole.train.column("id").tolist()


class TestCounts:
    def test_that_differ_stop_before_any_image_is_opened(self, source: Path, tmp_path: Path):
        shutil.rmtree(source / "train2014")
        (source / "train2014").mkdir()
        with pytest.raises(InputError) as caught:
            go(coco(train=Split(5, positives=5), test=Split(2, positives=2)), source, tmp_path)
        assert str(caught.value) == (
            "the files of coco are not what its card says; to prepare what is usable, add --allow-partial"
            "\n  train: 5 images expected, 4 found\n  test: 2 positives expected, 1 found"
        )

    def test_that_differ_are_partial_data_if_allowed(self, source: Path, tmp_path: Path, capsys: Any):
        made = go(coco(train=Split(5)), source, tmp_path, allow_partial=True)
        assert made.manifest["partial"] is True
        assert made.manifest["differences"] == ["train: 5 images expected, 4 found"]
        assert (
            "the files of coco are not what its card says:\n  train: 5 images expected, 4 found\n"
            in capsys.readouterr().err
        )

    def test_that_are_approximate_are_only_reported(self, tmp_path: Path):
        card = trees.card("nuswide", sizes=SIZES, train=Split(7, approximate=True))
        made = go(card, trees.nuswide(tmp_path / "source"), tmp_path)
        assert made.manifest["partial"] is False
        assert made.manifest["differences"] == ["train: 7 images expected, 2 found"]
        assert made.manifest["expected"]["train"] == {"images": 7, "positives": 0, "approximate": True}
        assert made.manifest["counts"]["train"]["images"] == 2
        assert made.manifest["left_out"]["train"] == {
            "without a label": 1,
            "image missing": 1,
            "placeholder of a photograph that is gone": 1,
        }


def test_for_images_that_arrive_later_a_line_says_to_prepare_again(tmp_path: Path, capsys: Any):
    """Missing images of NUS-WIDE are left out, and the store does not count as partial."""
    source, card = trees.nuswide(tmp_path / "source"), trees.card("nuswide", sizes=SIZES)
    go(card, source, tmp_path)
    trees.jpeg(source / "Flickr" / trees.NUSWIDE_GONE)
    assert len(go(card, source, tmp_path).train) == 2
    assert (
        f"{source} was not read; to prepare it again, delete {tmp_path}/data/nuswide"
        in capsys.readouterr().err
    )
    shutil.rmtree(tmp_path / "data" / "nuswide")
    assert len(go(card, source, tmp_path).train) == 3


class TestFilesThatCannotBeUsed:
    @pytest.fixture
    def damaged(self, source: Path) -> Path:
        """One training image is cut short, one is gone, a test image is empty."""
        folder = source / "train2014"
        cut = folder / "COCO_train2014_000000000009.jpg"
        cut.write_bytes(cut.read_bytes()[:300])
        (folder / "COCO_train2014_000000000030.jpg").unlink()
        (source / "val2014" / "COCO_val2014_000000000073.jpg").write_bytes(b"")
        return source

    def test_stop_the_preparation_and_are_all_named(self, damaged: Path, tmp_path: Path):
        with pytest.raises(InputError) as caught:
            go(coco(), damaged, tmp_path)
        train, val = damaged / "train2014" / "COCO_train2014_", damaged / "val2014" / "COCO_val2014_"
        assert str(caught.value) == (
            "3 images of coco cannot be used; to prepare what is usable, add --allow-partial"
            f"\n  {train}000000000009.jpg (cut short or damaged)"
            f"\n  {train}000000000030.jpg (image missing)\n  {val}000000000073.jpg (empty file)"
        )
        assert not (tmp_path / "data" / "coco").exists()

    def test_are_left_out_if_allowed_and_the_manifest_says_why(self, damaged: Path, tmp_path: Path):
        made = go(coco(), damaged, tmp_path, allow_partial=True)
        assert made.manifest["partial"] is True
        assert made.manifest["left_out"] == {
            "train": {"cut short or damaged": 1, "image missing": 1},
            "test": {"empty file": 1},
        }
        lines = (made.folder / "left_out.tsv").read_text(encoding="utf-8").splitlines()
        assert "train\tCOCO_train2014_000000000030.jpg\timage missing" in lines
        assert made.train.column("id").tolist() == [
            "COCO_train2014_000000000025.jpg",
            "COCO_train2014_000000000081.jpg",
        ]
        assert made.manifest["counts"]["train"]["images"] == len(made.train) == 2

    def test_may_be_replaced_before_the_next_attempt(self, damaged: Path, tmp_path: Path):
        with pytest.raises(InputError, match="3 images of coco cannot be used"):
            go(coco(), damaged, tmp_path)
        trees.coco(damaged)
        assert go(coco(), damaged, tmp_path).manifest["partial"] is False

    def test_are_listed_in_a_file_if_there_are_many(
        self, damaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(lists, "FIRST", 2)
        with pytest.raises(
            InputError, match=r"cannot be used; .*\n.*\n.*\n  and 1 more, all listed in "
        ) as caught:
            go(coco(), damaged, tmp_path)
        listed = tmp_path / "data" / "coco.unfinished" / "unusable.txt"
        assert str(listed) in str(caught.value)
        assert len(listed.read_text(encoding="utf-8").splitlines()) == 3

    def test_an_annotation_file_that_is_missing_is_named_and_left_out_if_allowed(self, tmp_path: Path):
        card, root = trees.card("voc2007", sizes=SIZES), trees.voc(tmp_path / "source", lists=False)
        (root / "VOCdevkit/VOC2007/Annotations/000007.xml").unlink()
        with pytest.raises(
            InputError, match=r"1 images .*add --allow-partial\n  train: 000007 \(annotation file m"
        ):
            go(card, root, tmp_path)
        made = go(card, root, tmp_path, allow_partial=True)
        assert made.manifest["partial"] is True
        assert made.manifest["left_out"]["train"] == {"annotation file missing": 1}

    def test_an_image_listed_twice_is_named_and_left_out_if_allowed(self, tmp_path: Path):
        root = numbered_tree(tmp_path / "source")
        lines = (root / "train.txt").read_text(encoding="utf-8").splitlines()
        trees.write(root / "train.txt", [lines[1], *lines[1:]])
        with pytest.raises(
            InputError, match=r"1 images .*\n  train: 1.jpg \(listed twice, with other labels\)$"
        ):
            go(numbered(), root, tmp_path)
        made = go(numbered(), root, tmp_path, allow_partial=True)
        assert (made.manifest["partial"], len(made.train)) == (True, 95)

    def test_one_file_under_two_ids_is_said(self, tmp_path: Path, capsys: Any):
        root = numbered_tree(tmp_path / "source")
        lines = (root / "train.txt").read_text(encoding="utf-8").splitlines()
        trees.write(root / "train.txt", ["./1.jpg", *lines[1:]])
        go(numbered(), root, tmp_path)
        said = capsys.readouterr().err
        assert "1 images of own are one file under two ids:\n  train: ./1.jpg and 1.jpg\n" in said

    def test_a_box_outside_its_image_is_named_by_its_person(self, tmp_path: Path):
        root = trees.wider(tmp_path / "source")
        path = root / "Anno" / "wider_attribute_test.json"
        path.write_text(path.read_text().replace("[0, 0, 40, 30]", "[41, 0, 40, 30]"), encoding="utf-8")
        with pytest.raises(InputError, match=r"0_Parade_c.jpg#0 \(box outside the image\)$"):
            go(trees.card("wider", sizes=SIZES), root, tmp_path)

    def test_an_empty_split_is_an_error_even_if_partial_data_is_allowed(self, source: Path, tmp_path: Path):
        shutil.rmtree(source / "val2014")
        (source / "val2014").mkdir()
        with pytest.raises(InputError, match="coco has no usable image for test; complete the source folder"):
            go(coco(), source, tmp_path, allow_partial=True)


def test_no_download_is_suggested_for_test_images_that_are_not_public(tmp_path: Path):
    """The public archives of PASCAL VOC 2012 have no test images: downloading would not help."""
    card, root = trees.card("voc2012", sizes=SIZES), trees.voc(tmp_path / "source", year=2012)
    (root / "VOCdevkit" / "VOC2012" / "ImageSets" / "Main" / "test.txt").unlink()
    with pytest.raises(InputError, match="no ImageSets/Main/test.txt; get .*evaluation server") as caught:
        go(card, root, tmp_path)
    assert str(caught.value).endswith("then give that folder: --source DIR")


class TestOverlap:
    @pytest.fixture
    def leaking(self, source: Path) -> Path:
        """A training image is also a test image, under another name and in another, lossless format."""
        with Image.open(source / "val2014" / "COCO_val2014_000000000042.jpg") as image:
            image.save(source / "train2014" / "COCO_train2014_000000000030.jpg", format="PNG")
        return source

    def test_stops_the_preparation_and_names_the_pairs(self, leaking: Path, tmp_path: Path):
        with pytest.raises(InputError) as caught:
            go(coco(), leaking, tmp_path)
        train, test = "train2014/COCO_train2014_000000000030.jpg", "val2014/COCO_val2014_000000000042.jpg"
        pair = f"{leaking}/{train} = {leaking}/{test}"
        assert str(caught.value) == (
            "1 images of coco are both in the training and in the test set; to leave them out of one, add"
            f" --overlap drop-train or --overlap drop-test:\n  {pair}"
        )

    def test_leaves_the_training_image_out_if_allowed(self, leaking: Path, tmp_path: Path):
        made = go(coco(), leaking, tmp_path, allow_partial=True)
        assert made.manifest["partial"] is True
        assert made.manifest["left_out"] == {"train": {"the test set has the same picture": 1}, "test": {}}
        assert (len(made.train), len(made.test)) == (3, 2)

    def test_is_detected_for_persons_of_one_image_with_other_boxes(self, tmp_path: Path):
        root = trees.wider(tmp_path / "source")
        photograph = root / "Image" / "test" / "0--Parade" / "0_Parade_c.jpg"
        shutil.copy(photograph, root / "Image" / "train" / "0--Parade" / "0_Parade_a.jpg")
        with pytest.raises(
            InputError, match="1 images of wider are both in the training and in the test set; to leave"
        ):
            go(trees.card("wider", sizes=SIZES), root, tmp_path)

    def test_is_not_reported_for_images_that_differ_in_one_pixel(self, leaking: Path, tmp_path: Path):
        path = leaking / "train2014" / "COCO_train2014_000000000030.jpg"
        with Image.open(path) as opened:
            image = opened.copy()
        image.putpixel((1, 3), (1, 2, 3))
        image.save(path, format="PNG")
        assert go(coco(), leaking, tmp_path).manifest["partial"] is False

    @pytest.mark.parametrize(
        ("side", "sizes", "left"),
        [
            ("drop-train", (3, 2), {"train": {task.SAME["train"]: 1}, "test": {}}),
            ("drop-test", (4, 1), {"train": {}, "test": {task.SAME["test"]: 1}}),
        ],
    )
    def test_images_may_be_dropped_from_either_side_and_nothing_is_decoded_again(
        self,
        source: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        side: str,
        sizes: tuple[int, int],
        left: dict[str, Any],
    ):
        monkeypatch.setattr(held_out, "SMALL", 0)  # of few images others may be held out once one is dropped
        with Image.open(source / "val2014" / "COCO_val2014_000000000073.jpg") as image:
            image.save(source / "train2014" / "COCO_train2014_000000000030.jpg", format="PNG")
        with pytest.raises(InputError, match="--overlap drop-train or --overlap drop-test"):
            go(coco(), source, tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(shards, "source_pixels", None)
            made = go(coco(), source, tmp_path, overlap=side)
        assert (len(made.train), len(made.test)) == sizes
        assert made.manifest["left_out"] == left
        assert made.manifest["overlap"] == side
        assert "is intact" in verify.verify(made)
        anew = preparation.prepare(coco(), source=source, data=tmp_path / "b", overlap=side)
        assert (anew.fingerprint, anew.manifest["sources"]) == (made.fingerprint, made.manifest["sources"])

    def test_of_equal_files_is_found_before_any_image_is_decoded(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        photograph = source / "val2014" / "COCO_val2014_000000000073.jpg"
        shutil.copy(photograph, source / "train2014" / "COCO_train2014_000000000081.jpg")
        with monkeypatch.context() as patched:
            patched.setattr(shards, "make", None)
            with pytest.raises(InputError, match="1 images of coco are both in the training"):
                go(coco(), source, tmp_path)
        made = go(coco(), source, tmp_path, overlap="drop-train")
        assert (len(made.train), len(made.test)) == (3, 2)

    def test_that_leaves_no_positive_label_in_the_test_set_is_an_error(self, leaking: Path, tmp_path: Path):
        with pytest.raises(InputError, match="the test set of coco has no positive label"):
            go(coco(), leaking, tmp_path, overlap="drop-test")

    def test_another_choice_than_the_stores_is_said(self, leaking: Path, tmp_path: Path, capsys: Any):
        go(coco(), leaking, tmp_path, overlap="drop-train")
        go(coco(), leaking, tmp_path, overlap="drop-test")
        assert "exists already, made without --overlap drop-test; to" in capsys.readouterr().err


class TestRepeatedPictures:
    def test_within_a_set_are_counted_said_and_listed(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ):
        folder = source / "train2014"
        names = [folder / f"COCO_train2014_0000000000{number}.jpg" for number in ("25", "09", "81")]
        for name in names[1:]:
            shutil.copy(names[0], name)
        monkeypatch.setattr(lists, "FIRST", 1)
        made = go(coco(), source, tmp_path)
        assert made.manifest["repeated"] == {"train": 2, "test": 0}
        assert "2 images of coco have the picture of another image:\n  train: " in capsys.readouterr().err
        lines = (made.folder / "repeated.txt").read_text(encoding="utf-8").splitlines()
        assert lines == [f"train: {name} = {names[0]}" for name in names[1:]]
        assert "repeated in train: 2 images have the picture of another image" in describe_manifest(
            made.manifest
        )


class TestLabelsWithoutPositives:
    def write(self, root: Path, test: str) -> Path:
        numbered_tree(root)
        return trees.write(root / "test_labels.txt", [test] * 4).parent

    def test_in_the_whole_test_set_stop_the_preparation(self, tmp_path: Path):
        with pytest.raises(
            InputError, match=r"the test set of own has no positive label \(1\): nothing can be scored"
        ):
            go(numbered(), self.write(tmp_path / "source", "0 0"), tmp_path)

    def test_are_named(self, tmp_path: Path, capsys: Any):
        go(numbered(), self.write(tmp_path / "source", "0 1"), tmp_path)
        assert "own: 1 labels have no positive image in test: odd\n" in capsys.readouterr().err


class TestChangedSources:
    def test_corrected_labels_are_said(self, tmp_path: Path, capsys: Any):
        root = numbered_tree(tmp_path / "source")
        go(numbered(), root, tmp_path)
        go(numbered(), root, tmp_path)
        assert "changed" not in capsys.readouterr().err
        trees.write(root / "train_labels.txt", ["1 1"] * 96)
        go(numbered(), root, tmp_path)
        data = tmp_path / "data" / "own"
        line = f"{root} has changed: its images or labels are not those of {data}, which is used as it is"
        assert line in capsys.readouterr().err

    def test_an_image_replaced_by_another_of_equal_size_is_said(self, tmp_path: Path, capsys: Any):
        root = numbered_tree(tmp_path / "source")
        go(numbered(), root, tmp_path)
        capsys.readouterr()
        path = root / "96.jpg"
        content = bytearray(path.read_bytes())
        content[-20] ^= 1
        path.write_bytes(content)
        data = tmp_path / "data" / "own"
        go(numbered(), root, tmp_path)
        line = f"{root} has image files that were written after {data} was prepared from them; it is used as"
        assert line in capsys.readouterr().err

    def test_pictures_in_the_folder_that_is_found_without_an_option_are_compared_too(
        self, tmp_path: Path, capsys: Any
    ):
        root = numbered_tree(tmp_path / "data" / "own.source")
        card = replace(numbered(), archives=())
        for _ in range(2):
            preparation.prepare(card, data=tmp_path / "data")
        assert str(root) not in capsys.readouterr().err
        trees.jpeg(root / "0.jpg", size=(100, 80))
        preparation.prepare(card, data=tmp_path / "data")
        assert f"{root} has changed: its images or labels are not those of " in capsys.readouterr().err

    def test_a_download_is_not_read_again(self, tmp_path: Path, capsys: Any):
        root = numbered_tree(tmp_path / "data" / "own.source")
        for _ in range(2):
            preparation.prepare(numbered(), data=tmp_path / "data")
            trees.jpeg(root / "0.jpg", size=(100, 80))
        assert str(root) not in capsys.readouterr().err

    def test_a_source_that_is_incomplete_by_now_is_said(self, tmp_path: Path, capsys: Any):
        root = numbered_tree(tmp_path / "source")
        go(numbered(), root, tmp_path)
        (root / "test.txt").unlink()
        assert len(go(numbered(), root, tmp_path).train) == 96
        assert "is used, but its source is not what it was: " in capsys.readouterr().err


class TestDigests:
    def test_other_pixels_of_equal_sources_have_the_same_digest_of_sources(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        first = go(coco(), source, tmp_path)
        monkeypatch.setattr(shards, "resize", lambda pixels, side, _: decode.resize(pixels, side) // 2)
        monkeypatch.setattr(libraries, "versions", lambda: {"Pillow": "0.1"})
        second = preparation.prepare(coco(), source=source, data=tmp_path / "b")
        assert second.manifest["sources"] == first.manifest["sources"]
        assert second.fingerprint != first.fingerprint
        assert (first.manifest["libraries"]["Pillow"], second.manifest["libraries"]["Pillow"]) == (
            PIL.__version__,
            "0.1",
        )

    @pytest.mark.parametrize("part", ["label", "file", "size"])
    def test_other_sources_have_another(self, tmp_path: Path, part: str):
        root = numbered_tree(tmp_path / "source")
        before = go(numbered(), root, tmp_path).manifest["sources"]
        card = numbered()
        if part == "label":
            trees.write(root / "train_labels.txt", ["1 1"] * 96)
        elif part == "file":
            with (root / "7.jpg").open("ab") as file:
                file.write(b"\0")  # the same pixels
        else:
            card = replace(card, sizes=Sizes(40, 32))
        assert preparation.prepare(card, source=root, data=tmp_path / "b").manifest["sources"] != before

    def test_an_interrupted_preparation_is_not_mixed_with_the_pixels_of_other_libraries(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        with monkeypatch.context() as patched:
            patched.setattr(libraries, "versions", lambda: {"Pillow": "0.1"})
            patched.setattr(shards, "resize", lambda pixels, side, _: decode.resize(pixels, side) // 2)
            patched.setattr(assembly, "assemble", lambda _: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                go(coco(), source, tmp_path)
        made = go(coco(), source, tmp_path)
        anew = preparation.prepare(coco(), source=source, data=tmp_path / "b")
        assert made.fingerprint == anew.fingerprint


class TestOrientation:
    def turned(self, root: Path) -> Path:
        """The tree of numbered images, the first of which says that it is to be turned by a quarter."""
        exif = Image.Exif()
        exif[0x0112] = 6
        image = Image.open(numbered_tree(root) / "0.jpg")
        image.save(root / "0.jpg", exif=exif, quality=100, subsampling=0)
        return root

    def test_is_ignored_or_followed_as_the_card_says(self, tmp_path: Path, capsys: Any):
        root = self.turned(tmp_path / "source")
        ignored = preparation.prepare(numbered(), source=root, data=tmp_path / "a")
        assert "1 images of own have an EXIF orientation, which is ignored" in capsys.readouterr().err
        turned = preparation.prepare(replace(numbered(), exif="turn"), source=root, data=tmp_path / "b")
        assert "EXIF" not in capsys.readouterr().err
        first = np.array([0])
        stored = decode.decode(root / "0.jpg")
        assert np.array_equal(ignored.train.images(first)[0], decode.resize(stored, 48))
        upright = np.ascontiguousarray(np.rot90(stored, 3))
        assert np.array_equal(turned.train.images(first)[0], decode.resize(upright, 48))
        rest = np.arange(1, 96)
        assert np.array_equal(ignored.train.images(rest), turned.train.images(rest))
        assert [one.manifest["exif"] for one in (ignored, turned)] == ["ignore", "turn"]

    def test_is_not_followed_where_boxes_refer_to_the_stored_pixels(self, tmp_path: Path):
        card = trees.card("wider", sizes=SIZES, exif="turn")
        with pytest.raises(InputError, match='wider.toml: exif = "turn" is not possible: boxes refer to'):
            go(card, trees.wider(tmp_path / "source"), tmp_path)


def test_names_with_tabs_and_line_ends_do_not_break_the_list_of_images_left_out():
    assert assembly._escaped("a\tb\nc\\") == "a\\tb\\nc\\\\"


def test_the_list_that_a_message_names_is_kept(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    monkeypatch.setattr(lists, "FIRST", 1)
    for name in ("25", "09"):
        (source / "train2014" / f"COCO_train2014_0000000000{name}.jpg").write_bytes(b"")
    made = go(coco(), source, tmp_path, allow_partial=True)
    assert "unusable.txt" in capsys.readouterr().err
    assert len((made.folder / "unusable.txt").read_text(encoding="utf-8").splitlines()) == 2


class TestNoMessageHasMoreThanTenLines:
    """Fifty images of each kind: what is said at each place, and what is refused."""

    def check(self, card: Card, root: Path, tmp_path: Path, capsys: Any, name: str) -> None:
        with pytest.raises(InputError) as caught:
            go(card, root, tmp_path)
        assert str(caught.value).count("\n") == 9
        assert f"more, all listed in {tmp_path}/data/own.unfinished/{name}.txt" in str(caught.value)
        assert (tmp_path / f"data/own.unfinished/{name}.txt").is_file()
        capsys.readouterr()
        made = go(card, root, tmp_path, allow_partial=True)
        said = capsys.readouterr().err
        assert f"more, all listed in {made.folder}/{name}.txt" in said
        assert len((made.folder / f"{name}.txt").read_text().splitlines()) >= 50

    def test_missing_files(self, tmp_path: Path, capsys: Any):
        root = numbered_tree(tmp_path / "source")
        for number in range(50):
            (root / f"{number}.jpg").unlink()
        self.check(numbered(), root, tmp_path, capsys, "unusable")

    def test_files_that_are_no_images(self, tmp_path: Path, capsys: Any):
        root = numbered_tree(tmp_path / "source")
        for number in range(50):
            (root / f"{number}.jpg").write_bytes(b"no image")
        self.check(numbered(), root, tmp_path, capsys, "unusable")

    def test_pictures_in_both_sets(self, tmp_path: Path, capsys: Any):
        root = numbered_tree(tmp_path / "source")
        for number in range(50):
            shutil.copy(root / "96.jpg", root / f"{number}.jpg")
        self.check(numbered(), root, tmp_path, capsys, "in_both")

    def test_pictures_there_twice(self, tmp_path: Path, capsys: Any):
        root = numbered_tree(tmp_path / "source")
        for number in range(1, 61):
            shutil.copy(root / "0.jpg", root / f"{number}.jpg")
        made = go(numbered(), root, tmp_path)
        assert f"and 52 more, all listed in {made.folder}/repeated.txt" in capsys.readouterr().err
        assert len((made.folder / "repeated.txt").read_text().splitlines()) == 60
