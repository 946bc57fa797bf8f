"""Small trees in the owners' official layouts, with real JPEG files, and the cards that fit them.

Each tree says in a constant what its labels are; its images all differ.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.data import cards
from bench.data.cards import Card, Split
from bench.data.formats import LeftOut, Sample

Labels = Mapping[str, Mapping[str, tuple[str, ...]]]  # split -> image -> its positive labels

COCO: Labels = {
    "train": {
        "COCO_train2014_000000000025.jpg": ("giraffe",),
        "COCO_train2014_000000000009.jpg": ("person", "bowl", "toothbrush"),
        "COCO_train2014_000000000081.jpg": (),
        "COCO_train2014_000000000030.jpg": ("person",),  # a crowd
    },
    "test": {"COCO_val2014_000000000042.jpg": ("dog",), "COCO_val2014_000000000073.jpg": ()},
}
COCO_HOLES = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)  # between 1 and 90, of no category

NUSWIDE: Labels = {
    "train": {
        "actor/0001_2124494179.jpg": ("person", "window"),
        "zoo/0002_174174086.jpg": (),
        "zoo/0003_1000000001.jpg": ("animal", "zebra"),
        "zoo/0004_1000000002.jpg": ("animal",),  # gone
        "zoo/0005_1000000003.jpg": ("animal",),  # a placeholder
    },
    "test": {"beach/0001_1000000004.jpg": ("beach",), "beach/0002_1000000005.jpg": ()},
}
NUSWIDE_GONE = "zoo/0004_1000000002.jpg"
NUSWIDE_PLACEHOLDER = "zoo/0005_1000000003.jpg"

VOC: Labels = {
    "train": {"000005": ("chair",), "000007": ("car", "person"), "000009": ()},
    "test": {"000001": ("dog", "person"), "000002": ("train",)},
}
VOC_DIFFICULT = {"000005": ("sofa",), "000009": ("person",), "000001": ("cat",)}  # nothing else of that class

# Photograph -> persons: (attributes that are 1, attributes that are 0, box); all photographs are 40 x 30.
WIDER: Mapping[str, Mapping[str, list[tuple[str, str, list[float]]]]] = {
    "train": {
        "train/0--Parade/0_Parade_a.jpg": [("Male Hat", "logo", [2, 3, 10, 20]), ("", "", [30, 20, 25, 25])],
        "val/1--Handshaking/1_Handshaking_b.jpg": [("formal", "stripe jeans", [-4.5, -2, 20, 25])],
    },
    "test": {"test/0--Parade/0_Parade_c.jpg": [("longHair skirt", "", [0, 0, 40, 30])]},
}

OWN: Labels = {
    "train": {"a/1.jpg": ("cat", "dog"), "b/2 x.jpg": (), "a/3.jpg": ("dog",)},
    "test": {"c/4.jpg": ("cat",)},
}


def jpeg(path: Path, *, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> Path:
    """A JPEG file of noise that only this path has, grey where the mode is L."""
    seed = int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:4])
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path, format="JPEG")
    return path


def write(path: Path, lines: Iterable[str]) -> Path:
    """A text file of these lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def card(name: str, **changes: Any) -> Card:
    """The card of the checkout, for a tree whose counts are not the owner's."""
    return replace(cards.load_card(name), **{"train": Split(0), "test": Split(0), **changes})


def with_options(mine: Card, **changes: Any) -> Card:
    """The same card with these [options] changed."""
    return replace(mine, options={**mine.options, **changes})


def positives(mine: Card, samples: Iterable[Sample | LeftOut]) -> dict[str, tuple[str, ...]]:
    """Image -> the labels that are 1, in the order read; what is left out is not there."""
    return {
        sample.id: tuple(name for name, value in zip(mine.labels, sample.labels_C, strict=True) if value == 1)
        for sample in samples
        if isinstance(sample, Sample)
    }


def left_out(samples: Iterable[Sample | LeftOut]) -> dict[str, str]:
    """Image -> why it is left out."""
    return {sample.id: sample.reason for sample in samples if isinstance(sample, LeftOut)}


def coco(root: Path) -> Path:
    """MS-COCO 2014: category ids with holes, a crowd, images without any object, one grey image."""
    ids = [number for number in range(1, 91) if number not in COCO_HOLES]
    names = cards.load_card("coco").labels
    numbers = dict(zip(names, ids, strict=True))
    for split, folder in (("train", "train2014"), ("test", "val2014")):
        images = [{"id": _number(name), "file_name": name, "width": 40, "height": 30} for name in COCO[split]]
        annotations = [
            _annotation(_number(name), numbers[label], crowd=name.endswith("030.jpg"))
            for name, labels in COCO[split].items()
            for label in [*labels, *labels[:1]]  # the first label's object is there twice
        ]
        categories = [{"id": number, "name": name} for name, number in reversed(numbers.items())]
        content = {"images": images, "annotations": annotations, "categories": categories}
        write(root / "annotations" / f"instances_{folder}.json", [json.dumps(content)])
        for name in COCO[split]:
            jpeg(root / folder / name, mode="L" if name.endswith("025.jpg") else "RGB")
    return root


def _number(name: str) -> int:
    return int(name[-16:-4])


