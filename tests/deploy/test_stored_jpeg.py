"""A model trained on a store of JPEG files gives files the confidences that it gives their stored images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.data import formats, preparation
from bench.data.cards import Card
from bench.deploy.answers import Choice
from bench.deploy.load_model import load_model
from bench.deploy.predict_images import predict_images
from tests.runs import finished


def test_predictions_for_files_are_the_recorded_ones(small_card: Card, tmp_path: Path):
    """A model whose training images were JPEG files sees a picture as it would be stored."""
    card = replace(small_card, name="demo@storage=jpeg", storage="jpeg")
    jpegs = preparation.prepare(card, data=tmp_path / "data")
    loaded = load_model(finished("resnet101", card=card, store=jpegs, folder=tmp_path), torch.device("cpu"))
    assert (loaded.record["data"]["storage"], loaded.storage) == ("jpeg", "jpeg")
    (first, *_) = formats.reader(card.format)(card, "test", None)
    assert isinstance(first.image, np.ndarray)
    Image.fromarray(first.image).save(tmp_path / "a.png")
    (answer,) = predict_images(loaded, [tmp_path / "a.png"], Choice())
    confidences = 1 / (1 + np.exp(-loaded.logits(jpegs.test.images(np.array([0])))[0].astype(float)))
    assert answer.labels[0][1] == pytest.approx(confidences.max(), abs=1e-9)
