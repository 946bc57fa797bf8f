"""Score arrays of predictions from Python: `bench.evaluate`, by the functions that `bench.score` uses.

Legend: N images, C labels.
"""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, Unpack, get_args

import numpy as np
from numpy.typing import ArrayLike

from bench.base.errors import InputError, unknown
from bench.base.protocol import Evaluation, Top3, Unspecified, column_name
from bench.scoring import alignment, doubts, further, profiles
from bench.scoring.alignment import AlignedPredictions
from bench.scoring.label_checks import check_label_classes
from bench.scoring.matrices import Array, checked, first_wrong_entry, is_no_probability
from bench.scoring.profiles import Profile

# How a message of the commands says it -> how Python says it.
IN_PYTHON = {
    "--unspecified negative or excluded": 'unspecified="negative" or "excluded"',
    "add --unspecified none": "leave out unspecified",
    "add --probabilities": "add probabilities=True",
}


class Rules(TypedDict, total=False):
    """How labels are counted besides the profile, as `bench.score --top3` and `--unspecified` say it."""

    top3: Top3 | None
    unspecified: Unspecified | None


@dataclass(frozen=True)
class Scores(Mapping[str, float]):
    """The columns of a table for one set of predictions: name -> value.

    In percent, but coverage in labels; `print` shows them. A column that the profile or the data do not
    define is not there. AP: of each label, NaN without positives. remarks: what a reader of the numbers must
    know about the data.
    """

    profile: str
    images: int
    columns: Mapping[str, float]
    AP: Mapping[str, float] = field(repr=False)
    remarks: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> float:
        if name not in self.columns:
            raise KeyError(f"no column {name!r} by profile {self.profile}; there are: {', '.join(self)}")
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __str__(self) -> str:
        width = max(map(len, self.columns))
        head = f"{self.profile}: {self.images:,} images, {len(self.AP)} labels, in percent"
        unit = {"coverage": " labels"}  # all others are in percent
        lines = [f"{name:<{width}} {value:7.2f}{unit.get(name, '')}" for name, value in self.items()]
        return "\n".join([head, *lines, *self.remarks])


def evaluate(
    logits_NC: ArrayLike,
    labels_NC: ArrayLike,
    *,
    profile: str | Profile = "srn2017",
    names: Sequence[str] | None = None,
    probabilities: bool = False,
    further: bool = False,
    **rules: Unpack[Rules],
) -> Scores:
    """Score the predictions of a whole data set as `python -m bench.score` does; torch is not needed.

    Both matrices: N x C, as arrays, nested lists or tensors. Labels: 1 is positive, 0 and -1 are negative;
    with `unspecified`, 0 means unspecified. profile: a name in `bench.scoring.profiles`, or a Profile.
    names: of the labels; None: they are numbered. probabilities: the first matrix holds probabilities.
    further: also AUROC, ranking loss, calibration and others (`bench.score --all-metrics`). top3: None,
    "forced" or "thresholded"; unspecified: None, "negative" or "excluded"; see `metrics.evaluate`.

    InputError (a ValueError) for matrices of other shapes, an entry that is not finite, no probability or no
    label, labels that are all of one kind, and unknown names.

    >>> scores = evaluate([[2.0, -1.0], [-0.5, 0.5]], [[1, 0], [0, 1]], names=["cat", "dog"])
    >>> scores["mAP"], dict(scores.AP)
    (100.0, {'cat': 100.0, 'dog': 100.0})
    """
    chosen = profiles.get_profile(profile) if isinstance(profile, str) else profile
    title = profile if isinstance(profile, str) else "a profile of your own"
    try:
        evaluation = _evaluation(**rules)
        subject = _subject(logits_NC, labels_NC, names, probabilities=probabilities)
        check_label_classes(subject.labels_NC, evaluation.unspecified, where="labels")
        values, AP_C = alignment.score_predictions(subject, chosen, evaluation)
    except InputError as error:
        raise InputError(_in_python(str(error))) from error
    columns = {column_name(column): value for column, value in values.items()}
    if further:
        columns |= _further_columns(subject, chosen, evaluation)
    AP = dict(zip(subject.names, AP_C.tolist(), strict=True))
    remarks = tuple(map(_in_python, _remarks(subject, chosen, evaluation, all_metrics=further)))
    return Scores(title, len(subject.labels_NC), columns, AP, remarks)


def _evaluation(*, top3: Top3 | None = None, unspecified: Unspecified | None = None) -> Evaluation:
    for kind, given, choices in (("top3", top3, Top3), ("unspecified", unspecified, Unspecified)):
        if given is not None and given not in get_args(choices):
            raise unknown(kind, str(given), get_args(choices))
    return Evaluation(top3=top3, unspecified=unspecified)


def _subject(
    logits_NC: ArrayLike, labels_NC: ArrayLike, names: Sequence[str] | None, *, probabilities: bool
) -> AlignedPredictions:
    logits, labels = checked(_array(logits_NC), _array(labels_NC))
    if probabilities:
        if (entry := first_wrong_entry(logits, is_no_probability)) is not None:
            row, column = entry
            raise InputError(
                f"row {row}, column {column} (counted from 0): {logits[entry]} is not a probability, from 0 "
                "to 1; leave out probabilities=True for logits"
            )
        logits = alignment.as_logits(logits)
    chosen = tuple(map(str, range(labels.shape[1]) if names is None else names))
    if isinstance(names, str) or len(chosen) != labels.shape[1] or len(set(chosen)) != len(chosen):
        raise InputError(f"names: give {labels.shape[1]} different names, one for each column")
    looks_like = not probabilities and first_wrong_entry(logits, is_no_probability) is None
    notes = (alignment.LOOKS_LIKE_PROBABILITIES,) if looks_like else ()
    int8_NC = labels.astype(np.int8)
    return AlignedPredictions(Path(), logits, int8_NC, names=chosen, ids=(), notes=notes)


def _array(values: Any) -> Any:
    """The values as numpy reads them; of a tensor a copy on the CPU, without its gradient."""
    torch = sys.modules.get("torch")  # who gives a tensor has imported it
    if torch is None or not isinstance(values, torch.Tensor):
        return values
    on_cpu = values.detach().cpu()
    return (on_cpu.float() if on_cpu.dtype == torch.bfloat16 else on_cpu).numpy()


def _further_columns(subject: AlignedPredictions, rules: Profile, evaluation: Evaluation) -> dict[str, float]:
    data: tuple[Array, Array] = subject.logits_NC, subject.labels_NC
    values = further.general(*data, evaluation) | further.of_decisions(*data, rules, evaluation)
    return {name: value for name, value in values.items() if not math.isnan(value)}


def _remarks(
    subject: AlignedPredictions, rules: Profile, evaluation: Evaluation, *, all_metrics: bool
) -> Iterator[str]:
    yield from alignment.label_remarks(subject, evaluation)
    yield from subject.notes
    for remark in doubts.tie_remarks(subject.logits_NC, subject.labels_NC, rules, evaluation):
        yield f"{remark}."
    if all_metrics:
        remarks = further.tie_remarks(subject.logits_NC, subject.labels_NC, evaluation)
        yield from (f"{remark}." for remark in remarks)


def _in_python(text: str) -> str:
    for said, meant in IN_PYTHON.items():
        text = text.replace(said, meant)
    return text
