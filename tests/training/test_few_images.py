"""Fewer images than a batch: the batch is lowered and recorded, or the message says what to do."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench import run
from bench.base.errors import InputError
from bench.results import record
from bench.training.few_images import fitting_recipe, require_images
from methods.srn import Config


def store(fitted: int, held_out: int = 3) -> Any:
    facts = {"folder": Path("data/pets"), "trains_on_all": False}
    return SimpleNamespace(fitted=np.arange(fitted), held_out=range(held_out), **facts)


@pytest.mark.parametrize(("images", "batch_size"), [(46, 46), (96, 96), (5000, 96), (2, 2)])
def test_the_largest_batch_that_fits_is_taken(images: int, batch_size: int):
    assert fitting_recipe(Config(), {}, store(images)).batch_size == batch_size


def test_a_batch_size_that_was_asked_for_is_not_replaced():
    with pytest.raises(InputError, match="46 to train on in batches of 64 .* give --batch-size 46 or less$"):
        fitting_recipe(Config(batch_size=64), {"batch_size": "64"}, store(46))


def test_a_single_image_cannot_be_trained_on():
    with pytest.raises(InputError, match="too few images: 1 to train on .*; prepare more images$"):
        fitting_recipe(Config(), {}, store(1))


def test_without_held_out_images_the_message_says_how_to_get_some():
    message = (
        "none of the 46 training images in data/pets is held out, .*: python -m bench.prepare --dataset pets;"
        " to train on all, add --set held_out=0 --set patience=none$"
    )
    with pytest.raises(InputError, match=message):
        require_images(store(46, 0), 2)


def test_the_lowered_batch_is_in_the_record_and_said_and_makes_no_variant(
    small_cards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    card = small_cards / "demo.toml"
    card.write_text(card.read_text(encoding="utf-8").replace("images = 160", "images = 60"), encoding="utf-8")
    places = ["--data", str(tmp_path / "data"), "--runs", str(tmp_path / "runs"), "--device", "cpu"]
    assert run.main(["--dataset", "demo", "--method", "resnet101", "--epochs", "1", *places]) == 0
    (facts,) = record.read_folder(tmp_path / "runs" / "demo")
    images = facts["images"]["train"]
    assert facts["recipe"]["batch_size"] == images < 60
    assert facts["variant"] == "epochs=1"
    assert f"{images} images to train on do not fill a batch of 96" in capsys.readouterr().err
