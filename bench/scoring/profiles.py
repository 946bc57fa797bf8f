"""The conventions behind published tables: one small frozen description each, evaluated by `metrics`.

One fixed set of predictions moves by up to six points between them, so a number is compared only with another
of the same profile. A convention that is missing here is one more entry of `PROFILES`.
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
    """What one family of papers computes, where p = 1 / (1 + exp(-logit)).

    `area`: AP of a class, the area under its precision-recall curve: "at positives", the mean precision at
        its positives' ranks; "envelope", that of the best precision from each rank on; or "11 points".
    `ties`: equal logits rank as they stand in the file, or "grouped", all of them as the last.
    `no_positives`: a class without a positive is left out of mAP, or counts as zero.
    `positive`: p of a label that counts as predicted; None: the profile has mAP and nothing else.
    `f1_c`: F1-C is the mean of the classes' F1, or the harmonic mean of P-C and R-C.
    `eps`: added to the counts and to recall. With 0, a class that is never predicted has P = 0 (0 / 0 is 0).
    `least_predicted`: a class never predicted counts as this many predictions, all wrong: P = 0, and P-O has
        so many more in its denominator.
    `top3`: what its own tables take of an image's three highest logits, all or those that are positive (the
        other rule is computed when asked for, but nobody published it); empty: no such columns.
    """

    used_by: str
    area: Area
    ties: Ties
    no_positives: Literal["left out", "zero"]
    positive: tuple[Literal[">", ">="], float] | None
    f1_c: Literal["mean", "harmonic"]
    eps: float = 0.0
    least_predicted: int = 0
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
        # As the released code of MCAR and CSRA counts. It differs for a class without positives only: there
        # MCAR's has AP 0 and CSRA's, like ML-GCN's, divides by zero; here it is left out.
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
    }
)


def get_profile(name: str) -> Profile:
    """The profile of that name; InputError lists the names there are.

    >>> find("mcar").positive
    ('>=', 0.6)
    """
    if name not in PROFILES:
        raise unknown("profile", name, PROFILES)
    return PROFILES[name]


def is_comparable(a: Profile, b: Profile, metric: str) -> bool:
    """Whether both compute a metric in one way, so that its values may be compared.

    >>> alike(find("mlgcn"), find("mcar"), "mAP"), alike(find("mlgcn"), find("mcar"), "F1-O")
    (True, False)
    """
    fields = ["area", "ties", "no_positives"]
    if metric != "mAP":
        fields = ["positive", "eps", "least_predicted", *(["f1_c"] if metric == "F1-C" else [])]
    return all(getattr(a, field) == getattr(b, field) for field in fields)


def describe(profile: Profile) -> str:
    """The whole description in one sentence, for the foot of a table.

    >>> in_words(find("voc2007")).partition(": ")[2]
    'AP 11 points, ties in file order, classes without positives left out; no F1'
    """
    empty = {"left out": "left out", "zero": "as 0"}[profile.no_positives]
    ties = {"file order": "in file order", "grouped": "grouped"}[profile.ties]
    ap = f"AP {profile.area}, ties {ties}, classes without positives {empty}"
    if profile.positive is None:
        return f"{profile.used_by}: {ap}; no F1"
    cut = " ".join(map(str, profile.positive))
    f1 = {"mean": "mean of the classes' F1", "harmonic": "harmonic mean of P-C and R-C"}[profile.f1_c]
    never = "P = 1" if profile.eps else "P = 0"
    never += f", P-O's denominator + {profile.least_predicted}" if profile.least_predicted else ""
    top3 = f"top-3 {' or '.join(profile.top3)}" if profile.top3 else "no top-3"
    return f"{profile.used_by}: {ap}; p {cut}; F1-C {f1}; class never predicted: {never}; {top3}"
