"""Write the report of a data set: does a method help, where, and why? One HTML page with its figures.

`python -m bench.report --dataset demo --output report`

Records give the table, the training curves and the gain of each label. Predictions add confidence intervals.
The weights of a method with attention maps add the figures that explain it. The page lists what is missing,
with the command that produces it.
"""

import argparse
from pathlib import Path

from bench.base.cli import Parser, add_data, add_dataset, add_runs, run_command, written
from bench.base.errors import InputError
from bench.base.run_folder import RunFolder
from bench.data import cards

FEWEST_IMAGES = 8  # some figures split the images into halves


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if args.images < FEWEST_IMAGES:
        raise InputError(f"--images {args.images}: give at least {FEWEST_IMAGES}")
    dataset = cards.load_card(args.dataset).name
    # Late, as these import torch: help and a mistake in the options come without waiting for it.
    from bench.report import report_folder  # noqa: PLC0415 (torch)
    from bench.report.evidence import gather  # noqa: PLC0415 (torch)
    from bench.report.sections import Sources  # noqa: PLC0415 (torch)

    evidence = gather(dataset, RunFolder.of(dataset, args.runs), subject=args.method, baseline=args.baseline)
    page = report_folder.write(evidence, Sources(args.data, args.source, args.images), args.output)
    print(written(page))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.report", description=__doc__)
    add = parser.add_argument
    add_dataset(parser, cards.names())
    add("--output", required=True, type=Path, metavar="DIR", help="folder for index.html and figures/")
    add("--method", default="", metavar="NAME", help="method to report on (default: first with a BASELINE)")
    add("--baseline", default="", metavar="NAME", help="method to compare it with (default: its BASELINE)")
    add("--images", type=int, default=2000, metavar="N", help="test images to run it on (default: 2000)")
    add("--source", type=Path, metavar="DIR", help="the data set's original files, for the boxes of objects")
    add_data(parser)
    add_runs(parser)
    return parser


if __name__ == "__main__":
    run_command(main)
