"""Format voc-xml: PASCAL VOC; labels from the lists `<class>_<set>.txt` or, without them, from the XML files.

Labels: 1: the image has an object of the class; -1: it has none; 0: it has only objects that are marked
difficult, which the devkit's evaluation ignores.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET

import numpy as np

from bench.base import structured_files
from bench.base.errors import InputError, unknown
from bench.data import formats
from bench.data.cards import Card
from bench.data.formats import LeftOut, Sample, _source

VALUES = {"1": 1, "+1": 1, "0": 0, "-1": -1}
ENCODING = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([\w.:-]+)")
# Files that declare the older character set often hold letters of its extension.
EXTENDED = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "big5": "big5hkscs"}


@dataclass(frozen=True)
class Options:
    """The card's [options].

    folder: of the devkit, VOC2007 or VOC2012. train, test: names of image sets. difficult: the training label
    of a class with difficult objects only: 0 ("unspecified"; training counts it as negative) or 1. In the
    test set it is always 0, and never evaluated.
    objects, last_id, without: a part of the data set: images with an object of one of these classes,
    difficult or not, up to this id, without those with these ids; by default all images.
    """

    folder: str
    train: str = "trainval"
    test: str = "test"
    difficult: Literal["unspecified", "positive-in-training"] = "unspecified"
    objects: tuple[str, ...] = ()
    last_id: str = ""
    without: tuple[str, ...] = ()

    def has(self, image: str, labels: dict[str, int]) -> bool:
        """Whether the image is in the part; labels: of its classes."""
        is_wanted = not self.objects or any(labels[name] >= 0 for name in self.objects)
        return is_wanted and (not self.last_id or image <= self.last_id) and image not in self.without


def read(card: Card, split: str, source: Path | None) -> Iterator[Sample | LeftOut]:
    """The split's images in the order of its image set; test labels that are not public are all 0."""
    options = formats.options(Options, card)
    if wrong := [name for name in options.objects if name not in card.labels]:
        raise unknown("object", wrong[0], card.labels)
    root = _source.folder(card, source)
    folders = ("VOCdevkit/" + options.folder, options.folder, ".")
    home = _source.find(card, root, *(f"{folder}/ImageSets" for folder in folders)).parent
    name = options.test if split == "test" else options.train
    ids = _source.read_list(_source.find(card, home, f"ImageSets/Main/{name}.txt"))
    rows: Sequence[Sequence[int] | None] = [[0] * len(card.labels)] * len(ids)
    if split != "test" or not card.evaluation.result_files:
        rows = _labels(card, home, name, ids)
    folder = _source.find(card, home, "JPEGImages")
    for image, row in zip(ids, rows, strict=True):
        if row is None:
            yield LeftOut(image, formats.NO_ANNOTATION)
            continue
        if not options.has(image, dict(zip(card.labels, row, strict=True))):
            yield LeftOut(image, "not in this part")
            continue
        labels_C = np.array(row, dtype=np.int8)
        if split == "train" and options.difficult == "positive-in-training":
            labels_C[labels_C == 0] = 1
        yield Sample(image, folder / f"{image}.jpg", labels_C)


def _labels(card: Card, home: Path, name: str, ids: list[str]) -> list[list[int] | None]:
    """The labels of every image: from the lists of the classes if there is at least one, else from XML files;
    None where there is no such file.
    """
    lists = [home / "ImageSets" / "Main" / f"{label}_{name}.txt" for label in card.labels]
    if not any(path.exists() for path in lists):
        files = [_source.find(card, home, "Annotations") / f"{image}.xml" for image in ids]
        return [_from_xml(file, card) if file.exists() else None for file in files]
    return [list(row) for row in zip(*(_from_list(path, ids) for path in lists), strict=True)]


def _from_list(path: Path, ids: list[str]) -> list[int]:
    """The labels of all images for one class; ids: of the image set."""
    lines = _source.read_lines(path)
    if len(lines) != len(ids):
        raise InputError(f"{path} has {len(lines)} lines; the image set has {len(ids)} images")
    values = []
    for number, (line, image) in enumerate(zip(lines, ids, strict=True), start=1):
        words = line.split()
        if len(words) != 2 or words[0] != image or words[1] not in VALUES:
            raise InputError(f"{path}: line {number} is {line!r}; it must be {image} and 1, 0 or -1")
        values.append(VALUES[words[1]])
    if 0 in values and -1 not in values:
        raise InputError(
            f"{path}: holds 1 and 0 but no -1; in these lists 0 means that all objects are difficult, and is "
            "not evaluated: write -1 for images without the class"
        )
    return values


def _from_xml(path: Path, card: Card) -> list[int]:
    """The labels of one image, in the card's order."""
    objects = _parse(path).findall("object")
    values = dict.fromkeys(card.labels, -1)
    for item in objects:
        label = item.findtext("name", "").strip()
        if label not in values:
            raise InputError(f"{path}: unknown class {label!r}; choose from: {', '.join(card.labels)}")
        difficult = item.findtext("difficult", "0").strip() == "1"
        values[label] = max(values[label], 0 if difficult else 1)
    return list(values.values())


def _parse(path: Path) -> ET.Element:
    """The root of an XML file in any encoding that Python knows."""
    content = structured_files.read_bytes(path)
    declared = ENCODING.match(content[:200].removeprefix(b"\xef\xbb\xbf").lstrip())
    encoding = declared[1].decode().lower() if declared else "utf-8"
    try:
        try:
            return ET.fromstring(content)  # noqa: S314 (expat itself protects against entity bombs)
        except (ValueError, LookupError):  # expat knows few encodings itself, and none of several bytes
            text = content.decode(EXTENDED.get(encoding.replace("-", "_"), encoding))
            return ET.fromstring(text)  # noqa: S314 (as above)
    except LookupError as error:
        raise InputError(f"{path}: the encoding {encoding!r} is unknown; save the file as UTF-8") from error
    except (ValueError, ET.ParseError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as XML: {error}") from error
