"""How predictions are scored: the rules and columns that cards, tables and records share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Top3 = Literal["forced", "thresholded"]
Unspecified = Literal["negative", "excluded"]

Column = tuple[str, str]  # ("all", "mAP"), ("top3", "F1-C"): group and metric
Values = Mapping[Column, float]

GROUPS = {"all": "All", "top3": "top-3"}
ALL = ("mAP", "F1-C", "P-C", "R-C", "F1-O", "P-O", "R-O")  # the paper's columns, in its order
TOP3 = ALL[1:]


@dataclass(frozen=True)
class Evaluation:
    """How the paper scores this data set (reference: the evaluation protocol of each published table).

    result_files: where its owner keeps the test labels, the file that is sent in for each label, with {label}
    in its name; all test labels in the store are then 0. "": test labels are there.
    """

    profile: str = "srn2017"
    top3: Top3 | None = None
    unspecified: Unspecified | None = None
    result_files: str = ""
