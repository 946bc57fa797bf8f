"""Compare two predictions of the same images: difference of each metric with a paired bootstrap interval.

`python -m bench.compare --predictions A B --labels FILE`

Both are scored on the same bootstrap replicates of the images, so that images which are hard for both do not
widen the interval. A second table lists the labels by the difference of their average precision (AP).
"""

import argparse
import csv
import io
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bench.base.cli import Parser, add_output, deliver, run_command
from bench.base.csv_cells import safe_cell
from bench.base.errors import InputError
from bench.base.protocol import Evaluation, column_name
from bench.results import ground_truth, resampling, same_data
from bench.scoring import alignment, bootstrap, doubts, further, predictions, profiles
from bench.scoring.alignment import AlignedPredictions
from bench.scoring.bootstrap import LEVEL
from bench.scoring.matrices import Array
from bench.scoring.profiles import Profile


@dataclass(frozen=True)
class MetricDifference:
    """One metric, or the AP of one label: of A and B in percent, difference and its interval in points."""

    name: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    is_clear: bool  # the interval does not contain 0


@dataclass(frozen=True)
class Comparison:
    """Lines about what was compared; the metrics; the labels, those for which B gains most first."""

    about: Sequence[str]
    metrics: Sequence[MetricDifference]
    labels: Sequence[MetricDifference]


def compare(
    a: AlignedPredictions,
    b: AlignedPredictions,
    *,
    profile: str,
    evaluation: Evaluation,
    replicates: int,
    all_metrics: bool = False,
) -> Comparison:
    """B minus A by one profile, without labels that have no positives and columns it does not define.

    all_metrics: with the further metrics (`bench.scoring.further`) that both define.
    """
    rules = profiles.get_profile(profile)
    (values_a, AP_a), (values_b, AP_b) = (
        resampling.score(subject, rules, evaluation, all_metrics=all_metrics) for subject in (a, b)
    )
    replicates_a, replicates_b = (
        resampling.replicate(x, rules, evaluation, replicates, title=x.path.name, all_metrics=all_metrics)
        for x in (a, b)
    )
    differences = {
        column: replicates_b.values[column] - replicates_a.values[column]
        for column in values_a
        if column in values_b
    }
    metrics = [
        _line(column_name(column), values_a[column], values_b[column], differences_L)
        for column, differences_L in differences.items()
    ]
    AP_LC = replicates_b.AP_LC - replicates_a.AP_LC
    labels = [
        _line(name, float(AP_a[c]), float(AP_b[c]), AP_LC[:, c])
        for c, name in enumerate(b.names)
        if not math.isnan(AP_a[c])
    ]
    notes = _notes(a, b, rules, evaluation, all_metrics=all_metrics)
    about = (*_about(a, b, profile, replicates), *notes)
    return Comparison(about, metrics, sorted(labels, key=lambda line: -line.difference))


def _about(a: AlignedPredictions, b: AlignedPredictions, profile: str, replicates: int) -> list[str]:
    """What is compared, and by what."""
    size = f"{len(a.logits_NC):,} images, {len(a.names)} labels; in percent, profile {profile}."
    legend = f"2.5 %, 97.5 %: {LEVEL} % interval of B - A from {replicates:,} paired bootstrap replicates"
    return [f"A: {a.path}", f"B: {b.path}", size, f"{legend}; *: the interval does not contain 0."]


def _notes(
    a: AlignedPredictions, b: AlignedPredictions, rules: Profile, evaluation: Evaluation, *, all_metrics: bool
) -> list[str]:
    """Remarks on the ground truth, which both share, and on each file, its numbers and its data."""
    file_notes = []
    for letter, subject in (("A", a), ("B", b)):
        data = subject.logits_NC, subject.labels_NC
        remarks = [*doubts.remarks(*data, rules, evaluation)]
        remarks += further.remarks(*data, subject.names, evaluation) if all_metrics else []
        file_notes += [f"{letter}: {note}" for note in (*subject.notes, *(f"{text}." for text in remarks))]
    apart = same_data.difference(*(_data_facts(subject.path) for subject in (a, b)))
    return [*alignment.label_remarks(b, evaluation), *file_notes, *([f"A and B: {apart}."] if apart else [])]


