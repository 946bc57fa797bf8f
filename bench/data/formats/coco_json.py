"""Format coco-json: `images`, `annotations` and `categories` in one JSON file a split, as MS-COCO has them.

An image has a label if any annotation of that category names it, those of crowds too. The card's labels are
the names of the categories by ascending id.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.base.errors import InputError
from bench.data import formats
from bench.data.cards import Card
from bench.data.formats import Box, LeftOut, Sample, _source

SIZES = {"id": int, "file_name": str, "width": int, "height": int}
USED = ("images", "annotations", "categories", "id", "name", "file_name", "image_id", "category_id")
PLACED = (*USED, "width", "height", "bbox")


@dataclass(frozen=True)
class Options:
    """The card's [options]: paths in the source folder, and what becomes of images without any label."""

    train_json: str
    train_images: str
    test_json: str
    test_images: str
    unlabelled: Literal["kept", "dropped"] = "kept"


def read(card: Card, split: str, source: Path | None) -> Iterator[Sample | LeftOut]:
    """The split's images in the order of its JSON file; an image's id is its `file_name`."""
    options = formats.options(Options, card)
    root = _source.folder(card, source)
    wanted = (options.train_json, options.train_images), (options.test_json, options.test_images)
    path, folder = (_source.find(card, root, name) for name in wanted[split == "test"])
    content = _source.read_json(path, keep=_used)
    images = _source.entries(content, "images", {"id": int, "file_name": str}, path=path)
    columns = _columns_by_image(content, _columns_by_category(content, card, path), path)
    for image in images:
        name, labels_C = image["file_name"], np.zeros(len(card.labels), dtype=np.int8)
        labels_C[list(columns[image["id"]])] = 1
        if options.unlabelled == "dropped" and not labels_C.any():
            yield LeftOut(name, formats.NO_LABEL)
        else:
            yield Sample(name, folder / name, labels_C)


def boxes(card: Card, split: str, source: Path | None) -> Iterator[tuple[str, list[Box]]]:
    """The split's images in the order of its JSON file: id, and a box for every annotation, crowds too."""
    options = formats.options(Options, card)
    path = _source.find(
        card, _source.folder(card, source), options.test_json if split == "test" else options.train_json
    )
    content = _source.read_json(path, keep=_placed)
    images = _source.entries(content, "images", SIZES, path=path)
    columns = _columns_by_category(content, card, path)
    _columns_by_image(content, columns, path)  # names what does not fit together
    found: dict[int, list[Any]] = defaultdict(list)
    for place, note in enumerate(_source.entries(content, "annotations", {"bbox": list}, path=path)):
        box = _source.box(note["bbox"], where=f"{path}: annotations[{place}]")
        found[note["image_id"]].append((columns[note["category_id"]], box))
    for place, image in enumerate(images):
        width, height = image["width"], image["height"]
        if not all(1 <= side < _source.LONGEST for side in (width, height)):
            raise InputError(f"{path}: images[{place}] is {width} x {height} pixels, which no image has")
        placed = [
            Box(column, left / width, top / height, across / width, down / height)
            for column, (left, top, across, down) in found[image["id"]]
        ]
        yield image["file_name"], placed


def _placed(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: entry[key] for key in PLACED if key in entry}


def _used(entry: dict[str, Any]) -> dict[str, Any]:
    # Outlines, most of the file, are forgotten as they are read: MS-COCO's would not fit into 1 GB.
    return {key: entry[key] for key in USED if key in entry}


def _columns_by_category(content: Any, card: Card, path: Path) -> dict[int, int]:
    categories = _source.entries(content, "categories", {"id": int, "name": str}, path=path)
    ordered = sorted(categories, key=lambda category: int(category["id"]))
    _source.same_labels(card, [category["name"] for category in ordered], where=f"{path}: categories by id")
    return {category["id"]: column for column, category in enumerate(ordered)}


def _columns_by_image(content: Any, columns: Mapping[int, int], path: Path) -> dict[int, set[int]]:
    """The columns that are positive, for the id of every image."""
    found: dict[int, set[int]] = {}
    for image in content["images"]:
        if image["id"] in found:
            raise InputError(f"{path}: two images have the id {image['id']}")
        found[image["id"]] = set()
    wanted = {"image_id": int, "category_id": int}
    for place, annotation in enumerate(_source.entries(content, "annotations", wanted, path=path)):
        image, category = annotation["image_id"], annotation["category_id"]
        if image not in found:
            raise InputError(f"{path}: annotations[{place}] is of image {image}, which is not in 'images'")
        if category not in columns:
            raise InputError(f"{path}: annotations[{place}] has the unknown category {category}")
        found[image].add(columns[category])
    return found
