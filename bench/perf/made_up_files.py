"""Make up the original files of a data set: the owner's folders and lists, the card's counts, drawn pictures.

Each function writes one split of one format and returns the pictures to draw; `make` does all of a card.

Legend: N images, C labels.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import InputError
from bench.base.processes import cores, map_unordered
from bench.base.progress import Meter
from bench.data.cards import Card, Split
from bench.perf.made_up_images import Picture, draw_all
from bench.perf.made_up_labels import draw_labels

DRAWN = "digit-scenes"  # the format whose reader draws the images
NOT_MADE: dict[str, Any] = {"lists": "official", "objects": []}  # options of cards -> the value that is made
CHUNK = 64  # pictures that a process draws at a time
FEWEST = 48  # images of a split
POSITIVES = 2.4  # labels of an image, where the card does not know their number: as in NUS-WIDE's test set
FOLDERS = 700  # of NUS-WIDE's pictures, which the owner keeps in some hundred
PERSONS = 4  # in a photograph of WIDER-Attribute: 57,524 in 13,789
# Width and height of the pictures, with the first one most often. MS-COCO, VOC: their longer side. NUS-WIDE:
# the longer side of Flickr's medium size. WIDER: the width that its authors scaled to.
SIZES = {
    "coco-json": ((640, 480), (640, 427), (480, 640)),
    "nuswide-lists": ((500, 375), (500, 333), (375, 500)),
    "voc-xml": ((500, 375), (500, 333), (375, 500)),
    "wider-json": ((1024, 683), (1024, 768), (1024, 576)),
}


@dataclass(frozen=True)
class Made:
    """What was made: the card with the counts of the made-up files, and the files' number and size."""

    card: Card
    pictures: int
    bytes: int


def can_make(card: Card) -> bool:
    """Whether there is something to make up: the demo's reader draws its images, and needs no files."""
    return card.format != DRAWN


def check(card: Card) -> None:
    """InputError for a format or an option that nothing can be made up for."""
    if can_make(card) and card.format not in WRITERS:
        known = ", ".join(WRITERS)
        raise InputError(
            f"{card.name} cannot be rehearsed: its format {card.format} is not one of {known}; with your own"
            f" pictures, run bench.prepare and then bench.run with --epochs 1"
        )
    for option, usual in NOT_MADE.items():
        if (value := card.options.get(option, usual)) != usual:
            raise InputError(
                f"{card.name} cannot be rehearsed: no files are made up for {option}={value}; rehearse a data"
                " set without this option"
            )


def make(card: Card, root: Path, *, share: float) -> Made:
    """Write the files of a share of the data set to root; those that are there already are kept.

    InputError as `check`.
    """
    check(card)
    splits = {split: _scaled(getattr(card, split), share) for split in ("train", "test")}
    pictures = [
        picture
        for split, size in splits.items()
        for picture in WRITERS[card.format](card, root, split, _draw(card, split, size))
    ]
    chunks = [pictures[start : start + CHUNK] for start in range(0, len(pictures), CHUNK)]
    total = 0
    with Meter(f"draw pictures for {card.name}", total=len(pictures), unit="pictures") as meter:
        for number, size_bytes in map_unordered(draw_all, chunks, processes=min(cores(), len(chunks))):
            total += size_bytes
            meter.add(number)
    made_card = replace(card, train=splits["train"], test=splits["test"])
    return Made(made_card, len(pictures), total)


def _scaled(split: Split, share: float) -> Split:
    """The counts of a share of the split; at 1.0 those of the card."""
    images = max(FEWEST, round(split.images * share))
    positives = round(images * (split.positives / split.images if split.positives else POSITIVES))
    return Split(images, positives if split.positives else 0, split.approximate)


def _draw(card: Card, split: str, size: Split) -> NDArray[np.bool_]:
    """The labels of a split, (N, C); the seed is the split's number."""
    positives = size.positives or round(size.images * min(POSITIVES, len(card.labels) / 4))
    without = round(size.images * _share_without(card, split))
    rng = np.random.default_rng(("train", "test").index(split))
    return draw_labels(size.images, len(card.labels), positives=positives, without=without, rng=rng)


def _share_without(card: Card, split: str) -> float:
    """The share of images without a label, which is known from the variant that drops them."""
    for variant in card.variants:
        if variant.options.get("unlabelled") == "dropped":
            return 1 - float(getattr(variant, split).images / getattr(card, split).images)
    return 0.0


