"""Decoding: every kind of image file gives Pillow's pixels or a reason why it has none."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.data import decode
from bench.data.decode import Unusable


def noise(height: int, width: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height: int, width: int) -> Image.Image:
    """An image that JPEG changes little: noise enlarged eight times."""
    small = Image.fromarray(noise(height // 8 + 2, width // 8 + 2))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def saved(path: Path, image: Image.Image, form: str, **how: Any) -> Path:
    image.save(path, format=form, **how)
    return path


def pillow(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_a_jpeg_has_exactly_pillows_pixels(tmp_path: Path, mode: str, progressive: bool, subsampling: str):
    how = {"quality": 90, "progressive": progressive, "subsampling": subsampling}
    path = saved(tmp_path / "a", smooth(77, 123).convert(mode), "JPEG", **how)
    assert np.array_equal(decode.decode(path), pillow(path))


@pytest.mark.parametrize(
    ("mode", "form"),
    [
        *[(mode, "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA")],
        *[("RGB", form) for form in ("BMP", "PPM", "TIFF", "WEBP", "GIF")],
        ("CMYK", "TIFF"),
    ],
)
def test_other_formats_are_converted_as_by_pillow(tmp_path: Path, mode: str, form: str):
    path = saved(tmp_path / "a", smooth(30, 41).convert(mode), form)
    pixels = decode.decode(path)
    assert pixels.shape == (30, 41, 3)
    assert np.array_equal(pixels, pillow(path))


def test_transparent_pixels_keep_their_stored_colours(tmp_path: Path):
    pixels = np.dstack([noise(9, 8), np.zeros((9, 8), np.uint8)])
    path = saved(tmp_path / "a", Image.fromarray(pixels, "RGBA"), "PNG")
    assert np.array_equal(decode.decode(path), pixels[:, :, :3])


def test_a_palette_with_transparent_entries_is_converted_without_a_warning(tmp_path: Path):
    image = smooth(9, 8).convert("P")
    path = saved(tmp_path / "a", image, "PNG", transparency=bytes(range(256)))
    assert np.array_equal(decode.decode(path), np.asarray(image.convert("RGB")))


def test_of_16_bits_the_upper_8_are_used(tmp_path: Path):
    values = np.arange(0, 65536, 97, dtype=np.uint16)[:600].reshape(20, 30)
    path = saved(tmp_path / "a", Image.fromarray(values), "PNG")
    assert np.array_equal(decode.decode(path), np.repeat((values >> 8)[:, :, None], 3, axis=2))


def test_of_several_pictures_the_first_is_used(tmp_path: Path):
    first, second = Image.new("RGB", (5, 4), (255, 0, 0)), Image.new("RGB", (5, 4), (0, 0, 255))
    path = saved(tmp_path / "a", first, "GIF", save_all=True, append_images=[second])
    assert np.all(decode.decode(path) == [255, 0, 0])


def test_the_exif_orientation_is_ignored_because_boxes_refer_to_the_stored_pixels(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    turned = saved(tmp_path / "a", smooth(20, 50), "JPEG", exif=exif)
    plain = saved(tmp_path / "b", smooth(20, 50), "JPEG")
    assert np.array_equal(decode.decode(turned), decode.decode(plain))


def png_header(width: int, height: int) -> bytes:
    """A PNG whose header states this size, without pixels."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", b""),
        (b"IEND", b""),
    )
    parts = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"<html>404</html>", "a web page, not an image; download the image again"),
        (b"%PDF-1.4", r"a PDF file; convert its pages to PNG \(pdftoppm\)"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (png_header(20_000, 20_000), "more than 50,000,000 pixels"),  # Pillow refuses it
        (png_header(10_000, 10_000), "more than 50,000,000 pixels"),  # Pillow only warns
        (png_header(9, 9), "cut short or damaged"),
    ],
)
def test_a_file_without_pixels_is_refused_with_the_reason(tmp_path: Path, content: bytes, reason: str):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(Unusable, match=f"^{reason}$"):
        decode.decode(path)


def test_a_missing_file_is_reported_as_missing(tmp_path: Path):
    with pytest.raises(Unusable, match="^image missing$"):
        decode.decode(tmp_path / "a.jpg")


