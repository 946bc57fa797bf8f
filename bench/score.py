"""Score predictions from any program by one evaluation profile, or by several for comparison.

`python -m bench.score --predictions FILE --labels FILE --profile all`
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.base.cli import Parser, add_output, deliver, run_command
from bench.base.errors import InputError
from bench.base.protocol import ALL, TOP3, Column, Evaluation
from bench.results import ground_truth, row_marks, table_formats
from bench.results.table_model import Table, TableRow
from bench.scoring import alignment, bootstrap, doubts, metrics, profiles
from bench.scoring.alignment import AlignedPredictions
from bench.scoring.bootstrap import LEVEL
from bench.scoring.profiles import Profile

THRESHOLDS = tuple(
    hundredth / 100 for hundredth in range(1, 100)
)  # probabilities that --oracle-thresholds tries
ORACLE = (
    "the threshold, of p = 0.01, 0.02, ..., 0.99 and the profile's own, with the highest F1-C + F1-O on the "
    "scored images themselves; some papers print this, but do not compare it with other rows"
)


@dataclass(frozen=True)
class ProfileRow:
    """One row to compute: a profile, or the same profile at its best threshold (oracle)."""

    profile: str
    rules: Profile
    is_oracle: bool = False

    @property
    def title(self) -> str:
        threshold = " ".join(map(str, self.rules.positive or ()))
        return f"{self.profile}, p {threshold}" if self.is_oracle else self.profile


def build(
    subject: AlignedPredictions,
    wanted: Sequence[str],
    *,
    evaluation: Evaluation,
    oracle: bool = False,
    replicates: int = 0,
) -> Table:
    """One row per profile; `oracle`: another at the best threshold; replicates > 0: bootstrap intervals."""
    rows = [
        _row(subject, line, evaluation, replicates) for line in _lines(subject, wanted, evaluation, oracle)
    ]
    columns: list[Column] = [("all", name) for name in ALL]
    columns += [("top3", name) for name in TOP3] if evaluation.top3 else []
    return Table(
        dataset=subject.dataset,
        about=(subject.path.name, _about(subject, evaluation)),
        columns=tuple(columns),
        rows=tuple(rows),
        notes=tuple(_notes(subject, wanted, evaluation, oracle=oracle, replicates=replicates)),
        records=f"predictions of {subject.path}",
        lines=("low", "high") if replicates else (),
    )


def _lines(
    subject: AlignedPredictions, wanted: Sequence[str], evaluation: Evaluation, oracle: bool
) -> Iterator[ProfileRow]:
    for name in wanted:
        rules = profiles.get_profile(name)
        yield ProfileRow(name, rules)
        if oracle and rules.positive:
            yield ProfileRow(name, at_best_threshold(subject, rules, evaluation), is_oracle=True)


def at_best_threshold(subject: AlignedPredictions, rules: Profile, evaluation: Evaluation) -> Profile:
    """The profile with the threshold of the highest F1-C + F1-O on the subject; of equal ones the lowest."""
    if rules.positive is None:
        return rules
    compare, own = rules.positive

    def f1_sum(p: float) -> float:
        trial = replace(rules, positive=(compare, p))
        counts_3C = metrics.count_outcomes(
            subject.logits_NC,
            subject.labels_NC,
            metrics.threshold_test(compare, p),
            excluded=evaluation.unspecified == "excluded",
        )
        values = metrics.f1_columns(counts_3C, trial)
        return float(values["F1-C"] + values["F1-O"])

    return replace(rules, positive=(compare, max(sorted({own, *THRESHOLDS}), key=f1_sum)))


def _row(subject: AlignedPredictions, line: ProfileRow, evaluation: Evaluation, replicates: int) -> TableRow:
    values, AP_C = alignment.score_predictions(subject, line.rules, evaluation)
    APs = zip(subject.names, AP_C.tolist(), strict=True)
    harmonic = {column: table_formats.HARMONIC for column in values if column[1] == "F1-C"}
    counts = doubts.empty_classes(subject.logits_NC, subject.labels_NC, line.rules, evaluation)
    empty = row_marks.empty_class_remarks(counts, len(subject.names))
    threshold = {"threshold": line.rules.positive[1]} if line.rules.positive else {}
    return TableRow(
        source="scored",
        method=subject.path.stem,
        title=line.title,
        values=values,
        lines=_interval(subject, line, evaluation, replicates) if replicates else {},
        marks={"oracle": ORACLE} if line.is_oracle else {},
        remarks=(harmonic if line.rules.f1_c == "harmonic" else {}) | empty,
        facts={
            "profile": line.profile,
            **threshold,
            "AP": {name: None if math.isnan(AP) else AP for name, AP in APs},
        },
    )


def _interval(
    subject: AlignedPredictions, line: ProfileRow, evaluation: Evaluation, replicates: int
) -> dict[str, dict[Column, float]]:
    """Lower and upper end ("low", "high") of the bootstrap interval of each column."""
    blocks = bootstrap.draw_weights(len(subject.logits_NC), replicates)
    weights = bootstrap.with_progress(blocks, line.title, replicates)
    resampled = bootstrap.resample(
        subject.logits_NC, subject.labels_NC, weights, rules=line.rules, protocol=evaluation
    )
    ends = {column: bootstrap.interval(values_L) for column, values_L in resampled.values.items()}
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
    *,
    oracle: bool,
    replicates: int,
) -> Iterator[str]:
    yield from (f"{name}: {profiles.describe(profiles.get_profile(name))}." for name in wanted)
    yield from _warnings(subject, wanted, evaluation)
    if oracle:
        yield f"oracle: {ORACLE}."
    if replicates:
        yield f"2.5 %, 97.5 %: {LEVEL} % interval from {replicates:,} bootstrap replicates."


def _warnings(subject: AlignedPredictions, wanted: Sequence[str], evaluation: Evaluation) -> Iterator[str]:
    """What a reader of the numbers must know about the files."""
    yield from alignment.label_remarks(subject, evaluation)
    yield from subject.notes
    for name in wanted:
        rules = profiles.get_profile(name)
        if remark := doubts.tie_remark(subject.logits_NC, subject.labels_NC, rules, evaluation):
            yield f"{name}: {remark}."


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if args.bootstrap and args.bootstrap < bootstrap.MIN_REPLICATES:
        raise InputError(
            f"--bootstrap {args.bootstrap} is too few; give at least {bootstrap.MIN_REPLICATES}, better 1000"
        )
    subject = ground_truth.load_with_truth(
        args.predictions,
        labels=args.labels,
        dataset=args.dataset,
        probabilities=args.probabilities,
        data=args.data,
    )
    evaluation = ground_truth.chosen_evaluation(subject, top3=args.top3, unspecified=args.unspecified)
    wanted = _profiles(args.profile or evaluation.profile)
    table = build(
        subject,
        wanted,
        evaluation=evaluation,
        oracle=args.oracle_thresholds,
        replicates=args.bootstrap,
    )
    if args.format in ("csv", "json"):  # formats for programs, whose reader may look at the numbers alone
        for warning in _warnings(subject, wanted, evaluation):
            print(f"warning: {warning}", file=sys.stderr)
        for remark in table.letters.keys() - {table_formats.HARMONIC}:
            print(f"warning: {remark}", file=sys.stderr)
    deliver(table_formats.FORMATS[args.format](table), args.output)
    return 0


def _profiles(text: str) -> list[str]:
    names = list(profiles.PROFILES) if text == "all" else text.split(",")
    return [name for name in names if profiles.get_profile(name)]


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.score", description=__doc__)
    parser.add_argument(
        "--predictions",
        type=Path,
        required=True,
        metavar="FILE",
        help="the suite's .safetensors, .npz (arrays logits, labels, label_names, ids), .npy, .csv with "
        "label names in its first line, or text with one image per line",
    )
    parser.add_argument(
        "--probabilities", action="store_true", help="the file holds probabilities instead of logits"
    )
    ground_truth.add_options(parser)
    names = ", ".join(profiles.PROFILES)
    parser.add_argument(
        "--profile",
        metavar="NAME",
        help=f"all, or one or more of: {names}, separated by commas (default: the data set's)",
    )
    parser.add_argument(
        "--oracle-thresholds", action="store_true", help="add a row at the best threshold for each profile"
    )
    parser.add_argument(
        "--bootstrap",
        type=int,
        default=0,
        metavar="N",
        help="add intervals from N bootstrap replicates, such as 1000",
    )
    add_output(parser, table_formats.FORMATS)
    return parser


if __name__ == "__main__":
    run_command(main)
