"""Read the labels in exports in the JSON layout of MS-COCO: Label Studio, CVAT, Roboflow and others."""

import os
from collections.abc import Sequence
from pathlib import Path

from bench.base import lists
from bench.base.errors import InputError
from bench.data.formats import _source
from bench.data.own_pictures import TEST, TRAIN, Tags
from bench.data.own_pictures.picture_folder import PictureFolder
from bench.data.own_pictures.tag_tables import matrix

KEPT = ("images", "annotations", "categories", "id", "name", "file_name", "image_id", "category_id")


def read_exports(train: Sequence[Path], test: Sequence[Path], pictures: PictureFolder) -> Tags:
    """The tags of the images in all files; a category without an annotation in any file is no label.

    test: the files of the test set; if there are none, no split is given.
    """
    origin = " and ".join(str(path) for path in (*train, *test)[:2]) + (
        " ..." if len([*train, *test]) > 2 else ""
    )
    names: list[str] = []
    folders: list[str] = []
    tags_N: list[list[str]] = []
    splits: list[str] = []
    categories: dict[str, None] = {}
    for split, paths in ((TRAIN, train), (TEST, test)):
        for path in paths:
            tags_by_name, in_file = _read(path)
            categories |= dict.fromkeys(in_file)
            folder = os.path.relpath(path.parent.resolve(), pictures.root.resolve()).replace(os.sep, "/")
            names += tags_by_name
            tags_N += tags_by_name.values()
            splits += [split] * len(tags_by_name)
            folders += ["" if folder.startswith("..") else folder] * len(tags_by_name)
    labels, labels_NC = matrix(tags_N)
    tags = Tags(origin, labels, names, labels_NC, folders=folders, joins=True)
    tags.splits = splits if test else []
    tags.said.append(
        f"{len([*train, *test])} files in the layout of MS-COCO; boxes and outlines are not used"
    )
    if unused := [name for name in categories if name not in labels]:
        tags.said.append(f"categories without an annotation are no labels: {lists.in_line(unused)}")
    return tags


def _read(path: Path) -> tuple[dict[str, list[str]], list[str]]:
    """({file name: its categories}, all categories) of one file."""
    content = _source.read_json(
        path, keep=lambda entry: {name: entry[name] for name in KEPT if name in entry}
    )
    images = _source.entries(content, "images", {"id": int, "file_name": str}, path=path)
    categories = _source.entries(content, "categories", {"id": int, "name": str}, path=path)
    fields = {"image_id": int, "category_id": int}
    annotations = _source.entries(content, "annotations", fields, path=path)
    names = {category["id"]: category["name"].strip() for category in categories}
    for kind, entries in (("images", images), ("categories", categories)):
        if len({entry["id"] for entry in entries}) < len(entries):
            raise InputError(f"{path}: two entries of {kind!r} have the same id; export the file again")
    tags: dict[int, set[str]] = {image["id"]: set() for image in images}
    for index, annotation in enumerate(annotations):
        for key, known in (("image_id", tags), ("category_id", names)):
            if annotation[key] not in known:
                raise InputError(
                    f"{path}: annotations[{index}] has the {key} {annotation[key]}, which is not listed"
                )
        tags[annotation["image_id"]].add(names[annotation["category_id"]])
    joined: dict[str, set[str]] = {}
    for image in images:
        joined.setdefault(image["file_name"], set()).update(tags[image["id"]])
    return {name: sorted(labels) for name, labels in joined.items()}, list(names.values())