def _data_facts(path: Path) -> dict[str, Any]:
    """What a predictions file of the suite says of its data; empty for a file of another format."""
    try:
        facts = predictions.read_predictions(path).facts.get("data")
    except InputError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _line(name: str, a: float, b: float, differences_L: Array) -> MetricDifference:
    low, high = map(float, bootstrap.interval(differences_L))
    return MetricDifference(name, a, b, b - a, low, high, low > 0 or high < 0)


def _as_text(comparison: Comparison) -> str:
    return _typeset(comparison, "simple", line_end="\n")


def _as_markdown(comparison: Comparison) -> str:
    return _typeset(comparison, "pipe", line_end="  \n")


def _typeset(comparison: Comparison, form: str, *, line_end: str) -> str:
    parts = {"metric": comparison.metrics, "AP of label": comparison.labels}
    tables = [_table(lines, head, form) for head, lines in parts.items()]
    return "\n\n".join([line_end.join(comparison.about), *tables]) + "\n"


def _table(lines: Sequence[MetricDifference], head: str, form: str) -> str:
    cells = [
        [
            line.name,
            *(f"{value:.2f}" for value in (line.a, line.b)),
            *(f"{value:+.2f}" for value in (line.difference, line.low, line.high)),
            "*" if line.is_clear else "",
        ]
        for line in lines
    ]
    heads = [head, "A", "B", "B - A", "2.5 %", "97.5 %", ""]
    sides = ("left", *["right"] * 5, "left")
    return str(tabulate(cells, heads, form, colalign=sides, disable_numparse=True))


def _as_csv(comparison: Comparison) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, ["kind", *MetricDifference.__dataclass_fields__], lineterminator="\n")
    writer.writeheader()
    for kind, lines in {"metric": comparison.metrics, "label": comparison.labels}.items():
        writer.writerows({"kind": kind, **asdict(line), "name": safe_cell(line.name)} for line in lines)
    return buffer.getvalue()


def _as_json(comparison: Comparison) -> str:
    return json.dumps(asdict(comparison), indent=1, ensure_ascii=False) + "\n"


FORMATS: dict[str, Callable[[Comparison], str]] = {
    "text": _as_text,
    "markdown": _as_markdown,
    "csv": _as_csv,
    "json": _as_json,
}


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if args.bootstrap < bootstrap.MIN_REPLICATES:
        raise InputError(
            f"--bootstrap {args.bootstrap} is too few; give at least {bootstrap.MIN_REPLICATES}, better 1000"
        )
    a, b = (
        ground_truth.load_with_truth(
            path,
            labels=args.labels,
            dataset=args.dataset,
            probabilities=args.probabilities in (letter, "both"),
            data=args.data,
        )
        for letter, path in zip("AB", args.predictions, strict=True)
    )
    evaluation = ground_truth.chosen_evaluation(a, top3=args.top3, unspecified=args.unspecified)
    b, profile = alignment.align_with(a, b), args.profile or evaluation.profile
    comparison = compare(
        a,
        b,
        profile=profile,
        evaluation=evaluation,
        replicates=args.bootstrap,
        all_metrics=args.all_metrics,
    )
    if args.format in ("csv", "json"):  # formats for programs, whose reader may look at the numbers alone
        rules = profiles.get_profile(profile)
        for warning in _notes(a, b, rules, evaluation, all_metrics=args.all_metrics):
            print(f"warning: {warning}", file=sys.stderr)
    deliver(FORMATS[args.format](comparison), args.output)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument(
        "--predictions", type=Path, nargs=2, required=True, metavar="FILE", help="the files A and B"
    )
    parser.add_argument(
        "--probabilities",
        nargs="?",
        const="both",
        choices=("A", "B", "both"),
        help="which files hold probabilities instead of logits (without a value: both)",
    )
    ground_truth.add_options(parser)
    names = ", ".join(profiles.PROFILES)
    parser.add_argument("--profile", metavar="NAME", help=f"one of: {names} (default: the data set's)")
    parser.add_argument(
        "--bootstrap", type=int, default=1000, metavar="N", help="number of replicates (default: 1000)"
    )
    parser.add_argument(
        "--all-metrics", action="store_true", help="compare the further metrics of bench.score as well"
    )
    add_output(parser, FORMATS)
    return parser


if __name__ == "__main__":
    run_command(main)
