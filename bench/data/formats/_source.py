"""The owner's folder and what readers find in it; every fault names the file and says what to do."""

import json
from collections.abc import Callable, Iterable, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from bench.base.errors import InputError
from bench.data.cards import Card

LONGEST = 1e9  # pixels, of any side of a box
KINDS = {str: "text", int: "a whole number", list: "a list"}


def folder(card: Card, source: Path | None) -> Path:
    """The source folder; InputError says what to get, from whom, and where to put it, if it is not there."""
    if source is None:
        raise InputError(f"the files of {card.title} are needed; {how_to_get(card)}")
    if not source.is_dir():
        raise InputError(f"{source} is not a folder; {how_to_get(card)}")
    return source


def how_to_get(card: Card) -> str:
    """What to get, from whom, and where to put it, as the end of a sentence; or how to have all fetched."""
    fetch = f"; or have it fetched: python -m bench.prepare --dataset {card.name} --download"
    what = card.obtain or f"get them from {card.source}"
    whole = card.archives and not card.not_offered
    return f"{what}; then give that folder: --source DIR{fetch if whole else ''}"


def find(card: Card, root: Path, *choices: str) -> Path:
    """The first of the paths that is there; InputError names them all and says where to get them."""
    for choice in choices:
        if (root / choice).exists():
            return root / choice
    raise InputError(f"{root} has no {' and no '.join(choices)}; {how_to_get(card)}")


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without the blanks around them; blank lines at its end do not count."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise InputError(f"{path} cannot be read as text: {fault}") from fault
    if "\0" in text:
        raise InputError(f"{path} cannot be read as text: it has bytes that are 0; UTF-8 is expected")
    return [line.strip() for line in text.rstrip().splitlines()]


def read_list(path: Path) -> list[str]:
    """The lines of a list of images, at least one; InputError names the first that is empty."""
    lines = read_lines(path) or [""]
    if "" in lines:
        raise InputError(f"{path}: line {lines.index('') + 1} is empty; an image is expected on every line")
    return lines


def read_json(path: Path, *, keep: Callable[[dict[str, Any]], dict[str, Any]] | None = None) -> Any:
    """What a JSON file holds; `keep` makes each object smaller as soon as it is read."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_hook=keep)
    except (OSError, ValueError, RecursionError) as fault:
        raise InputError(f"{path} is not JSON: {fault}") from fault


def entries(content: Any, name: str, fields: Mapping[str, type], *, path: Path) -> list[dict[str, Any]]:
    """The list `name` of a JSON file; InputError names the first entry without fields of these types, or
    with text that no file can be called.
    """
    found = content.get(name) if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise InputError(f"{path} has no list {name!r}; an object with {name!r} is expected")
    for place, entry in enumerate(found):
        for key, kind in fields.items():
            if not isinstance(entry, dict) or type(entry.get(key)) is not kind:
                raise InputError(f"{path}: {name}[{place}] has no {key!r} that is {KINDS[kind]}")
            if kind is str and not _is_name(entry[key]):
                raise InputError(
                    f"{path}: {name}[{place}] has the {key} {entry[key]!r}; no file has such a name"
                )
    return found


def _is_name(text: str) -> bool:
    """Whether a file system takes it: neither with a zero nor with half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def box(values: Any, *, where: str) -> tuple[float, float, float, float]:
    """Left, top, width, height in pixels; that they meet the image is seen when it is opened."""
    if not isinstance(values, list) or len(values) != 4 or not all(_is_length(value) for value in values):
        raise InputError(f"{where}: bbox must be four numbers: left, top, width, height in pixels")
    left, top, width, height = map(float, values)
    return left, top, width, height


def _is_length(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < LONGEST


def same_labels(card: Card, names: Iterable[str], *, where: str) -> None:
    """InputError for the first label of the owner's that is not the card's in that place."""
    for place, (mine, theirs) in enumerate(zip_longest(card.labels, names, fillvalue="(none)"), start=1):
        if mine != theirs:
            raise InputError(f"{where}: label {place} is {theirs!r}, in {card.file} {mine!r}; order counts")