def _annotation(image: int, category: int, *, crowd: bool) -> dict[str, Any]:
    outline: Any = {"counts": [1200], "size": [30, 40]} if crowd else [[1.5, 1.5, 9.5, 1.5, 9.5, 9.5]]
    box = {"bbox": [1.5, 1.5, 8.0, 8.0], "area": 32.0}
    return {"image_id": image, "category_id": category, "iscrowd": int(crowd), "segmentation": outline, **box}


def nuswide(root: Path, *, images: str = "Flickr", flat: bool = False) -> Path:
    """NUS-WIDE: lists with back-slashes, a file for each concept, an image that is gone, a placeholder."""
    labels = cards.load_card("nuswide").labels
    write(root / "ConceptsList" / "Concepts81.txt", labels)
    for split in ("train", "test"):
        listed = (name.replace("/", "\\") for name in NUSWIDE[split])
        write(root / "ImageList" / f"{split.title()}Imagelist.txt", listed)
        for label in labels:
            values = ("1" if label in positive else "0" for positive in NUSWIDE[split].values())
            write(root / "Groundtruth" / "TrainTestLabels" / f"Labels_{label}_{split.title()}.txt", values)
        for name in NUSWIDE[split]:
            if name != NUSWIDE_GONE:
                _photograph(root / images / (name.rpartition("_")[2] if flat else name), name)
    return root


def _photograph(path: Path, name: str) -> None:
    jpeg(path)
    if name == NUSWIDE_PLACEHOLDER:
        Image.new("RGB", (50, 37)).save(path, format="PNG")


def exchanged(root: Path, content: Labels, labels: tuple[str, ...], prefix: str) -> Path:
    """Lists `path label-count` and matrices of 0 and 1, as users of SRN exchange them; no images."""
    for split, images in content.items():
        lines = (f"{name} {len(positive)}" for name, positive in images.items())
        write(root / f"{prefix}{split}_imglist.txt", lines)
        rows = (
            " ".join("1" if label in positive else "0" for label in labels) for positive in images.values()
        )
        write(root / f"{prefix}{split}_label.txt", rows)
    return root


def wider(root: Path, *, annotations: str = "Anno") -> Path:
    """WIDER-Attribute: persons as boxes, some of which leave the photograph."""
    labels = cards.load_card("wider").labels
    for split, name in (("train", "trainval"), ("test", "test")):
        images = [
            {
                "file_name": photograph,
                "scene_id": 0,
                "targets": [_person(person, labels) for person in persons],
            }
            for photograph, persons in WIDER[split].items()
        ]
        numbers = {str(number): label for number, label in enumerate(labels)}
        content = {"images": images, "attribute_id_map": numbers, "scene_id_map": {"0": "Parade"}}
        write(root / annotations / f"wider_attribute_{name}.json", [json.dumps(content)])
        for photograph in WIDER[split]:
            jpeg(root / "Image" / photograph)
    return root


def _person(person: tuple[str, str, list[float]], labels: tuple[str, ...]) -> dict[str, Any]:
    positive, unspecified, box = person
    values = [1 if name in positive.split() else 0 if name in unspecified.split() else -1 for name in labels]
    return {"attribute": values, "bbox": box}


def voc(root: Path, *, year: int = 2007, lists: bool = True) -> Path:
    """PASCAL VOC: image sets, XML, and `lists` of the classes; 2012 has no labels for its test set."""
    home = root / "VOCdevkit" / f"VOC{year}"
    for split, name in (("train", "trainval"), ("test", "test")):
        write(home / "ImageSets" / "Main" / f"{name}.txt", VOC[split])
        for image in VOC[split]:
            jpeg(home / "JPEGImages" / f"{image}.jpg")
        if year == 2012 and split == "test":
            continue
        for image, positive in VOC[split].items():
            write(home / "Annotations" / f"{image}.xml", [_xml(positive, VOC_DIFFICULT.get(image, ()))])
        for label in cards.load_card("voc2007").labels if lists else ():
            values = (
                f"{image} {_value(image, positive, label):2d}" for image, positive in VOC[split].items()
            )
            write(home / "ImageSets" / "Main" / f"{label}_{name}.txt", values)
    return root


def _value(image: str, positive: tuple[str, ...], label: str) -> int:
    return 1 if label in positive else 0 if label in VOC_DIFFICULT.get(image, ()) else -1


def _xml(positive: tuple[str, ...], difficult: tuple[str, ...]) -> str:
    """The objects, each positive one with a difficult one of its class beside it."""
    marked = [(name, 0) for name in positive] + [(name, 1) for name in (*positive, *difficult)]
    part = "<part><name>head</name></part>"
    objects = (
        f"<object><name>{name}</name><difficult>{hard}</difficult>{part}</object>" for name, hard in marked
    )
    return f"<annotation><folder>VOC</folder>{''.join(objects)}</annotation>"


def own(root: Path) -> Path:
    """A data set of one's own: lists and matrices, images under `pictures`."""
    exchanged(root, OWN, ("cat", "dog"), "")
    for images in OWN.values():
        for name in images:
            jpeg(root / "pictures" / name)
    return root


MAKE: dict[str, Callable[[Path], Path]] = {
    "coco": coco,
    "nuswide": nuswide,
    "voc2007": voc,
    "voc2012": lambda root: voc(root, year=2012),
    "wider": wider,
}
