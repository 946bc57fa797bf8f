"""Format wider-json: WIDER-Attribute; a sample is one person, given by a box in a photograph.

Labels are 1 (positive), -1 (negative) and 0 (unspecified), as in the original files.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import InputError
from bench.data.cards import Card
from bench.data.formats import Sample, _source

# split -> (part of the JSON file's name, folders of the images in it)
PARTS = {"train": ("trainval", ("train", "val")), "test": ("test", ("test",))}


def read(card: Card, split: str, source: Path | None) -> Iterator[Sample]:
    """The split's persons in the order of its JSON file; the id is `<photograph>#<person, from 0>`."""
    if card.options:
        raise InputError(f"{card.file}: format wider-json has no options; remove [options]")
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
            box = _source.box(person.get("bbox"), where=where)
            yield Sample(f"{photograph}#{index}", folder / photograph, labels_C, group=photograph, box=box)
    if 0 in values and -1 not in values:
        raise InputError(
            f"{path}: attributes are 1 and 0, none is -1; 0 means unspecified, and is not evaluated: write -1"
            " for attributes that a person has not"
        )


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
