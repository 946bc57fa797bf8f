"""How predictions are scored: the rules and columns that cards, tables and records share."""

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


def column_name(column: Column, *, top3: str = GROUPS["top3"]) -> str:
    """The name of a column in one piece; `top3` is the word before the metrics of that group.

    >>> column_name(("all", "mAP")), column_name(("top3", "F1-C")), column_name(("top3", "F1-C"), top3="top3")
    ('mAP', 'top-3 F1-C', 'top3 F1-C')
    """
    group, metric = column
    return metric if group == "all" else f"{top3} {metric}"


@dataclass(frozen=True)
class Evaluation:
    """How the paper scores this data set (source: the evaluation protocol of each published table).

    profile: key of `bench.scoring.profiles.PROFILES`. top3: how an image's three labels are chosen; None: the
    data set has no top-3 columns. unspecified: how F1 counts labels 0; None: as negatives, like -1.
    result_files: for a data set whose owner keeps the test labels, the name of the file to submit for each
    label, with {label} in it; the test labels in the store are then all 0. Empty where test labels are known.
    """

    profile: str = "srn2017"
    top3: Top3 | None = None
    unspecified: Unspecified | None = None
    result_files: str = ""
