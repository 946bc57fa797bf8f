"""Files under an image's name that are no image, or one of a format that is not read: each is named."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data import decode
from bench.data.decode import Unusable

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)


def reason(path: Path) -> str:
    with pytest.raises(Unusable) as caught:
        decode.decode(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("head", "named"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "an HEIC image; convert it to JPEG or PNG (libheif: heif-convert)"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0", "an HEIC image"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image; convert it to JPEG or PNG (libjxl: djxl)"),
        (b"\xff\x0a\0\0", "a JPEG XL image"),
        (b"\0\0\0\x20ftypisom", "a video"),
        (b"8BPS\0\1", "a Photoshop file"),
        (b"%PDF-1.7", "a PDF file"),
        (b"<!DOCTYPE html><html>", "a web page, not an image; download the image again"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a pointer of Git LFS; fetch the image: git lfs pull",
        ),
        (b"hello", decode.NO_IMAGE),
    ],
)
@pytest.mark.parametrize("name", ["a.jpg", "a.heic"])
def test_a_file_is_named_by_its_first_bytes_whatever_its_name(
    tmp_path: Path, head: bytes, named: str, name: str
):
    (tmp_path / name).write_bytes(head + bytes(100))
    assert reason(tmp_path / name).startswith(named)


@pytest.mark.parametrize("form", ["AVIF", "JPEG2000"])
def test_avif_and_jpeg_2000_are_read_where_pillow_can_and_named_where_not(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
):
    if form not in decode.FORMATS:
        pytest.skip(f"this Pillow does not decode {form}")
    path = tmp_path / "a.jpg"
    Image.fromarray(PIXELS).save(path, form)
    assert decode.decode(path).shape == PIXELS.shape
    path.with_name("cut.jpg").write_bytes(path.read_bytes()[:-200])
    assert reason(path.with_name("cut.jpg")) in {decode.DAMAGED, decode.NO_IMAGE} or form == "JPEG2000"
    monkeypatch.setattr(decode, "FORMATS", ("JPEG", "PNG"))
    assert "which this Pillow does not read; install Pillow 11.3 or newer" in reason(path)


def test_a_pipe_a_device_and_a_folder_are_no_images(tmp_path: Path):
    os.mkfifo(tmp_path / "a.jpg")
    for path in (tmp_path / "a.jpg", tmp_path, Path("/dev/zero")):
        assert reason(path) == decode.NO_FILE