def test_a_path_that_cannot_be_read_is_refused_with_the_systems_reason(tmp_path: Path):
    with pytest.raises(Unusable, match="^cannot be read: File name too long$"):
        decode.decode(tmp_path / f"{'x' * 300}.jpg")


def test_pixels_without_a_known_range_are_refused(tmp_path: Path):
    path = saved(tmp_path / "a", Image.fromarray(np.ones((4, 5), np.float32)), "TIFF")
    with pytest.raises(Unusable, match="^pixels without a known range$"):
        decode.decode(path)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_a_truncated_file_is_refused(tmp_path: Path, form: str):
    whole = saved(tmp_path / "whole", smooth(40, 60), form).read_bytes()
    path = tmp_path / "a"
    for length in [1, *range(9, len(whole) - 30, 97), len(whole) - 30]:
        path.write_bytes(whole[:length])
        with pytest.raises(Unusable, match="cut short or damaged|not an image"):
            decode.decode(path)


def test_a_jpeg_that_lacks_its_last_bytes_is_refused(tmp_path: Path):
    for progressive in (False, True):
        path = saved(tmp_path / "a", smooth(40, 60), "JPEG", progressive=progressive)
        whole = path.read_bytes()
        for lost in range(1, 40):
            path.write_bytes(whole[:-lost])
            with pytest.raises(Unusable, match="^cut short or damaged$"):
                decode.decode(path)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM"])
def test_damage_anywhere_gives_pixels_or_a_reason_and_nothing_else(tmp_path: Path, form: str):
    whole = saved(tmp_path / "a", smooth(20, 31), form).read_bytes()
    rng, path = np.random.default_rng(0), tmp_path / "b"
    outcomes = set()
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 1 + int(rng.integers(6))):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            outcomes.add(decode.decode(path).ndim)
        except Unusable as reason:
            outcomes.add(str(reason))
    assert 3 in outcomes
    assert len(outcomes) > 1


SIZES = [
    (480, 640),
    (427, 640),
    (30, 40),
    (33, 20),
    (500, 7),
    (1, 1),
    (256, 300),
    (300, 256),
    (255, 256),
    (700, 260),
]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("side", [50, 224, 256])
def test_resizing_is_exactly_pillows_antialiased_bilinear(size: tuple[int, int], side: int):
    for image in (
        noise(*size),
        np.asarray(smooth(*size)),
        np.where(noise(*size) > 127, 255, 0).astype(np.uint8),
    ):
        expected = Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)
        assert np.array_equal(decode.resize(image, side), np.asarray(expected))


def test_an_image_of_the_right_size_is_not_changed():
    image = noise(64, 64)
    assert decode.resize(image, 64) is image


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ((2, 3, 10, 20), (3, 23), (2, 12)),
        ((30, 20, 25, 25), (20, 30), (30, 40)),
        ((-4.5, -2, 20, 25), (0, 23), (0, 16)),
        ((0.4, 0.6, 1, 1), (0, 2), (0, 2)),
        ((-100, -100, 300, 300), (0, 30), (0, 40)),
    ],
)
def test_a_box_is_clipped_to_the_image(box: Any, rows: tuple[int, int], columns: tuple[int, int]):
    image = noise(30, 40)
    assert np.array_equal(decode.crop(image, box), image[slice(*rows), slice(*columns)])


@pytest.mark.parametrize(
    "box", [(40, 0, 5, 5), (-9, 0, 5, 5), (0, 31, 5, 5), (0, -5, 9, 5), (3, 3, 0, 4), (3, 3, -2, 4)]
)
def test_a_box_without_a_pixel_of_the_image_is_refused(box: Any):
    with pytest.raises(Unusable, match="^box outside the image$"):
        decode.crop(noise(30, 40), box)


def test_a_disk_error_is_distinguished_from_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def vanishes(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    path = saved(tmp_path / "a", smooth(9, 9), "PNG")
    monkeypatch.setattr(decode.Image, "open", vanishes)
    with pytest.raises(Unusable, match="^cannot be read: Input/output error$"):
        decode.decode(path)
