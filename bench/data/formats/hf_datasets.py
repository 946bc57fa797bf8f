"""Format hf-datasets: Parquet files of a data set of the Hugging Face Hub, read by the library `datasets`.

One column holds each image's file as bytes, another the list of its labels: class numbers whose names the
files state, or names. `bench.prepare --download` fetches the files at the card's revision; only Parquet files
are read, so that nothing of what is fetched is executed.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import InputError
from bench.data import formats
from bench.data.cards import Card
from bench.data.formats import Sample, _source


@dataclass(frozen=True)
class Options:
    """The card's [options]: a repository of the Hub, and columns of its Parquet files.

    revision: a commit or a tag. train, test: patterns of the files of each split, by their paths in the
    repository. image, labels: columns. id, group: columns with the name of each image, and with what its
    group is called; "": an image's number in its split; none.
    """

    repository: str
    revision: str
    train: tuple[str, ...] = ("data/train-*.parquet",)
    test: tuple[str, ...] = ("data/test-*.parquet",)
    image: str = "image"
    labels: str = "labels"
    id: str = ""
    group: str = ""


def read(card: Card, split: str, source: Path | None) -> Iterator[Sample]:
    """The split's images in the order of the sorted files' rows; an image is the bytes of its file, (N,)."""
    options = formats.options(Options, card)
    files = _files(card, options, split, source)
    where = ", ".join(getattr(options, split))
    rows, features = _open(card, options, files, where)
    numbers = _numbers(card, features[options.labels], f"{where}: column {options.labels}")
    for number, row in enumerate(_each(rows, where)):
        place = f"{where}: row {number}"
        content = (row[options.image] or {}).get("bytes") or b""  # without any it is reported as empty
        name = str(row[options.id]) if options.id else f"{split}-{number:07d}"
        labels_C = _labels(row[options.labels], numbers, len(card.labels), place)
        group = str(row[options.group]) if options.group else ""
        yield Sample(name, np.frombuffer(content, np.uint8), labels_C, group=group)


def _files(card: Card, options: Options, split: str, source: Path | None) -> list[Path]:
    """The split's Parquet files in the source folder; InputError says how to get them."""
    command = f"python -m bench.prepare --dataset {card.name} --download"
    fetched = f"fetch hf:{options.repository}@{options.revision} with {command}"
    folder = "or give a folder that holds its files: --source DIR"
    if source is None:
        raise InputError(f"the files of {card.title} are needed: {fetched}, {folder}")
    if not os.path.isdir(source):  # noqa: PTH112 (Path raises where a name is too long)
        raise InputError(f"{source} is not a folder; {fetched}, {folder}")
    found: set[Path] = set()
    for pattern in getattr(options, split):
        check_pattern(card, pattern)
        if not (fitting := sorted(source.glob(pattern))):
            raise InputError(f"{source} has no file {pattern}; {fetched}, {folder}")
        found.update(fitting)
    return sorted(found)


def check_pattern(card: Card, pattern: str) -> None:
    """InputError unless the pattern is of Parquet files inside of the repository."""
    parts = pattern.split("/")
    if not pattern.endswith(".parquet") or "" in parts or ".." in parts:
        raise InputError(
            f"{card.file}: [options] {pattern!r} is no pattern of Parquet files, as data/train-*.parquet is; "
            "other data sets have some at the revision refs/convert/parquet of the Hub: give its commit"
        )


def _open(card: Card, options: Options, files: list[Path], where: str) -> tuple[Any, Mapping[str, Any]]:
    """(the rows of the files as they are read, the features of their columns)."""
    import datasets  # noqa: PLC0415 (slow to import)

    with _readable(where):
        names = [str(path) for path in files]
        rows = datasets.load_dataset("parquet", data_files=names, split="train", streaming=True)
        features = rows.features or {}
    used = [name for name in (options.image, options.labels, options.id, options.group) if name]
    for name in used:
        if name not in features:
            raise InputError(f"{card.file}: {where} has no column {name!r}; it has {', '.join(features)}")
    image = features[options.image]
    if not isinstance(image, datasets.Image) and set(image if isinstance(image, dict) else ()) != {
        "bytes",
        "path",
    }:
        raise InputError(f"{card.file}: column {options.image!r} of {where} holds no images but {image}")
    with _readable(where):
        rows = rows.select_columns(list(dict.fromkeys(used)))
        return rows.cast_column(options.image, datasets.Image(decode=False)), features


def _each(rows: Any, where: str) -> Iterator[Mapping[str, Any]]:
    remaining = iter(rows)
    while True:
        with _readable(where):
            row = next(remaining, None)
        if row is None:
            return
        yield row


@contextmanager
def _readable(where: str) -> Iterator[None]:
    """Around what reads the files: InputError for one that is no Parquet file of these columns."""
    import datasets  # noqa: PLC0415 (slow to import)
    import pyarrow as pa  # noqa: PLC0415 (as above)

    try:
        yield
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        pa.ArrowException,
        datasets.exceptions.DatasetsError,
    ) as fault:
        reason = " ".join(str(fault.__cause__ or fault).split())[:300]
        raise InputError(f"{where} cannot be read as Parquet: {reason}") from fault


def _numbers(card: Card, feature: Any, where: str) -> dict[Any, int]:
    """What a list of labels can hold -> the label's column in the card."""
    import datasets  # noqa: PLC0415 (slow to import)

    element = getattr(feature, "feature", None)
    if isinstance(element, datasets.ClassLabel):
        _source.same_labels(card, element.names, where=where)
        return {number: number for number in range(len(card.labels))}
    if isinstance(element, datasets.Value) and "string" in element.dtype:
        return {name: number for number, name in enumerate(card.labels)}
    raise InputError(f"{where} must be a list of class numbers with names, or of names, not {feature}")


def _labels(values: Any, numbers: Mapping[Any, int], count: int, where: str) -> NDArray[np.int8]:
    """1 for each label in the list, 0 for the others, (C,)."""
    if values is None:
        raise InputError(f"{where} has no list of labels; an image without a label has an empty one")
    labels_C = np.zeros(count, np.int8)
    for value in values:
        if value not in numbers:
            raise InputError(f"{where} has the label {value!r}, which is none of the card's labels")
        labels_C[numbers[value]] = 1
    return labels_C
