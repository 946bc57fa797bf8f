"""Versions of the libraries on which decoded and resized pixels depend."""

from collections.abc import Mapping

import PIL
from PIL import features

DECODERS = {"libjpeg-turbo": "libjpeg_turbo", "libwebp": "webp", "libtiff": "libtiff", "OpenJPEG": "jpg_2000"}
DECODERS |= {"libavif": "avif"}


def versions() -> dict[str, str]:
    """Library -> version: Pillow, which resizes, and the decoders that it was built with."""
    supported = {*features.modules, *features.codecs, *features.features}
    decoders = {name: features.version(key) for name, key in DECODERS.items() if key in supported}
    return {"Pillow": PIL.__version__, **{name: version for name, version in decoders.items() if version}}


def differences(a: Mapping[str, str], b: Mapping[str, str]) -> str:
    """The libraries whose versions differ, in words.

    >>> differences({"Pillow": "12.0.0", "libtiff": "4"}, {"Pillow": "13.0.0", "libtiff": "4"})
    'Pillow 12.0.0 and 13.0.0'
    """
    names = [name for name in [*a, *(b.keys() - a.keys())] if a.get(name) != b.get(name)]
    return ", ".join(f"{name} {a.get(name, 'none')} and {b.get(name, 'none')}" for name in names)
