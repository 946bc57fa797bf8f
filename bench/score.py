"""Score predictions from any program by one evaluation profile, or by several for comparison.

`python -m bench.score --predictions FILE --labels FILE --profile all`
"""

import argparse
import sys
from pathlib import Path

from bench.base.cli import Parser, add_output, deliver, run_command
from bench.base.errors import InputError
from bench.results import further_columns, ground_truth, score_table, table_formats
from bench.results.score_table import Further
from bench.scoring import bootstrap, profiles
from bench.scoring.alignment import AlignedPredictions


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
    more = Further(args.oracle_thresholds, args.bootstrap, args.all_metrics, _held_out(args, subject))
    table = score_table.build(subject, wanted, evaluation=evaluation, more=more)
    if args.format in ("csv", "json"):  # formats for programs, whose reader may look at the numbers alone
        for warning in score_table.warnings(subject, wanted, evaluation, more):
            print(f"warning: {warning}", file=sys.stderr)
        for row in table.rows:
            for mark, meaning in row.marks.items():
                print(f"warning: {row.title} ({mark}): {meaning}", file=sys.stderr)
        for remark in table.letters.keys() - {table_formats.HARMONIC}:
            print(f"warning: {remark}", file=sys.stderr)
    else:
        table = further_columns.as_notes(table)
    deliver(table_formats.FORMATS[args.format](table), args.output)
    return 0


def _held_out(args: argparse.Namespace, subject: AlignedPredictions) -> AlignedPredictions | None:
    if args.held_out:
        return ground_truth.load_held_out(
            args.held_out, args.held_out_labels, subject, probabilities=args.probabilities
        )
    if args.held_out_labels:
        raise InputError(
            "--held-out-labels: give the predictions of these images as well, with --held-out FILE"
        )
    return None


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
        "label names in its first line, .parquet, or text with one image per line; text may be .gz",
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
    _add_further(parser)
    add_output(parser, table_formats.FORMATS)
    return parser


def _add_further(parser: Parser) -> None:
    """The options for what is computed beside the rows of the profiles."""
    parser.add_argument(
        "--oracle-thresholds", action="store_true", help="add a row at the best threshold for each profile"
    )
    parser.add_argument(
        "--held-out",
        type=Path,
        metavar="FILE",
        help="add a row with a threshold for each label, fitted on these predictions of held-out images: a "
        "run's are in runs/NAME/held_out",
    )
    parser.add_argument(
        "--held-out-labels", type=Path, metavar="FILE", help="their ground truth (default: in the same file)"
    )
    parser.add_argument(
        "--all-metrics",
        action="store_true",
        help="add AUROC, ranking loss, coverage, one-error, precision at k, calibration error, Hamming loss, "
        "exact match and F-beta",
    )
    parser.add_argument(
        "--bootstrap",
        type=int,
        default=0,
        metavar="N",
        help="add intervals from N bootstrap replicates, such as 1000",
    )


if __name__ == "__main__":
    run_command(main)
