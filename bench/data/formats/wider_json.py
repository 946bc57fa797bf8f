"""Format wider-json: WIDER-Attribute; a sample is one person, given by a box in a photograph.

Labels are 1 (positive), -1 (negative) and 0 (unspecified), as in the original files.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import InputError
from bench.base.schema import Range
from bench.data import formats
from bench.data.cards import Card
from bench.data.formats import Sample, _source

# split -> (part of the JSON file's name, folders of the images in it)
PARTS = {"train": ("trainval", ("train", "val")), "test": ("test", ("test",))}


@dataclass(frozen=True)
class Options:
    """The card's [options]; the paper gives neither, and its boxes may have been used as they are.

    margin: added to a person's box on each side, as a share of its width or height. squash: a box is resized
    to a square whatever its shape; false: it is extended to a square first (see `decode.crop`).
    """

    margin: Annotated[float, Range(0, 2)] = 0.0
    squash: bool = True


def read(card: Card, split: str, source: Path | None) -> Iterator[Sample]:
    """The split's persons in the order of its JSON file; the id is `<photograph>#<person, from 0>`."""
    options = formats.options(Options, card)
    root = _source.folder(card, source)
    name, parts = PARTS[split]
    file = f"wider_attribute_{name}.json"
    path = _source.find(card, root, f"Anno/{file}", f"Annotations/{file}", file)
    folder = _source.find(card, root, "Image")
    content = _source.read_json(path)
    _same_attributes(card, content, path)
    values: set[int] = set()
    for image in _source.entries(content, "images", {"file_name": str, "targets": list}, path=path):
        photograph = image["file_name"].replace("\\", "/")
        if photograph.partition("/")[0] not in parts:
            raise InputError(f"{path}: the image {photograph} is not in the folder {' or '.join(parts)}")
        for index, person in enumerate(image["targets"]):
            where = f"{path}: person {index} of {photograph}"
            labels_C = _labels(person, len(card.labels), where)
            values.update(labels_C.tolist())
            box = _extended(_source.box(person.get("bbox"), where=where), options.margin)
            facts: dict[str, Any] = {"group": photograph, "box": box, "square": not options.squash}
            yield Sample(f"{photograph}#{index}", folder / photograph, labels_C, **facts)
    if 0 in values and -1 not in values:
        raise InputError(
            f"{path}: attributes are 1 and 0, none is -1; 0 means unspecified, and is not evaluated: write -1"
            " for attributes that a person has not"
        )


def _extended(box: tuple[float, float, float, float], margin: float) -> tuple[float, float, float, float]:
    """The box with a margin on each side, as a share of its width or height."""
    left, top, width, height = box
    if not margin:
        return box
    return left - margin * width, top - margin * height, (1 + 2 * margin) * width, (1 + 2 * margin) * height


def _same_attributes(card: Card, content: Any, path: Path) -> None:
    names = content.get("attribute_id_map") if isinstance(content, dict) else None
    if not isinstance(names, dict):
        raise InputError(
            f"{path} has no object 'attribute_id_map'; it must map numbers to names of attributes"
        )
    in_order = [names.get(str(number), "(none)") for number in range(len(names))]
    _source.same_labels(card, in_order, where=f"{path}: attribute_id_map")


def _labels(person: Any, labels: int, where: str) -> NDArray[np.int8]:
    """labels_C of a person; labels: their number."""
    values = person.get("attribute") if isinstance(person, dict) else None
    if (
        not isinstance(values, list)
        or len(values) != labels
        or not all(value in (1, 0, -1) for value in values)
    ):
        raise InputError(f"{where}: 'attribute' must be a list of {labels} values, each 1, 0 or -1")
    return np.array(values, dtype=np.int8)
