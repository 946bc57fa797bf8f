"""Write the card of own pictures, `datasets/NAME.toml`, and its lists, `data/NAME.source/`.

The card's format is list-files. The names of the lists have a digest of their content, so that changed labels
are another card, and a store that was made before is made again.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.base import structured_files
from bench.base.atomic_files import write_atomically
from bench.base.errors import InputError
from bench.data import cards
from bench.data.own_pictures import TEST, TRAIN
from bench.data.own_pictures.listed import Listed

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
PICTURES = "pictures"  # a link to the folder of the pictures
HEAD = "# Made by python -m bench.card. Texts may be changed; see docs/data.md."


@dataclass(frozen=True)
class CardText:
    """What a card says of its data set in words."""

    title: str
    source: str
    licence: str


def check_name(name: str, *, replace: bool) -> Path:
    """The card's file; InputError if the name cannot be one, or is taken and not to be replaced."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"--dataset {name!r}: give a name of small letters, digits, - and _, as in --dataset pets"
        )
    path = cards.card_file(name)
    if path.exists():
        if not structured_files.read_text(path).startswith(HEAD):
            raise InputError(
                f"{path} exists already and was not made by bench.card; give another --dataset NAME"
            )
        if not replace:
            raise InputError(
                f"{path} exists already; to make it anew, add --replace, or give another --dataset NAME"
            )
    return path


def write_card(listed: Listed, card: Path, *, pictures: Path, folder: Path, text: CardText) -> None:
    """Write the lists and a link to the pictures into the folder, then the card."""
    files = {
        f"{split}{name}": lines for split in (TRAIN, TEST) for name, lines in _lists(listed, split).items()
    }
    digest = hashlib.sha256(json.dumps(files).encode()).hexdigest()[:8]
    for name, lines in files.items():
        write_atomically(folder / f"{name}-{digest}.txt", "".join(f"{line}\n" for line in lines))
    _link(folder / PICTURES, pictures)
    options = {f"{name}": f"{name}-{digest}.txt" for name in files}
    write_atomically(card, _toml(listed, text, {**options, "root": PICTURES, "line": "path"}))
    cards.read(card)  # must be a card


def _lists(listed: Listed, split: str) -> dict[str, list[str]]:
    indices = [index for index, side in enumerate(listed.splits) if side == split]
    labels_NC = listed.labels_NC[indices]
    if not (listed.labels_NC == 0).any():
        labels_NC = (labels_NC == 1).astype(np.int8)  # nothing is unknown: plain 1 and 0
    lists = {
        "_list": [listed.files[index] for index in indices],
        "_labels": [" ".join(map(str, row)) for row in labels_NC.tolist()],
    }
    if any(listed.groups):
        lists["_groups"] = [listed.groups[index] for index in indices]
    return lists


def _link(link: Path, pictures: Path) -> None:
    target = pictures.resolve()
    try:
        if link.is_symlink():
            link.unlink()
        link.symlink_to(target)
    except OSError as error:
        raise InputError(f"cannot make the link {link} to {target}: {error.strerror}") from error


def _toml(listed: Listed, text: CardText, options: dict[str, str]) -> str:
    in_train_N = np.array(listed.splits) == TRAIN
    lines = [HEAD]
    lines += [f"title = {_quoted(text.title)}", f"summary = {_quoted(_summary(listed, text.title))}"]
    lines += ['format = "list-files"', "labels = ["]
    lines += [f"    {_quoted(label)}," for label in listed.labels]
    lines += ["]", f"source = {_quoted(text.source)}", f"licence = {_quoted(text.licence)}"]
    lines += ['exif = "turn"  # photographs are turned as their EXIF orientation says']
    for split, in_split_N in ((TRAIN, in_train_N), (TEST, ~in_train_N)):
        positives = int((listed.labels_NC[in_split_N] == 1).sum())
        lines += ["", f"[{split}]", f"images = {int(in_split_N.sum())}", f"positives = {positives}"]
    if (listed.labels_NC == 0).any():
        lines += ["", "[evaluation]", 'unspecified = "excluded"  # label 0 means: not known']
    lines += ["", "[options]", *(f"{name} = {_quoted(value)}" for name, value in options.items())]
    return "\n".join(lines) + "\n"


def _summary(listed: Listed, title: str) -> str:
    return f"{title[:40]}: {len(listed.labels)} labels, {len(listed.files):,} pictures of our own"


def _quoted(text: str) -> str:
    r"""A TOML string: JSON's, in which TOML reads every escape that JSON writes.

    >>> print(_quoted('a "b"'))
    "a \"b\""
    """
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
