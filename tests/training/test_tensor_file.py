"""Files of tensors: written whole or not at all, and refused if damaged."""

from pathlib import Path

import pytest
import torch

from bench.base import atomic_files
from bench.base.errors import InputError
from bench.training import tensor_file

TENSORS = {"a": torch.arange(6.0).view(2, 3), "n": torch.tensor(3), "h": torch.ones(2, dtype=torch.bfloat16)}


def test_tensors_and_facts_come_back_bit_by_bit(tmp_path: Path):
    tensor_file.save(tmp_path / "c.safetensors", TENSORS, {"epoch": 3, "loss": 0.1})
    tensors, facts = tensor_file.load(tmp_path / "c.safetensors")
    assert facts == {"epoch": 3, "loss": 0.1}
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_every_flipped_bit_and_every_cut_is_noticed(tmp_path: Path):
    path = tmp_path / "c.safetensors"
    tensor_file.save(path, TENSORS, {"epoch": 3})
    good = path.read_bytes()
    start = int.from_bytes(good[:8], "little") + 8
    for at in (start, start + 9, len(good) - 1):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(InputError, match=r"c.safetensors is damaged .*delete it and run again"):
            tensor_file.load(path)
    for length in (0, 5, start, len(good) - 1):
        path.write_bytes(good[:length])
        with pytest.raises(InputError, match=r"c.safetensors cannot be read .*delete it and run again"):
            tensor_file.load(path)


def test_what_was_there_stays_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = atomic_files.write_atomically(tmp_path / "kept", "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_files.os, "fsync", full)
    with pytest.raises(InputError, match=r"cannot write .*kept \(3 bytes\): No space left on device"):
        atomic_files.write_atomically(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]
