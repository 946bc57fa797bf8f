"""Format coco-json: one JSON file per split with `images`, `annotations` and `categories`, as in MS-COCO.

An image has a label if it has an annotation of that category; crowd annotations count too. The card's labels
are the category names by ascending id, unless its options say otherwise.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.base import lists
from bench.base.errors import InputError
from bench.data import formats
from bench.data.cards import Card
from bench.data.formats import Box, LeftOut, Sample, _source

IMAGE_FIELDS = {"id": int, "file_name": str}
LABEL_KEYS = ("images", "annotations", "categories", "id", "name", "file_name", "image_id", "category_id")
BOX_KEYS = (*LABEL_KEYS, "width", "height", "bbox")


@dataclass(frozen=True)
class Options:
    """The card's [options]: paths in the source folder; unlabelled: whether to keep images without labels.

    categories: "by-name" takes them in any order, and passes over those that no annotation has. renamed: the
    label for a category of another name; "" drops the category with its annotations.
    """

    train_json: str
    train_images: str
    test_json: str
    test_images: str
    unlabelled: Literal["kept", "dropped"] = "kept"
    categories: Literal["by-id", "by-name"] = "by-id"
    renamed: Mapping[str, Any] = field(default_factory=dict)


OR_ELSE = (
    """, or the card's [options] say: categories = "by-name" (any order; categories without annotations are"""
    """ passed over), renamed = { "name in the file" = "label" }"""
)


def read(card: Card, split: str, source: Path | None) -> Iterator[Sample | LeftOut]:
    """The split's images in the order of its JSON file; an image's id is its `file_name`."""
    options = formats.options(Options, card)
    root = _source.folder(card, source)
    names = (options.train_json, options.train_images), (options.test_json, options.test_images)
    path, folder = (_source.find(card, root, name) for name in names[split == "test"])
    content = _source.read_json(path, keep=_label_keys)
    images = _source.entries(content, "images", IMAGE_FIELDS, path=path)
    columns = _columns_by_image(content, _columns_by_category(content, card, options, path), path)
    for image in images:
        name, labels_C = _slashes(image["file_name"]), np.zeros(len(card.labels), dtype=np.int8)
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
    content = _source.read_json(path, keep=_box_keys)
    images = _source.entries(content, "images", {**IMAGE_FIELDS, "width": int, "height": int}, path=path)
    columns = _columns_by_category(content, card, options, path)
    _columns_by_image(content, columns, path)  # only to check that all ids exist
    boxes_by_image: dict[int, list[Any]] = defaultdict(list)
    for index, annotation in enumerate(_source.entries(content, "annotations", {"bbox": list}, path=path)):
        box = _source.box(annotation["bbox"], where=f"{path}: annotations[{index}]")
        if (column := columns[annotation["category_id"]]) is not None:
            boxes_by_image[annotation["image_id"]].append((column, box))
    for index, image in enumerate(images):
        width, height = image["width"], image["height"]
        if not all(1 <= side < _source.MAX_SIDE for side in (width, height)):
            raise InputError(f"{path}: images[{index}] has the impossible size {width} x {height} pixels")
        shares = [
            Box(column, left / width, top / height, box_width / width, box_height / height)
            for column, (left, top, box_width, box_height) in boxes_by_image[image["id"]]
        ]
        yield _slashes(image["file_name"]), shares


def _slashes(name: str) -> str:
    """The file name with slashes: exports made on Windows have back-slashes."""
    return name.replace("\\", "/")


def _box_keys(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: entry[key] for key in BOX_KEYS if key in entry}


def _label_keys(entry: dict[str, Any]) -> dict[str, Any]:
    # Outlines are most of the file: those of MS-COCO would not fit into 1 GB of memory.
    return {key: entry[key] for key in LABEL_KEYS if key in entry}


def _columns_by_category(content: Any, card: Card, options: Options, path: Path) -> dict[int, int | None]:
    """The label's column for the id of every category; None: it is dropped."""
    categories = _source.entries(content, "categories", {"id": int, "name": str}, path=path)
    names: dict[int, str] = {}
    for category in sorted(categories, key=lambda category: int(category["id"])):
        if category["id"] in names:
            raise InputError(f"{path}: two categories have the id {category['id']}")
        names[category["id"]] = str(options.renamed.get(category["name"], category["name"]))
    kept = [name for name in names.values() if name]
    if options.categories == "by-id":
        _source.same_labels(card, kept, where=f"{path}: categories by id", or_else=OR_ELSE)
    else:
        _same_names(content, card, names, path)
    columns = {label: column for column, label in enumerate(card.labels)}
    return {number: columns.get(name) for number, name in names.items()}


def _same_names(content: Any, card: Card, names: Mapping[int, str], path: Path) -> None:
    """Raise InputError if a category with annotations is no label, or a label is no category."""
    annotations = _source.entries(content, "annotations", {"category_id": int}, path=path)
    used = {annotation["category_id"] for annotation in annotations}
    if alone := [name for n, name in names.items() if name and n in used and name not in card.labels]:
        raise InputError(
            f"{path}: categories with annotations that are no labels in {card.file}: {lists.in_line(alone)};"
            ' give their labels in the card\'s [options]: renamed = { name = "label" } ("" drops one)'
        )
    if missing := [label for label in card.labels if label not in names.values()]:
        raise InputError(
            f"{path}: labels of {card.file} that are no category: {lists.in_line(missing)}; if they have"
            ' another name there, say so in the card\'s [options]: renamed = { name = "label" }'
        )


def _columns_by_image(content: Any, columns: Mapping[int, int | None], path: Path) -> dict[int, set[int]]:
    """The columns of the positive labels, for the id of every image."""
    positives: dict[int, set[int]] = {}
    for image in content["images"]:
        if image["id"] in positives:
            raise InputError(f"{path}: two images have the id {image['id']}")
        positives[image["id"]] = set()
    fields = {"image_id": int, "category_id": int}
    for index, annotation in enumerate(_source.entries(content, "annotations", fields, path=path)):
        image_id, category = annotation["image_id"], annotation["category_id"]
        if image_id not in positives:
            raise InputError(
                f"{path}: annotations[{index}] has the image_id {image_id}, which is not in 'images'"
            )
        if category not in columns:
            raise InputError(
                f"{path}: annotations[{index}] has the category_id {category}, which is not in 'categories'"
            )
        if (column := columns[category]) is not None:
            positives[image_id].add(column)
    return positives
