"""Word vectors of labels, from a text file as GloVe's: a word and its numbers on each line.

Legend: C labels, W numbers of a word vector.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from bench.training import InputError, unknown


def vectors(path: Path, labels: Sequence[str], *, size: int, spelled: Iterable[str] = ()) -> Tensor:
    """The labels' vectors (C, W): of a label of several words the mean of the words' vectors.

    spelled: `label=words`, for labels whose own words are not in the file. Raises InputError for a file whose
    vectors are no W numbers, and names every label with a word that the file does not have.
    """
    words = words_of(labels, spelled)
    found = read(path, {word for mine in words.values() for word in mine}, size=size)
    missing = [label for label, mine in words.items() if not mine or not found.keys() >= set(mine)]
    if missing:
        raise InputError(
            f"{path} has no vector for: {', '.join(missing)}; "
            f"say which of its words stand for a label: --words '{missing[0]}=WORD WORD'"
        )
    return torch.stack([torch.tensor([found[word] for word in mine]).mean(dim=0) for mine in words.values()])


def words_of(labels: Sequence[str], spelled: Iterable[str] = ()) -> dict[str, list[str]]:
    """The words of each label, in lower case.

    >>> words_of(["traffic light", "T-shirt", "longHair", "tvmonitor"], ["tvmonitor=tv monitor"])["longHair"]
    ['long', 'hair']
    """
    said = dict(_pair(text, labels) for text in spelled)
    apart = {label: re.sub(r"(?<=[a-z])(?=[A-Z])", " ", said.get(label, label)) for label in labels}
    return {label: re.findall(r"[^\W_]+", text.lower()) for label, text in apart.items()}


def _pair(text: str, labels: Sequence[str]) -> tuple[str, str]:
    label, equals, words = text.partition("=")
    if not equals:
        raise InputError(f"words={text}: give it as LABEL=WORD WORD")
    if label not in labels:
        raise unknown("label of words", label, labels)
    return label, words


def read(path: Path, wanted: set[str], *, size: int) -> Mapping[str, list[float]]:
    """The vectors of those of the wanted words that the file has; it is read as far as they are found.

    Only their lines are looked at beyond the first blank: files have a gigabyte and more.
    """
    ahead = {word.encode() for word in wanted}
    found = {}
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            word = line[: line.find(b" ")]
            if word in ahead:
                found[word.decode()] = _numbers(line, size, f"{path}, line {number}, {word.decode()!r}")
                ahead.remove(word)
            if not ahead:
                break
    return found


def _numbers(line: bytes, size: int, where: str) -> list[float]:
    """What follows the word on a line."""
    try:
        numbers = [float(field) for field in line.split()[1:]]
    except ValueError as mistake:
        raise InputError(f"{where}: not a word and its numbers ({mistake})") from mistake
    if len(numbers) != size:
        raise InputError(f"{where}: {len(numbers)} numbers, not {size}; --word-size says how many there are")
    if not all(map(math.isfinite, numbers)):
        raise InputError(f"{where}: its numbers are not finite")
    return numbers
