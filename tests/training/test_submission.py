"""Files for an evaluation server: their names and lines, and that they keep the order of the logits."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.data import cards
from bench.training import submission


def test_a_file_for_each_label_with_an_id_and_a_confidence_a_line(tmp_path: Path):
    voc = replace(cards.load_card("voc2012"), labels=("cat", "dog"))
    logits = np.array([[0.0, 3.0], [-2.0, 1.0]], np.float32)
    paths = submission.write(tmp_path, voc, ["2008_000006", "2008_000011"], logits)
    assert [path.name for path in paths] == ["comp1_cls_test_cat.txt", "comp1_cls_test_dog.txt"]
    lines = [line.split() for line in paths[1].read_text(encoding="utf-8").splitlines()]
    assert [name for name, _ in lines] == ["2008_000006", "2008_000011"]
    assert np.allclose([float(confidence) for _, confidence in lines], [3.0, 1.0])


def test_images_whose_logits_differ_least_keep_their_order(tmp_path: Path):
    voc = replace(cards.load_card("voc2012"), labels=("cat",))
    logits = np.array([[40.0], [np.nextafter(np.float32(40), np.float32(50))]], np.float32)
    (path,) = submission.write(tmp_path, voc, ["a", "b"], logits)
    first, second = (float(line.split()[1]) for line in path.read_text(encoding="utf-8").splitlines())
    assert first < second
