"""The evaluation rules and result columns that data set cards, tables and records share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Top3 = Literal["forced", "thresholded"]
Unspecified = Literal["negative", "excluded"]

Column = tuple[str, str]  # group and metric: ("all", "mAP"), ("top3", "F1-C")
Values = Mapping[Column, float]

GROUPS = {"all": "All", "top3": "top-3"}  # group -> its heading in tables
ALL = ("mAP", "F1-C", "P-C", "R-C", "F1-O", "P-O", "R-O")  # in the order of the SRN paper
TOP3 = ALL[1:]
FURTHER = "further"  # the group of metrics that only bench.score --all-metrics computes


def column_name(column: Column, *, top3: str = GROUPS["top3"]) -> str:
    """The name of a column in one piece; `top3` is the word before the metrics of that group.

    >>> column_name(("all", "mAP")), column_name(("top3", "F1-C")), column_name(("top3", "F1-C"), top3="top3")
    ('mAP', 'top-3 F1-C', 'top3 F1-C')
    """
    group, metric = column
    return f"{top3} {metric}" if group == "top3" else metric


@dataclass(frozen=True)
class Evaluation:
    """How a data set is evaluated (reference: the evaluation protocol of each published table).

    profile: a name in `bench.scoring.profiles`.
    top3: an image's three highest logits count as predicted ("forced"), or those of the three that are
        positive ("thresholded"); None: no top-3 columns.
    unspecified: how F1, precision and recall treat label 0 if it means unspecified (average precision always
        ignores it); None: 0 means negative.
    result_files: "" if the test labels are public. Otherwise all test labels in the store are 0, and this is
        the name, with {label} in it, of the file for each label that is sent to the owner's evaluation
        server.
    """

    profile: str = "srn2017"
    top3: Top3 | None = None
    unspecified: Unspecified | None = None
    result_files: str = ""
