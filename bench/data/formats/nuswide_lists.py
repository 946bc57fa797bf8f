"""Format nuswide-lists: the original files of NUS-WIDE, a list of images and, per concept, a file of 0 and 1.

The images come from Flickr, where many no longer exist, and copies of the data set differ in their folders.
So an image is found by its Flickr number in its file name, in every way of naming that is in use, anywhere
under `Flickr`, `images` or the source folder.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.base import lists
from bench.base.errors import InputError
from bench.data import formats
from bench.data.cards import Card
from bench.data.formats import LeftOut, Sample, _source
from bench.data.formats.list_files import read_pair

IMAGE_FOLDERS = ("Flickr", "images")
# For a deleted photograph, Flickr sends a placeholder, a small PNG or GIF; all photographs are JPEG.
PLACEHOLDERS = (b"\x89PNG", b"GIF8")
PLACEHOLDER_BYTES = 16_384  # at most; placeholders have a few kB
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".webp")
SIZE = re.compile(r"[a-z]|[a-z]\d")  # Flickr's letter for the size of a photograph, as in `_m`
SECRET = re.compile(r"[0-9a-f]{10}")  # what Flickr sets behind the number of a photograph


@dataclass(frozen=True)
class Options:
    """The card's [options].

    keep: only images with a label, which matches the published numbers, or all images; missing images are
    left out in both cases. lists: the original files, or the pairs of list and matrix that users of SRN
    exchange.
    """

    keep: Literal["labelled-and-present", "all"] = "labelled-and-present"
    lists: Literal["official", "exchanged"] = "official"


def read(card: Card, split: str, source: Path | None) -> Iterator[Sample | LeftOut]:
    """The split's images in the order of its list; an image's id is its line in the list, with slashes."""
    options = formats.options(Options, card)
    root = _source.folder(card, source)
    read_lists = {"official": _official, "exchanged": _exchanged}[options.lists]
    names, labels_NC = read_lists(card, root, split)
    if wrong := [name for name in names if not _numbers(name)]:
        raise InputError(
            f"the {split} list names images without a Flickr number, as in 0001_381708603.jpg:"
            f"{lists.as_lines(wrong)}"
        )
    photographs = _photographs(card, root, names)
    for name, labels_C in zip(names, labels_NC, strict=True):
        file = photographs.get(_numbers(name)[0])
        if options.keep != "all" and not labels_C.any():
            yield LeftOut(name, formats.NO_LABEL)
        elif file is None:
            yield LeftOut(name, formats.MISSING)
        elif _is_placeholder(file):
            yield LeftOut(name, formats.PLACEHOLDER)
        else:
            yield Sample(name, Path(file), labels_C, group=_numbers(name)[0])


def _official(card: Card, root: Path, split: str) -> tuple[list[str], NDArray[np.int8]]:
    """(names of the images, labels_NC) from the original files."""
    images = _source.find(card, root, f"ImageList/{split.title()}Imagelist.txt")
    names = [line.replace("\\", "/") for line in _source.read_list(images)]
    concepts = root / "ConceptsList" / "Concepts81.txt"
    if concepts.exists():
        _source.same_labels(card, _source.read_lines(concepts), where=str(concepts))
    labels_NC = np.empty((len(names), len(card.labels)), dtype=np.int8)
    for column, label in enumerate(card.labels):
        path = _source.find(card, root, f"Groundtruth/TrainTestLabels/Labels_{label}_{split.title()}.txt")
        labels_NC[:, column] = _column(path, images, len(names))
    return names, labels_NC


def _column(path: Path, images: Path, expected: int) -> NDArray[np.int8]:
    """The labels of all images for one concept; expected: the number of images."""
    words = _source.read_lines(path)
    if len(words) != expected:
        raise InputError(f"{path} has {len(words)} lines, but {images} lists {expected} images")
    for line, word in enumerate(words, start=1):
        if word not in ("0", "1"):
            raise InputError(f"{path}: line {line} is {word!r}; it must be 0 or 1")
    return np.array(words, dtype=np.int8)


def _exchanged(card: Card, root: Path, split: str) -> tuple[list[str], NDArray[np.int8]]:
    """(names of the images, labels_NC) from the files that users of SRN exchange."""
    images, matrix = (
        _source.find(card, root, f"nus_wide_{split}_{kind}.txt") for kind in ("imglist", "label")
    )
    return read_pair(images, matrix, labels=len(card.labels))


def _photographs(card: Card, root: Path, names: Iterable[str]) -> dict[str, str]:
    """Flickr number -> file, for all images on disk; InputError if none of the listed names is among them."""
    top = next((root / name for name in IMAGE_FOLDERS if (root / name).is_dir()), root)
    listed = {_numbers(name)[0] for name in names}
    paths: dict[str, str] = {}
    for folder, _, files in os.walk(top):
        for file in files:
            if file.lower().endswith(SUFFIXES) and not file.startswith("."):  # macOS makes files ._0001_2.jpg
                number = next((number for number in _numbers(file) if number in listed), None)
                path = os.path.join(folder, file)  # noqa: PTH118 (270,000 files: str takes less memory)
                if number:
                    paths[number] = min(path, paths.get(number, path))
    if not paths:
        raise InputError(f"{top} holds none of the images in the list; {_source.how_to_get(card)}")
    return paths


def _numbers(name: str) -> list[str]:
    """What may be the Flickr number in a file name, the likeliest first; usually one.

    >>> _numbers("actor/0001_2124494179.jpg"), _numbers("2124494179.jpg")
    (['2124494179', '0001'], ['2124494179'])
    >>> _numbers("98796_381708603_f86eb60ccf_m.jpg"), _numbers("381708603_f86eb60ccf.jpg")
    (['381708603'], ['381708603'])
    >>> _numbers("98796_381708603_0123456789_m.jpg"), _numbers("381708603_0123456789_m.jpg")
    (['381708603'], ['381708603'])
    """
    parts = name.lower().rpartition("/")[2].rpartition(".")[0].split("_")
    has_size = len(parts) > 1 and SIZE.fullmatch(parts[-1]) is not None
    parts = parts[:-1] if has_size else parts
    # A number and ten digits may be Flickr's number and secret, or a counter and Flickr's number.
    is_secret = has_size or len(parts) > 2 or not parts[-1].isdecimal()
    if len(parts) > 1 and is_secret and SECRET.fullmatch(parts[-1]):
        return [parts[-2]] if parts[-2].isdecimal() else []
    return [part for part in reversed(parts[-2:]) if part.isdecimal()]


def _is_placeholder(file: str) -> bool:
    path = Path(file)
    if path.stat().st_size > PLACEHOLDER_BYTES:
        return False
    with path.open("rb") as image:
        return image.read(4) in PLACEHOLDERS
