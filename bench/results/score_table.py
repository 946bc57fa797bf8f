"""The table of `bench.score`: one row per profile, and what else was asked for beside them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.base import lists
from bench.base.protocol import ALL, TOP3, Column, Evaluation
from bench.results import further_columns, resampling, row_marks, table_formats
from bench.results.table_model import Table, TableRow
from bench.scoring import alignment, bootstrap, doubts, further, profiles, thresholds
from bench.scoring.alignment import AlignedPredictions
from bench.scoring.bootstrap import LEVEL
from bench.scoring.matrices import Array
from bench.scoring.profiles import Profile

ORACLE = (
    "the threshold, of p = 0.01, 0.02, ..., 0.99 and the profile's own, with the highest F1-C + F1-O on the "
    "scored images themselves; some papers print this, but do not compare it with other rows"
)
FITTED = "each label has a threshold of its own, fitted on the {images:,} held-out images of {file}: {rule}"


@dataclass(frozen=True)
class ProfileRow:
    """One row to compute: a profile, or the same profile with other thresholds, which the marks explain."""

    profile: str
    rules: Profile
    marks: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        threshold = (
            "by label" if self.rules.thresholds else f"p {' '.join(map(str, self.rules.positive or ()))}"
        )
        return f"{self.profile}, {threshold}" if self.marks else self.profile


@dataclass(frozen=True)
class Further:
    """What is computed beside the row of each profile.

    oracle: a row at the best threshold. replicates > 0: bootstrap intervals. all_metrics: the further
    metrics. held_out: predictions of held-out images, for a row with thresholds fitted on them.
    """

    oracle: bool = False
    replicates: int = 0
    all_metrics: bool = False
    held_out: AlignedPredictions | None = None


def build(
    subject: AlignedPredictions, wanted: Sequence[str], *, evaluation: Evaluation, more: Further
) -> Table:
    """One row per profile, and what `more` asks for."""
    lines = list(_lines(subject, wanted, evaluation, more))
    columns: list[Column] = [("all", name) for name in ALL]
    columns += [("top3", name) for name in TOP3] if evaluation.top3 else []
    table = Table(
        dataset=subject.dataset,
        about=(subject.path.name, _about(subject, evaluation)),
        columns=tuple(columns),
        rows=tuple(_row(subject, line, evaluation, more) for line in lines),
        notes=tuple(_notes(subject, wanted, evaluation, more, lines)),
        records=f"predictions of {subject.path}",
        lines=("low", "high") if more.replicates else (),
    )
    if not more.all_metrics:
        return table
    return further_columns.with_further_metrics(table, [line.rules for line in lines], subject, evaluation)


def _lines(
    subject: AlignedPredictions, wanted: Sequence[str], evaluation: Evaluation, more: Further
) -> Iterator[ProfileRow]:
    fit = _fit(more.held_out, evaluation) if more.held_out else None
    for name in wanted:
        rules = profiles.get_profile(name)
        yield ProfileRow(name, rules)
        if fit and rules.positive:
            thresholds_C, meaning = fit
            yield ProfileRow(name, thresholds.with_thresholds(rules, thresholds_C), {"fitted": meaning})
        if more.oracle and rules.positive:
            best = thresholds.at_best_threshold(subject.logits_NC, subject.labels_NC, rules, evaluation)
            yield ProfileRow(name, best, {"oracle": ORACLE})


def _fit(held_out: AlignedPredictions, evaluation: Evaluation) -> tuple[Array, str]:
    """The thresholds of the labels, and what they are, in words."""
    thresholds_C = thresholds.fit_thresholds(
        held_out.logits_NC, held_out.labels_NC, unspecified=evaluation.unspecified
    )
    facts = thresholds.summary(thresholds_C, held_out.names, images=len(held_out.logits_NC))
    meaning = FITTED.format(rule=facts["rule"], images=facts["held_out_images"], file=held_out.path.name)
    if rare := thresholds.unfitted(facts):
        meaning += (
            f"; the profile's threshold for {len(rare)} of {len(held_out.names)} labels, with less than "
            f"{thresholds.LEAST} positives or negatives there: {lists.in_line(rare)}"
        )
    return thresholds_C, meaning


def _row(subject: AlignedPredictions, line: ProfileRow, evaluation: Evaluation, more: Further) -> TableRow:
    values, AP_C = alignment.score_predictions(subject, line.rules, evaluation)
    APs = zip(subject.names, AP_C.tolist(), strict=True)
    harmonic = {column: table_formats.HARMONIC for column in values if column[1] == "F1-C"}
    counts = doubts.empty_classes(subject.logits_NC, subject.labels_NC, line.rules, evaluation)
    empty = row_marks.empty_class_remarks(counts, len(subject.names))
    threshold: dict[str, Any] = {"threshold": line.rules.positive[1]} if line.rules.positive else {}
    if line.rules.thresholds:
        threshold = {"thresholds": dict(zip(subject.names, line.rules.thresholds, strict=True))}
    return TableRow(
        source="scored",
        method=subject.path.stem,
        title=line.title,
        values=values,
        lines=_interval(subject, line, evaluation, more) if more.replicates else {},
        marks=line.marks,
        remarks=(harmonic if line.rules.f1_c == "harmonic" else {}) | empty,
        facts={
            "profile": line.profile,
            **threshold,
            "AP": {name: None if math.isnan(AP) else AP for name, AP in APs},
        },
    )


def _interval(
    subject: AlignedPredictions, line: ProfileRow, evaluation: Evaluation, more: Further
) -> dict[str, dict[Column, float]]:
    """Lower and upper end ("low", "high") of the bootstrap interval of each column."""
    resampled = resampling.replicate(
        subject, line.rules, evaluation, more.replicates, title=line.title, all_metrics=more.all_metrics
    ).values
    ends = {column: bootstrap.interval(values_L) for column, values_L in resampled.items()}
    return {
        name: {column: float(pair[end]) for column, pair in ends.items() if not math.isnan(pair[end])}
        for end, name in enumerate(("low", "high"))
    }


def _about(subject: AlignedPredictions, evaluation: Evaluation) -> str:
    images, labels = subject.logits_NC.shape
    facts = [f"{images:,} images, {labels} labels"]
    facts += [subject.title] if subject.title else []
    facts += ["in percent"]
    facts += [table_formats.TOP3_RULES[evaluation.top3]] if evaluation.top3 else []
    facts += [f"unspecified labels: {evaluation.unspecified}"] if evaluation.unspecified else []
    return f"{'; '.join(facts)}."


def _notes(
    subject: AlignedPredictions,
    wanted: Sequence[str],
    evaluation: Evaluation,
    more: Further,
    lines: Sequence[ProfileRow],
) -> Iterator[str]:
    yield from (f"{name}: {profiles.describe(profiles.get_profile(name))}." for name in wanted)
    yield from warnings(subject, wanted, evaluation, more)
    marks = {mark: meaning for line in lines for mark, meaning in line.marks.items()}
    yield from (f"{mark}: {meaning}." for mark, meaning in marks.items())
    if more.replicates:
        brackets = ", as are the brackets" if more.all_metrics else ""
        yield f"2.5 %, 97.5 %: {LEVEL} % interval from {more.replicates:,} bootstrap replicates{brackets}."


def warnings(
    subject: AlignedPredictions, wanted: Sequence[str], evaluation: Evaluation, more: Further
) -> Iterator[str]:
    """What a reader of the numbers must know about the files."""
    yield from alignment.label_remarks(subject, evaluation)
    yield from subject.notes
    for name in wanted:
        rules = profiles.get_profile(name)
        for remark in doubts.tie_remarks(subject.logits_NC, subject.labels_NC, rules, evaluation):
            yield f"{name}: {remark}."
    if more.all_metrics:
        remarks = further.remarks(subject.logits_NC, subject.labels_NC, subject.names, evaluation)
        yield from (f"{remark}." for remark in remarks)
    if more.held_out:
        yield from (f"{more.held_out.path.name}: {note}" for note in more.held_out.notes)
