"""Read and check the original files of a data set; what all readers of annotation formats share."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from bench.base import structured_files
from bench.base.errors import InputError
from bench.base.schema import TYPE_NAMES
from bench.data.cards import Card

MAX_SIDE = 1e9  # pixels, of an image or a box


def folder(card: Card, source: Path | None) -> Path:
    """The source folder; if it is not there, InputError says how to get the files and where to put them."""
    if source is None:
        raise InputError(f"the original files of {card.title} are needed; {how_to_get(card)}")
    if not os.path.isdir(source):  # noqa: PTH112 (Path raises where a name is too long)
        raise InputError(f"{source} is not a folder; {how_to_get(card)}")
    return source


def how_to_get(card: Card) -> str:
    """The end of a message: where to get the files and how to arrange them, or how to download them."""
    download = f"; or download them: python -m bench.prepare --dataset {card.name} --download"
    is_complete = card.archives and not card.not_offered
    return f"{instructions(card)} --source DIR{download if is_complete else ''}"


def instructions(card: Card) -> str:
    """How to get the files, up to the option that names their folder; without `obtain`, whence they are."""
    if card.obtain:
        return f"{card.obtain}; then give that folder:"
    return f"{card.file} names as their source: {card.source}; give the folder that holds them:"


def find(card: Card, root: Path, *choices: str) -> Path:
    """The first of the paths that exists in root; InputError names them all and says where to get them."""
    for choice in choices:
        if os.path.exists(root / choice):  # noqa: PTH110 (as above)
            return root / choice
    raise InputError(f"{root} has no {' and no '.join(choices)}; {how_to_get(card)}")


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without surrounding white space; blank lines at the end are dropped."""
    text = structured_files.read_text(path)
    if "\0" in text:
        raise InputError(f"{path} cannot be read as text: it contains zero bytes; save it as UTF-8")
    return [line.strip() for line in text.rstrip().split("\n")] if text.strip() else []


def read_list(path: Path) -> list[str]:
    """The lines of a list of images, at least one; InputError names the first empty line."""
    lines = read_lines(path) or [""]
    if "" in lines:
        raise InputError(f"{path}: line {lines.index('') + 1} is empty; every line must name an image")
    return lines


def read_json(path: Path, *, keep: Callable[[dict[str, Any]], dict[str, Any]] | None = None) -> Any:
    """The content of a JSON file; keep: reduces each object as soon as it is read, to save memory."""
    text = structured_files.read_text(path)
    try:
        return json.loads(text, object_hook=keep)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error


def entries(content: Any, name: str, fields: Mapping[str, type], *, path: Path) -> list[dict[str, Any]]:
    """The list `name` of a JSON file, whose entries must have these fields.

    fields: name -> type. InputError names the first entry without such a field, or with a text that cannot be
    a file name.
    """
    values = content.get(name) if isinstance(content, dict) else None
    if not isinstance(values, list):
        raise InputError(f"{path} has no list {name!r}; it must be an object with a list {name!r}")
    for index, entry in enumerate(values):
        for key, kind in fields.items():
            if not isinstance(entry, dict) or type(entry.get(key)) is not kind:
                raise InputError(f"{path}: {name}[{index}] has no {key!r} that is {TYPE_NAMES[kind]}")
            if kind is str and not _is_file_name(entry[key]):
                raise InputError(
                    f"{path}: {name}[{index}] has the {key} {entry[key]!r}, which cannot be a file name"
                )
    return values


def _is_file_name(text: str) -> bool:
    """Whether a file can have this name: no zero byte and no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def box(values: Any, *, where: str) -> tuple[float, float, float, float]:
    """(left, top, width, height) in pixels; whether the box lies in the image is checked after decoding."""
    if not isinstance(values, list) or len(values) != 4 or not all(_is_length(value) for value in values):
        raise InputError(f"{where}: bbox must be four numbers: left, top, width, height in pixels")
    left, top, width, height = map(float, values)
    return left, top, width, height


def _is_length(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < MAX_SIDE


def same_labels(card: Card, names: Iterable[str], *, where: str, or_else: str = "") -> None:
    """Raise InputError if the names in a file are not the card's labels, in the same order.

    or_else: what the card can say to go on all the same.
    """
    pairs = zip_longest(card.labels, names, fillvalue="(none)")
    for number, (expected, actual) in enumerate(pairs, start=1):
        if expected != actual:
            raise InputError(
                f"{where}: label {number} is {actual!r}, but {expected!r} in {card.file}; names and order"
                f" of the labels must agree{or_else}"
            )
