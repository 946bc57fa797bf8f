"""`python -m bench.perf data`: each rate beside its alternative in the same run, and its goal."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench.base.errors import InputError
from bench.perf import __main__ as perf
from bench.perf import data
from bench.perf.data import Rate

SMALL = ["data", "--images", "3", "--repeat", "1", "--workers", "0"]


def test_preparing_reading_and_cropping_are_measured_beside_pillow(capsys: Any):
    threads = torch.get_num_threads()
    assert perf.main([*SMALL, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["what"] for row in rows] == [
        "decode and resize a JPEG",
        "decode, resize, checksum, write",
        "of which checksum and write",
        "read batches of 96",
        "the same, pixels against JPEG",
        "read and crop them",
    ]
    assert all(row["rate"] > 0 and row["alternative"] > 0 for row in rows)
    assert {row["what"]: row["goal"] for row in rows if row["goal"]} == {
        "decode, resize, checksum, write": 500,
        "of which checksum and write": 500,
        "read batches of 96": 50_000,
    }
    assert torch.get_num_threads() == threads


def test_the_text_states_rates_ratios_and_goals():
    rates = [Rate("reading", 60_000, "files", 300, goal=50_000), Rate("writing", 400, "files", 100, goal=500)]
    lines = [line.split() for line in data.as_text([*rates, Rate("drawing", 10, "files", 20)]).splitlines()]
    assert lines[2:] == [
        ["reading", "60,000", "files", "300", "200.0", "x", ">=", "50,000", "met"],
        ["writing", "400", "files", "100", "4.0", "x", ">=", "500", "missed"],
        ["drawing", "10", "files", "20", "0.5", "x"],
    ]


def test_the_photographs_are_as_large_as_ms_cocos_and_always_the_same(tmp_path: Path):
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    files, others = (data.write_photographs(folder, 3) for folder in folders)
    assert [path.read_bytes() for path in files] == [path.read_bytes() for path in others]
    assert 100_000 < np.mean([path.stat().st_size for path in files]) < 200_000
    with Image.open(files[0]) as image:
        assert image.size == (640, 480)


def test_worker_processes_get_their_pictures_from_files(tmp_path: Path):
    pictures = data.PillowDataset(data.write_photographs(tmp_path, 1))
    assert pictures[0].shape == (3, 224, 224)
    assert torch.equal(pictures[0], pictures[0])


def test_zero_images_are_refused():
    with pytest.raises(InputError, match="--images and --repeat must be at least 1"):
        perf.main(["data", "--images", "0"])
