"""How images get their stored size: once where a recipe has no crops, by two rules, persons with a margin."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bench.base.errors import InputError
from bench.data import card_options, cards, decode
from bench.data.cards import Card, Sizes
from bench.data.formats import wider_json
from bench.deploy import image_files
from bench.training.reproduce import Run
from tests import trees
from tests.data.test_decode import noise
from tests.prepared import SIZES, coco, go

WIDER = trees.card("wider")
DIGESTS = {
    "coco": "ecd1a2a55ad1",
    "demo": "3277fb686ce0",
    "nuswide": "b601a476b434",
    "voc2007": "aec476903dd0",
}


class TestStoredSize:
    def test_without_crops_training_images_have_the_size_that_is_used(self):
        large = card_options.at(cards.load_card("coco"), 448, crops=False)
        assert (large.name, large.sizes) == ("coco@size=448,train_size=448", Sizes(448, 448))
        assert card_options.at(cards.load_card("coco@size=448"), 448, crops=False) == large
        assert cards.load_card("coco@train_size=448,size=448") == large
        usual = card_options.at(cards.load_card("coco"), 224, crops=False)
        assert (usual.name, usual.sizes) == ("coco@train_size=224", Sizes(224, 224))
        assert card_options.at(usual, 224, crops=False) is usual

    def test_with_crops_they_stay_in_proportion(self):
        assert card_options.at(cards.load_card("coco"), 224).name == "coco"
        assert card_options.at(cards.load_card("coco"), 448).sizes == Sizes(512, 448)
        assert card_options.at(cards.load_card("demo"), 64, crops=False).name == "demo"
        assert card_options.at(cards.load_card("demo"), 32, crops=False).name == "demo@size=32"

    def test_a_side_that_the_user_names_stays_or_is_refused(self):
        named = cards.load_card("coco@train_size=300")
        assert named.sizes == Sizes(300, 224)
        assert card_options.at(named, 448).sizes == Sizes(300, 448)
        message = "coco@train_size=300: without crops .* training images of 224 pixels; leave out train_size"
        with pytest.raises(InputError, match=message):
            card_options.at(named, 224, crops=False)

    @pytest.mark.parametrize("text", ["0", "-1", "x"])
    def test_a_wrong_side_is_refused(self, text: str):
        with pytest.raises(
            InputError, match=f"train_size={text} is not a number of pixels; .* train_size=448"
        ):
            cards.load_card(f"coco@train_size={text}")

    def test_a_run_asks_for_the_store_that_its_recipe_uses(self):
        coco_card = cards.load_card("coco")
        asked = {
            ("srn", ""): "coco",
            ("mcar", ""): "coco@size=448,train_size=448",
            ("msrn", ""): "coco@size=448",
            ("srn", "crops"): "coco@train_size=224",
        }
        for (name, field), store in asked.items():
            assert Run(coco_card, name, {field: ""} if field else {}, 0).data.name == store

    def test_training_pixels_are_then_resized_once(self, tmp_path: Path):
        """A training image and the same image as a test image have the same stored pixels."""
        source = trees.coco(tmp_path / "source")
        made = go(coco(sizes=Sizes(32, 32)), source, tmp_path)
        (held_out, *_) = made.held_out.column("id").tolist() or made.train.column("id").tolist()
        at = np.flatnonzero(made.train.column("id") == held_out)
        original = decode.decode(next(source.rglob(f"{held_out}*")))
        assert np.array_equal(made.train.images(at)[0], decode.resize(original, 32))


class TestResample:
    @pytest.mark.parametrize("size", [(500, 333), (37, 64), (1, 5), (64, 64)], ids=str)
    @pytest.mark.parametrize("side", [16, 64, 224])
    def test_bilinear_is_torchs_without_antialiasing(self, size: tuple[int, int], side: int):
        image = noise(*size)
        batch = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].double()
        exact = F.interpolate(batch, (side, side), mode="bilinear", align_corners=False, antialias=False)
        stored = decode.resize(image, side, "bilinear")
        assert (stored.dtype, stored.shape) == (np.uint8, (side, side, 3))
        assert np.abs(stored - exact[0].permute(1, 2, 0).numpy()).max() < 0.501

    def test_it_is_a_store_of_its_own_with_other_pixels(self, tmp_path: Path):
        source = trees.coco(tmp_path / "source")
        plain = replace(coco(), name="coco@resample=bilinear", resample="bilinear")
        usual, other = go(coco(), source, tmp_path), go(plain, source, tmp_path)
        assert usual.folder != other.folder
        for name in ("fingerprint", "sources", "resample"):
            assert usual.manifest[name] != other.manifest[name]
        first = np.array([0])
        assert not np.array_equal(usual.train.images(first), other.train.images(first))
        assert not np.array_equal(usual.test.images(first), other.test.images(first))

    def test_it_is_an_option_of_every_card(self):
        changed = cards.load_card("coco@resample=bilinear")
        assert (changed.name, changed.resample) == ("coco@resample=bilinear", "bilinear")
        assert cards.store_digest(changed) != cards.store_digest(cards.load_card("coco"))
        assert cards.load_card("coco@resample=antialiased") == cards.load_card("coco")
        named = cards.load_card("nuswide@resample=bilinear,keep=all,size=448").name
        assert named == "nuswide@keep=all,resample=bilinear,size=448"
        with pytest.raises(InputError, match="unknown resample 'cubic'; choose from: antialiased, bilinear"):
            cards.load_card("coco@resample=cubic")
        with pytest.raises(InputError, match="unknown option 'sampling'; choose from: .*resample"):
            cards.load_card("coco@sampling=cubic")

    def test_the_usual_stores_digests_are_as_before(self):
        """Digests of 2026-11: a field that is as usual changes none."""
        digests = {name: cards.store_digest(cards.load_card(name))[:12] for name in DIGESTS}
        assert digests == DIGESTS


class TestPersons:
    def boxes(self, root: Path, **options: Any) -> list[Any]:
        card = trees.with_options(WIDER, **options)
        return [sample.box for sample in wider_json.read(card, "train", trees.wider(root))]

    def test_a_margin_is_added_on_each_side(self, tmp_path: Path):
        assert self.boxes(tmp_path, margin=0.1)[:2] == [(1.0, 1.0, 12.0, 24.0), (27.5, 17.5, 30.0, 30.0)]
        assert self.boxes(tmp_path)[0] == (2, 3, 10, 20)

    def test_a_margin_is_a_store_of_its_own(self, tmp_path: Path):
        assert cards.load_card("wider@margin=0.1").name == "wider@margin=0.1"
        digests = {cards.store_digest(cards.load_card(name)) for name in ("wider", "wider@margin=0.1")}
        assert len(digests | {cards.store_digest(cards.load_card("wider@squash=false"))}) == 3
        with pytest.raises(InputError, match="options.margin=-1.0: give a number from 0 to 2"):
            self.boxes(tmp_path, margin=-1.0)

    def test_a_box_becomes_a_square_around_it_with_repeated_pixels_beyond_the_image(self):
        image = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
        part = decode.crop(image, (6, 1, 2, 4), square=True)
        assert part.shape == (4, 4, 3)
        assert np.array_equal(part[:, :3], image[1:5, 5:8])
        assert np.array_equal(part[:, 3], image[1:5, 7])
        assert np.array_equal(decode.crop(image, (6, 1, 2, 4)), image[1:5, 6:8])
        assert decode.crop(image, (-3, -3, 100, 100), square=True).shape == (8, 8, 3)
        with pytest.raises(decode.Unusable):
            decode.crop(image, (50, 1, 2, 4), square=True)

    def test_a_person_is_squashed_unless_the_card_says_otherwise(self, tmp_path: Path):
        source = trees.wider(tmp_path / "source")
        usual, whole = (go(self.card(squash), source, tmp_path) for squash in (True, False))
        first = np.array([0])
        assert not np.array_equal(usual.train.images(first), whole.train.images(first))
        photograph = decode.decode(source / "Image" / "train" / "0--Parade" / "0_Parade_a.jpg")
        square = decode.crop(photograph, (2, 3, 10, 20), square=True)
        assert square.shape[:2] == (20, 20)
        assert np.array_equal(whole.train.images(first)[0], decode.resize(square, SIZES.train))

    def card(self, squash: bool) -> Card:
        named = cards.load_card("wider" if squash else "wider@squash=false")
        return replace(trees.card("wider", sizes=SIZES), name=named.name, options=named.options)


def test_predictions_resize_as_the_store_did(tmp_path: Path):
    path = trees.jpeg(tmp_path / "a.jpg", size=(90, 40))
    (batch,) = image_files.read_batches([path], side=16, batch_size=1, resample="bilinear")
    pixels = decode.decode(path)
    assert np.array_equal(batch.images_BHWC[0], decode.resize(pixels, 16, "bilinear"))
    assert not np.array_equal(batch.images_BHWC[0], decode.resize(pixels, 16))
