"""Pixels under different versions of Pillow: decoded ones are equal, resized ones within one grey level."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest

from bench.data import decode
from tests.data.test_decode import SIZES, noise

SIDES = (50, 224, 256)
# Pillow 13 rounds some resized pixels to the neighbouring grey level: a store made with it has another
# fingerprint than one made with 11 or 12.
RESIZED = {"11": "6f45f44a37a537c4", "12": "6f45f44a37a537c4", "13": "c82d2a56b0a95dd6"}
JPEG = (  # 18 x 16 pixels, the colours at half the resolution (4:2:0)
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMU"
    "FRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU"
    "FBQUFBQUFBT/wAARCAAQABIDASIAAhEBAxEB/8QAGQAAAgMBAAAAAAAAAAAAAAAAAAcDBAYI/8QAIxAAAQMDBAIDAAAAAAAAAAAA"
    "AQIDBAAGEQUHEiEIFRMyYv/EABQBAQAAAAAAAAAAAAAAAAAAAAb/xAAlEQAABAQFBQAAAAAAAAAAAAABAgQFAAMGERITFiExI0FS"
    "VKL/2gAMAwEAAhEDEQA/AHTZ8RjaJh91TyXA4kjo0omdxIlo39K16I6mW+4rl8KDkiqNz39IuGMtjkU8xjOaxW12z0nR7yc1yZMX"
    "KYcOQys5AokgXKajbzIHIuasLuU/GIewWgqYJ0mSdzeUWTKEOgXFexw5G8dEDzS1IAD0r3X4NFTJk6SlIHr2Ohj6iij2iav9L6CC"
    "mr3jxj//2Q=="
)


def digest(*arrays: Any) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]


def test_a_jpeg_is_decoded_to_the_same_pixels_by_every_version(tmp_path: Path):
    """PNG and the other lossless kinds leave no choice; test_decode.py compares them with their pixels."""
    path = tmp_path / "a.jpg"
    path.write_bytes(base64.b64decode(JPEG))
    assert digest(decode.decode(path)) == "4db2fc3066bdf2cb"


def test_resized_pixels_are_those_recorded_for_this_family_of_versions():
    """The fingerprint of a data set would change with them, and results could not be compared."""
    family = PIL.__version__.partition(".")[0]
    if family not in RESIZED:
        pytest.skip(f"no digest is recorded for Pillow {family}; add it to RESIZED")
    assert digest(*(decode.resize(noise(*size), side) for size in SIZES for side in SIDES)) == RESIZED[family]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_resizing_is_within_one_grey_level_of_the_exact_value_on_every_version(
    size: tuple[int, int], side: int
):
    """Pillow rounds twice, after the columns and after the rows, each time by half a level at most."""
    image = noise(*size)
    rows_OH, columns_OW = bilinear_weights(size[0], side), bilinear_weights(size[1], side)
    exact = np.einsum("oh,pw,hwc->opc", rows_OH, columns_OW, image, optimize=True)
    if size == (side, side):
        exact = image
    assert np.abs(decode.resize(image, side) - exact).max() < 1.01  # Pillow's weights are fixed-point numbers


def bilinear_weights(length: int, side: int) -> Any:
    """The weights (side, length) of antialiased bilinear resizing along one axis: triangles that sum to 1."""
    scale = length / side
    centres_O = (np.arange(side) + 0.5) * scale
    distances_OL = np.abs(np.arange(length) + 0.5 - centres_O[:, None])
    weights_OL = np.clip(1 - distances_OL / max(scale, 1), 0, None)
    return weights_OL / weights_OL.sum(axis=1, keepdims=True)
