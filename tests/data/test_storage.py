"""A store of JPEG files: smaller, the same images in the same order, checked, and decoded by threads."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from bench.base.errors import InputError
from bench.data import (
    cards,
    contact_sheet,
    decode,
    libraries,
    preparation,
    shards,
    store,
    stored_images,
    survey,
    verify,
)
from bench.data.arrow_files import ImageRow, write_image_rows
from bench.data.cards import Card, Sizes
from bench.data.store import Store
from tests.prepared import coco, go, numbered, numbered_tree

pytestmark = pytest.mark.usefixtures("alone")


def jpeg_card(**changes: Any) -> Card:
    return replace(coco(name="coco@storage=jpeg", storage="jpeg"), **changes)


@pytest.fixture
def made(source: Path, tmp_path: Path) -> Store:
    return go(jpeg_card(), source, tmp_path)


def files(made: Store) -> list[bytes]:
    """The JPEG files of the training images."""
    with pa.memory_map(str(made.folder / "train-00000.arrow")) as file, pa.ipc.open_stream(file) as stream:
        return [bytes(image) for image in stream.read_all().column("image").to_pylist()]


def change(made: Store, old: bytes, new: bytes) -> Store:
    """The store with these bytes of the training file replaced."""
    path = made.folder / "train-00000.arrow"
    content = path.read_bytes()
    assert content.count(old) == 1
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    return store.open_store(made.folder)


class TestCard:
    def test_it_is_an_option_of_every_card_that_changes_no_other_store(self):
        changed = cards.load_card("coco@size=448,storage=jpeg")
        assert (changed.name, changed.storage) == ("coco@size=448,storage=jpeg", "jpeg")
        assert cards.load_card("coco@storage=pixels") == cards.load_card("coco")
        assert cards.store_digest(changed) != cards.store_digest(cards.load_card("coco@size=448"))
        assert cards.variant("nuswide@keep=all,storage=jpeg") == "keep=all"  # the published rows' images

    @pytest.mark.parametrize("part", [("quality", 90), ("subsampling", "4:2:0")], ids=str)
    def test_quality_and_subsampling_are_in_the_digest(
        self, part: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
    ):
        card = cards.load_card("coco@storage=jpeg")
        before = cards.store_digest(card)
        monkeypatch.setitem(cards.JPEG, *part)
        assert cards.store_digest(card) != before

    def test_another_word_is_refused_in_a_name_and_in_a_card(self, tmp_path: Path):
        with pytest.raises(InputError, match="unknown storage 'png'; choose from: pixels, jpeg"):
            cards.load_card("coco@storage=png")
        text = cards.card_file("demo").read_text(encoding="utf-8")
        (tmp_path / "own.toml").write_text(f'storage = "webp"\n{text}', encoding="utf-8")
        with pytest.raises(InputError, match=r"own.toml: unknown storage 'webp'; choose from: pixels, jpeg"):
            cards.read(tmp_path / "own.toml")


class TestStore:
    def test_it_holds_the_resized_pictures_as_jpeg_of_the_cards_quality(
        self, made: Store, source: Path, tmp_path: Path
    ):
        usual = go(coco(), source, tmp_path)
        assert made.manifest["storage"] == "jpeg"
        assert "storage" not in usual.manifest
        for name in ("fingerprint", "sources", "checksum"):
            assert usual.manifest[name] != made.manifest[name]
        everything = np.arange(4)
        pixels, read = usual.train.images(everything), made.train.images(everything)
        for original, image, content in zip(pixels, read, files(made), strict=True):
            file = io.BytesIO()
            Image.fromarray(original).save(file, "JPEG", quality=95, subsampling=0)
            assert content == file.getvalue()
            assert np.array_equal(image, np.asarray(Image.open(file)))
            assert np.array_equal(image, stored_images.as_stored(original, "jpeg"))
        for name in ("id", "labels", "held_out"):
            assert np.array_equal(usual.train.column(name), made.train.column(name))

    def test_its_fingerprint_covers_the_decoded_pixels(self, made: Store):
        checksums = made.checksums("train")
        for index, image in enumerate(made.train.images(np.arange(4))):
            assert checksums[index, 64:].tobytes() == store.hashlib.sha256(image).digest()
        assert "is intact: " in verify.verify(made)

    def test_shards_and_their_order_are_those_of_pixels(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        whole = go(jpeg_card(), source, tmp_path)
        monkeypatch.setattr(shards, "MAX_ITEMS", 3)
        cut = preparation.prepare(jpeg_card(), source=source, data=tmp_path / "b")
        assert cut.manifest["files"]["train"] == [3, 1]
        assert cut.fingerprint == whole.fingerprint
        wanted = np.array([3, 0, 2, 3])
        assert np.array_equal(cut.train.images(wanted), whole.train.images(wanted))

    def test_an_interrupted_preparation_goes_on_and_keeps_finished_shards(
        self, source: Path, tmp_path: Path, made: Store, monkeypatch: pytest.MonkeyPatch
    ):
        with monkeypatch.context() as patched:
            patched.setattr(preparation.assembly, "assemble", lambda _: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                preparation.prepare(jpeg_card(), source=source, data=tmp_path / "b")
        monkeypatch.setattr(shards, "write_image_rows", None)
        again = preparation.prepare(jpeg_card(), source=source, data=tmp_path / "b")
        assert again.fingerprint == made.fingerprint
        for path in sorted(made.folder.glob("*.arrow")):
            assert path.read_bytes() == (again.folder / path.name).read_bytes()

    def test_dropped_pictures_are_left_out_without_decoding_the_others_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        source, encoded = numbered_tree(tmp_path / "source"), []
        with Image.open(source / "99.jpg") as test:
            test.save(source / "7.jpg", "PNG")  # equal pixels in another file
        encode = shards.encode
        monkeypatch.setattr(shards, "encode", lambda *image: encoded.append(1) or encode(*image))
        card = replace(numbered(), name="own@storage=jpeg", storage="jpeg")
        made = go(card, source, tmp_path, overlap="drop-train")
        assert len(made.train) == 95
        assert len(encoded) <= 100 + len(made.held_out) + 1
        assert "is intact: " in verify.verify(made)

    def test_a_card_that_now_says_jpeg_makes_its_store_again(self, source: Path, tmp_path: Path):
        before = go(coco(), source, tmp_path)
        after = go(coco(storage="jpeg"), source, tmp_path)
        assert before.folder == after.folder
        assert after.manifest["storage"] == "jpeg"
        assert after.fingerprint != before.fingerprint

    def test_less_space_is_asked_for(self):
        counts = survey.SplitSurvey(np.zeros(1, np.int64), images=1000)
        surveys = {"train": counts, "test": counts}
        pixels, jpeg = (
            survey.store_bytes(surveys, Sizes(512, 448), storage) for storage in ("pixels", "jpeg")
        )
        assert pixels == 1000 * (3 * (512**2 + 448**2) + 600)
        assert 4 * jpeg < pixels

    def test_the_contact_sheet_shows_it(self, made: Store):
        content = contact_sheet.png(made.train, np.arange(4), ["name"] * len(made.manifest["labels"]))
        with Image.open(io.BytesIO(content)) as sheet:
            assert sheet.width > 4 * contact_sheet.IMAGE_SIDE


class TestThreads:
    @pytest.mark.parametrize("threads", [1, 2, 7])
    def test_any_number_gives_the_same_images(
        self, made: Store, threads: int, monkeypatch: pytest.MonkeyPatch
    ):
        wanted = np.array([2, 0, 1, 2, 3, 0, 0])
        alone = np.stack([made.train.images(np.array([index]))[0] for index in wanted])
        monkeypatch.setattr(stored_images, "threads", lambda: threads)
        assert np.array_equal(store.open_store(made.folder).train.images(wanted), alone)

    def test_the_processes_of_a_machine_share_its_cores(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(stored_images, "cores", lambda: 8)
        for processes, threads in (("", 8), ("1", 8), ("3", 2), ("16", 1), ("0", 8)):
            monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
            assert stored_images.threads() == threads


class TestDamage:
    def test_a_flipped_bit_of_the_picture_is_named(self, made: Store):
        image = files(made)[1]
        middle = len(image) * 3 // 4
        opened = change(made, image, image[:middle] + bytes([image[middle] ^ 1]) + image[middle + 1 :])
        assert len(opened.train.images(np.array([0, 2, 3]))) == 3
        where = (
            r"coco@storage=jpeg is damaged: image 1 of train-00000.arrow is not what its checksum says; del"
        )
        with pytest.raises(InputError, match=where):
            opened.train.images(np.array([2, 1]))
        with pytest.raises(InputError, match=r"is damaged; delete .*\n  image 1 of train-00000.arrow \(COCO"):
            verify.verify(opened)

    @pytest.mark.parametrize("part", [slice(0, 20), slice(20, 200), slice(-40, None)], ids=str)
    def test_a_picture_that_cannot_be_decoded_is_named(self, made: Store, part: slice):
        image = bytearray(files(made)[0])
        image[part] = bytes(len(image[part]))
        opened = change(made, files(made)[0], bytes(image))
        with pytest.raises(
            InputError, match="damaged: image 0 of train-00000.arrow is not what its checksum"
        ):
            opened.train.images(np.array([3, 0]))
        with pytest.raises(InputError, match=r"\n  image 0 of train-00000.arrow \(COCO"):
            verify.verify(opened)

    def test_a_picture_of_another_size_or_without_colours_is_named_although_nothing_is_compared(
        self, tmp_path: Path
    ):
        rng = np.random.default_rng(0)
        sizes = {"a": (16, 16, 3), "b": (16, 16, 3), "c": (24, 24, 3), "d": (16, 24, 3)}
        pictures = {name: rng.integers(0, 256, size, np.uint8) for name, size in sizes.items()}
        rows = [
            ImageRow(name, stored_images.encode(pixels, "jpeg"), b"\1", False, "jpeg")
            for name, pixels in pictures.items()
        ]
        grey = io.BytesIO()
        Image.fromarray(pictures["a"]).convert("L").save(grey, "JPEG")
        rows.append(ImageRow("e", grey.getvalue(), b"\1", False, "jpeg"))
        path = tmp_path / "train-00000.arrow"
        write_image_rows(path, rows, side=16, labels=1, storage="jpeg")
        (tmp_path / "manifest.json").write_text('{"made_from": {}, "libraries": {}}', encoding="utf-8")
        view = store.View({path: 5}, storage="jpeg")
        assert len(view.images(np.array([0, 1]))) == 2
        for index in (2, 3, 4):
            with pytest.raises(InputError, match=f"damaged: image {index} of train-00000.arrow is not what"):
                view.images(np.array([0, index]))

    def test_another_decoder_is_said(self, made: Store, monkeypatch: pytest.MonkeyPatch):
        other = {**libraries.versions(), "libjpeg-turbo": "9.9"}
        monkeypatch.setattr(libraries, "versions", lambda: other)
        decoded = stored_images.decode
        monkeypatch.setattr(stored_images, "decode", lambda jpeg: decoded(jpeg) // 2)
        words = r"\(or is decoded to other pixels by libjpeg-turbo 9.9: it was made with libjpeg-turbo \d"
        with pytest.raises(InputError, match=rf"image 1 of train-00000.arrow is not what .* {words}"):
            store.open_store(made.folder).train.images(np.array([1]))
        with pytest.raises(InputError, match=rf"\n  image 0 of train-00000.arrow \(COCO.*\) {words}"):
            verify.verify(made)

    @pytest.mark.parametrize(("there", "said"), [("pixels", "jpeg"), ("jpeg", "pixels")])
    def test_a_file_of_the_other_storage_is_named(self, there: str, said: str, source: Path, tmp_path: Path):
        stores = {"pixels": go(coco(), source, tmp_path), "jpeg": go(jpeg_card(), source, tmp_path)}
        name = "test-00000.arrow"
        (stores[said].folder / name).write_bytes((stores[there].folder / name).read_bytes())
        reason = f"its images are stored as {there}, its manifest says {said}"
        with pytest.raises(InputError, match=rf"{name} cannot be read \({reason}\); delete"):
            len(store.open_store(stores[said].folder).test)


class TestLabels:
    def test_rows_and_blocks_are_those_of_the_whole_matrix(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(shards, "MAX_ITEMS", 3)
        for view in (made := go(coco(), source, tmp_path)).train, made.ignoring_unknown.train:
            monkeypatch.setattr(store.arrow_files, "BLOCK_BATCHES", 1)
            blocks = list(view.label_blocks())
            assert [len(block) for block in blocks] == [3, 1]
            assert np.array_equal(np.concatenate(blocks), view.labels_NC)
            wanted = np.array([3, 1, 3, 0])
            assert np.array_equal(view.targets(wanted), view.targets_NC[wanted])
            assert view.targets_NC.dtype == view.targets(wanted).dtype == np.int8
            unknown = -1 if view.ignores_unknown else 0
            expected_NC = np.where(view.labels_NC == 1, 1, np.where(view.labels_NC == 0, unknown, 0))
            assert np.array_equal(view.targets_NC, expected_NC)


def test_no_picture_is_decoded_where_only_pixels_are_stored(source: Path, tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr(stored_images, "decode", None)
    made = go(coco(), source, tmp_path)
    assert made.train.images(np.array([1])).dtype == np.uint8
    assert decode.RULES
