"""Word vectors of labels: from a text file like GloVe's, a word and its numbers on each line, or learned.

Legend: C labels, W numbers of a word vector.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.training import File, InputError, unknown

# VOC's labels that are two words in one.
VOC_WORDS = ("diningtable=dining table", "pottedplant=potted plant", "tvmonitor=tv monitor")


class FixedVectors(nn.Module):
    """Word vectors (C, W) that are not trained, under the name `weight` that learned ones have too."""

    weight: Tensor

    def __init__(self, weight_CW: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight_CW)


class LearnedVectors(nn.Embedding):
    """Vectors that are trained; they start normal, with this standard deviation."""

    def __init__(self, labels: int, size: int, spread: float) -> None:
        self.spread = spread
        super().__init__(labels, size)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=self.spread)


def embedding(
    labels: Sequence[str], file: File, *, size: int, spelled: Iterable[str] = (), spread: float = 1.0
) -> LearnedVectors | FixedVectors:
    """A module whose `weight` (C, W) are the labels' vectors: those of the file, or without one learned.

    spread: see `LearnedVectors`; for the other arguments and errors see `vectors`.
    """
    if not file:
        return LearnedVectors(len(labels), size, spread)
    return FixedVectors(vectors(Path(file.path), labels, size=size, spelled=spelled))


def vectors(path: Path, labels: Sequence[str], *, size: int, spelled: Iterable[str] = ()) -> Tensor:
    """The vectors of the labels (C, W): for a label of several words the mean of the words' vectors.

    size: W. spelled: texts `label=words`, for labels whose own words are not in the file. Raises InputError
    for a file whose vectors are not W numbers, and for labels with a word that the file does not have.
    """
    words_by_label = words_of(labels, spelled)
    vector_of = read(path, {word for words in words_by_label.values() for word in words}, size=size)
    missing = [
        label for label, words in words_by_label.items() if not words or not vector_of.keys() >= set(words)
    ]
    if missing:
        raise InputError(
            f"{path} has no vector for: {', '.join(missing)}; "
            f"give words that it has for each of them: --words '{missing[0]}=WORD WORD'"
        )
    return torch.stack(
        [torch.tensor([vector_of[word] for word in words]).mean(dim=0) for words in words_by_label.values()]
    )


def words_of(labels: Sequence[str], spelled: Iterable[str] = ()) -> dict[str, list[str]]:
    """The words of each label, in lower case; spelled: texts `label=words` that replace a label's own words.

    >>> words_of(["traffic light", "T-shirt", "longHair", "tvmonitor"], ["tvmonitor=tv monitor"])["longHair"]
    ['long', 'hair']
    """
    replaced = dict(_label_and_words(text, labels) for text in spelled)
    spaced = {label: re.sub(r"(?<=[a-z])(?=[A-Z])", " ", replaced.get(label, label)) for label in labels}
    return {label: re.findall(r"[^\W_]+", text.lower()) for label, text in spaced.items()}


def _label_and_words(text: str, labels: Sequence[str]) -> tuple[str, str]:
    label, equals, words = text.partition("=")
    if not equals:
        raise InputError(f"words={text}: give it as LABEL=WORD WORD")
    if label not in labels:
        raise unknown("label of words", label, labels)
    return label, words


def read(path: Path, wanted: set[str], *, size: int) -> Mapping[str, list[float]]:
    """The vectors of the wanted words that the file has.

    Reading stops at the last of them, and other lines are not split: such files have gigabytes.
    """
    missing = {word.encode() for word in wanted}
    vector_of = {}
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            word = line[: line.find(b" ")]
            if word in missing:
                vector_of[word.decode()] = _numbers(line, size, f"{path}, line {number}, {word.decode()!r}")
                missing.remove(word)
            if not missing:
                break
    return vector_of


def _numbers(line: bytes, size: int, where: str) -> list[float]:
    """The numbers after the word on a line; `where` names the line in errors."""
    try:
        numbers = [float(field) for field in line.split()[1:]]
    except ValueError as error:
        raise InputError(
            f"{where}: not a word and its numbers ({error}); give a file like GloVe's"
        ) from error
    if len(numbers) != size:
        raise InputError(
            f"{where}: {len(numbers)} numbers, not {size}; set --word-size to the number in each line"
        )
    if not all(map(math.isfinite, numbers)):
        raise InputError(f"{where}: its numbers are not finite; give another file")
    return numbers
