"""Versions of the libraries on which decoded and resized pixels depend."""

import PIL
from PIL import features

DECODERS = {"libjpeg-turbo": "libjpeg_turbo", "libwebp": "webp", "libtiff": "libtiff", "OpenJPEG": "jpg_2000"}
DECODERS |= {"libavif": "avif"}


def versions() -> dict[str, str]:
    """Library -> version: Pillow, which resizes, and the decoders that it was built with."""
    supported = {*features.modules, *features.codecs, *features.features}
    decoders = {name: features.version(key) for name, key in DECODERS.items() if key in supported}
    return {"Pillow": PIL.__version__, **{name: version for name, version in decoders.items() if version}}
