"""Evaluation profiles: how each family of papers computes mAP, precision, recall and F1.

The same predictions score up to six points differently under different profiles. So a number is only compared
with numbers of the same profile. To add a profile, add an entry to `PROFILES`; `metrics` evaluates it.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from bench.base.errors import unknown
from bench.base.protocol import Top3

Area = Literal["envelope", "at positives", "11 points"]
Ties = Literal["file order", "grouped"]


@dataclass(frozen=True)
class Profile:
    """How one family of papers computes its metrics, where p = 1 / (1 + exp(-logit)).

    `used_by`: the papers, for the reader.
    `area`: definition of AP, the area under a class's precision-recall curve (see `average_precision`).
    `ties`: equal logits rank in "file order"; if "grouped", all of them have the rank of the last.
    `no_positives`: a class without positives is "left out" of mAP, or its AP counts as "zero".
    `positive`: comparison and threshold of p for a predicted label; None: the profile defines mAP only.
    `f1_c`: F1-C is the "mean" of the classes' F1, or the "harmonic" mean of P-C and R-C.
    `eps`: added to the counts and to recall. If 0, a class that is never predicted has P = 0 (0 / 0 is 0).
    `least_predicted`: a class that is never predicted counts as this many wrong predictions: its P is 0,
        and the denominator of P-O grows by this number.
    `thresholds`: logits, one for each label, that count instead of the threshold in `positive`; empty in all
        published conventions (`bench.scoring.thresholds` fits them).
    `top3`: the top-3 rules used in the family's own tables: all three highest logits of an image ("forced"),
        or those of them that are positive ("thresholded"). A rule that is not listed can be computed, but no
        paper published it. Empty: the profile defines no top-3 columns.
    """

    used_by: str
    area: Area
    ties: Ties
    no_positives: Literal["left out", "zero"]
    positive: tuple[Literal[">", ">="], float] | None
    f1_c: Literal["mean", "harmonic"]
    eps: float = 0.0
    least_predicted: int = 0
    thresholds: tuple[float, ...] = ()
    top3: tuple[Top3, ...] = ()


PROFILES = MappingProxyType(
    {
        "srn2017": Profile(
            used_by="SRN (Zhu et al., CVPR 2017), Tables 1-3",
            area="envelope",
            ties="file order",
            no_positives="left out",
            positive=(">", 0.5),
            f1_c="mean",
            eps=2.0**-52,
            top3=("forced", "thresholded"),
        ),
        "mlgcn": Profile(
            used_by="ML-GCN (Chen et al., CVPR 2019), ADD-GCN, MSRN",
            area="at positives",
            ties="file order",
            no_positives="left out",
            positive=(">=", 0.5),
            f1_c="harmonic",
            least_predicted=1,
            top3=("thresholded",),
        ),
        # As in the released code of MCAR and CSRA, except for a class without positives: its AP is 0 in
        # MCAR's code, and the code of CSRA and ML-GCN divides by zero. Here such a class is left out.
        "mcar": Profile(
            used_by="MCAR (Gao and Zhou, TIP 2021)",
            area="at positives",
            ties="file order",
            no_positives="left out",
            positive=(">=", 0.6),
            f1_c="harmonic",
            least_predicted=1,
            top3=("thresholded",),
        ),
        "asl": Profile(
            used_by="ASL (Ridnik et al., ICCV 2021)",
            area="at positives",
            ties="file order",
            no_positives="zero",
            positive=(">", 0.8),
            f1_c="mean",
        ),
        "csra": Profile(
            used_by="CSRA (Zhu and Wu, ICCV 2021)",
            area="at positives",
            ties="file order",
            no_positives="left out",
            positive=(">=", 0.5),
            f1_c="harmonic",
            least_predicted=1,
            top3=("thresholded",),
        ),
        "sklearn": Profile(
            used_by="scikit-learn: average_precision_score, precision_recall_fscore_support(zero_division=0)",
            area="at positives",
            ties="grouped",
            no_positives="zero",
            positive=(">=", 0.5),
            f1_c="mean",
            top3=("thresholded",),
        ),
        "voc2007": Profile(
            used_by="PASCAL VOC 2007 (Everingham et al., IJCV 2010), classification",
            area="11 points",
            ties="file order",
            no_positives="left out",
            positive=None,
            f1_c="mean",
        ),
        # The released code computes mAP alone. It sorts by an unstable sort, so that its order of equal
        # scores is undefined, and divides by zero for a class without positives. Here they keep the order of
        # the file, and such a class is left out.
        "q2l": Profile(
            used_by="Query2Label (Liu et al., 2021), the function voc_mAP of its repository",
            area="envelope",
            ties="file order",
            no_positives="left out",
            positive=None,
            f1_c="mean",
        ),
    }
)


def get_profile(name: str) -> Profile:
    """The profile of that name; InputError with the list of names if there is none.

    >>> get_profile("mcar").positive
    ('>=', 0.6)
    """
    if name not in PROFILES:
        raise unknown("profile", name, PROFILES)
    return PROFILES[name]


def is_comparable(a: Profile, b: Profile, metric: str) -> bool:
    """Whether both profiles compute this metric in the same way, so that its values can be compared.

    >>> mlgcn, mcar = get_profile("mlgcn"), get_profile("mcar")
    >>> is_comparable(mlgcn, mcar, "mAP"), is_comparable(mlgcn, mcar, "F1-O")
    (True, False)
    """
    fields = ["area", "ties", "no_positives"]
    if metric != "mAP":
        fields = ["positive", "thresholds", "eps", "least_predicted", *(["f1_c"] if metric == "F1-C" else [])]
    return all(getattr(a, field) == getattr(b, field) for field in fields)


def describe(profile: Profile) -> str:
    """The profile in one sentence, for the notes below a table.

    >>> describe(get_profile("voc2007")).partition(": ")[2]
    'AP 11 points, ties in file order, classes without positives left out; no F1'
    """
    no_positives = {"left out": "left out", "zero": "as 0"}[profile.no_positives]
    ties = {"file order": "in file order", "grouped": "grouped"}[profile.ties]
    ap = f"AP {profile.area}, ties {ties}, classes without positives {no_positives}"
    if profile.positive is None:
        return f"{profile.used_by}: {ap}; no F1"
    threshold = "by label" if profile.thresholds else " ".join(map(str, profile.positive))
    f1 = {"mean": "mean of the classes' F1", "harmonic": "harmonic mean of P-C and R-C"}[profile.f1_c]
    never_predicted = "P = 1" if profile.eps else "P = 0"
    never_predicted += f", P-O's denominator + {profile.least_predicted}" if profile.least_predicted else ""
    top3 = f"top-3 {' or '.join(profile.top3)}" if profile.top3 else "no top-3"
    return (
        f"{profile.used_by}: {ap}; p {threshold}; F1-C {f1}; class never predicted: {never_predicted}; {top3}"
    )