def _write(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _size(card: Card, number: int) -> tuple[int, int]:
    """The size of a picture: three of five have the most frequent one."""
    return SIZES[card.format][max(0, number % 5 - 2)]


def _coco(card: Card, root: Path, split: str, labels_NC: NDArray[np.bool_]) -> Sequence[Picture]:
    """One object for each label of an image, with a box and a triangle as outline."""
    options, prefix = card.options, {"train": "COCO_train2014", "test": "COCO_val2014"}[split]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, row_C in enumerate(labels_NC, start=1):
        width, height = _size(card, number)
        name = f"{prefix}_{number:012}.jpg"
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for column in np.flatnonzero(row_C):
            box = [10.5, 10.5, width / 4, height / 4]
            outline = [10.5, 10.5, 10.5 + width / 4, 10.5, 10.5 + width / 4, 10.5 + height / 4]
            ids = {"id": len(annotations) + 1, "image_id": number, "category_id": int(column) + 1}
            annotations.append({**ids, "bbox": box, "iscrowd": 0, "segmentation": [outline]})
    categories = [{"id": column, "name": name} for column, name in enumerate(card.labels, start=1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    _write(root / str(options[f"{split}_json"]), [json.dumps(content)])
    folder = root / str(options[f"{split}_images"])
    return [Picture(folder / image["file_name"], (image["width"], image["height"])) for image in images]


def _nuswide(card: Card, root: Path, split: str, labels_NC: NDArray[np.bool_]) -> Sequence[Picture]:
    """A list of images, and a file of 0 and 1 for each concept; the Flickr numbers are made up."""
    first = {"train": 1_000_000, "test": 2_000_000}[split]
    numbers = range(len(labels_NC))
    names = [f"made_up{number % FOLDERS:03}\\{number:04}_{first + number}.jpg" for number in numbers]
    _write(root / "ImageList" / f"{split.title()}Imagelist.txt", names)
    _write(root / "ConceptsList" / "Concepts81.txt", card.labels)
    folder = root / "Groundtruth" / "TrainTestLabels"
    for label, column_N in zip(card.labels, labels_NC.T, strict=True):
        _write(folder / f"Labels_{label}_{split.title()}.txt", np.where(column_N, "1", "0"))
    paths = [root / "Flickr" / name.replace("\\", "/") for name in names]
    return [Picture(path, _size(card, number)) for number, path in enumerate(paths)]


def _voc(card: Card, root: Path, split: str, labels_NC: NDArray[np.bool_]) -> Sequence[Picture]:
    """An image set, and for each class a list with 1 and -1; none for test labels that the owner keeps."""
    home, name = root / "VOCdevkit" / str(card.options["folder"]), str(card.options[split])
    first = {"train": 1, "test": 500_001}[split]
    ids = [f"{first + number:06}" for number in range(len(labels_NC))]
    _write(home / "ImageSets" / "Main" / f"{name}.txt", ids)
    if split == "train" or not card.evaluation.result_files:
        for label, column_N in zip(card.labels, labels_NC.T, strict=True):
            lines = (f"{image} {1 if value else -1:2d}" for image, value in zip(ids, column_N, strict=True))
            _write(home / "ImageSets" / "Main" / f"{label}_{name}.txt", lines)
    folder = home / "JPEGImages"
    return [Picture(folder / f"{image}.jpg", _size(card, number)) for number, image in enumerate(ids)]


def _wider(card: Card, root: Path, split: str, labels_NC: NDArray[np.bool_]) -> Sequence[Picture]:
    """Photographs of PERSONS persons each, side by side; every tenth attribute is unspecified."""
    part = {"train": "trainval", "test": "test"}[split]
    images, pictures = [], []
    for number, first in enumerate(range(0, len(labels_NC), PERSONS)):
        folder = "test" if split == "test" else ("train", "val")[number % 5 == 4]
        name, (width, height) = f"{folder}/0--Parade/0_Parade_{number:06}.jpg", _size(card, number)
        persons = [
            {
                "attribute": _attributes(row_C, first),
                "bbox": [index * width / PERSONS, 20, width / 5, height / 2],
            }
            for index, row_C in enumerate(labels_NC[first : first + PERSONS])
        ]
        images.append({"file_name": name, "scene_id": 0, "targets": persons})
        pictures.append(Picture(root / "Image" / name, (width, height)))
    numbers = {str(number): label for number, label in enumerate(card.labels)}
    content = {"images": images, "attribute_id_map": numbers, "scene_id_map": {"0": "Parade"}}
    _write(root / "Anno" / f"wider_attribute_{part}.json", [json.dumps(content)])
    return pictures


def _attributes(row_C: NDArray[np.bool_], person: int) -> list[int]:
    """1 where the attribute is there; of the others every tenth is 0 (unspecified), the rest -1."""
    return [1 if value else 0 if (person + column) % 10 == 0 else -1 for column, value in enumerate(row_C)]


Writer = Callable[[Card, Path, str, NDArray[np.bool_]], Sequence[Picture]]
WRITERS: dict[str, Writer] = {
    "coco-json": _coco,
    "nuswide-lists": _nuswide,
    "voc-xml": _voc,
    "wider-json": _wider,
}
