"""From pictures as people have them to a data set card: tables of tags, folders per label, COCO exports.

A source of labels becomes `Tags`; `listed.list_pictures` finds the pictures that it names; `drawn_split`
draws the test set; `card_files` writes the card and its lists. Nothing is guessed in silence: `said` has a
line for everything that was found out, and where two readings are possible an InputError names the option
that decides.

Legend: N rows of the source of labels, or pictures; C labels.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

TRAIN, TEST = "train", "test"


@dataclass
class Tags:
    """What a source of labels says of its pictures.

    origin: the source's name in messages. names: of the pictures, as the source writes them. labels_NC: 1
    positive, -1 negative, 0 unknown. groups, splits: by picture, or empty; group "": the picture alone.
    folders: the folder, seen from that of the pictures, in which each name is looked for first, or empty.
    joins: whether several rows of one picture are joined; if not, they must say the same. also_used:
    files that are used under another name. said: what was found out about the source.
    """

    origin: str
    labels: tuple[str, ...]
    names: list[str]
    labels_NC: NDArray[np.int8]
    groups: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    joins: bool = False
    also_used: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
