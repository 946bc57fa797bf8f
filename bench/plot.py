"""Draw the training curves of runs from their logs, over all stages: loss, held-out mAP and learning rate.

`python -m bench.plot --dataset demo --method srn --output curves.svg`
"""

import argparse
import io
from pathlib import Path

from bench.base import method_names
from bench.base.atomic_files import check_output, write_atomically
from bench.base.cli import Parser, add_dataset, add_runs, run_command, written
from bench.base.errors import InputError
from bench.base.run_folder import RunFolder
from bench.data import cards
from bench.report.run_curves import SUFFIXES, draw, read


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    card = cards.load_card(args.dataset)
    methods = (
        method_names.methods_in_order() if args.method == "all" else [method_names.find_method(args.method)]
    )
    folder = RunFolder.of(card.name, args.runs)
    output = args.output or folder.curves
    if output.suffix not in SUFFIXES:
        raise InputError(f"--output {output}: choose a name that ends in one of: {', '.join(SUFFIXES)}")
    check_output(output, option="--output")
    figure, content = draw(read(folder, methods), title=card.name), io.BytesIO()
    figure.savefig(content, format=output.suffix.removeprefix("."))
    print(written(write_atomically(output, content.getvalue())))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.plot", description=__doc__)
    add_dataset(parser, cards.names())
    parser.add_argument("--method", default="all", metavar="NAME", help="default: all methods with a log")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: curves.png in the runs' folder")
    add_runs(parser)
    return parser


if __name__ == "__main__":
    run_command(main)
