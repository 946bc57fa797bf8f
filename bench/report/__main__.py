"""Write the report of a data set: does it help, where, and why, as one page and its figures.

`python -m bench.report --dataset demo --output report`

Records give the table, the curves and the gain of every label; predictions give intervals; the weights of a
method that can tell how it came to its logits give the rest. What is missing is said with its remedy.
"""

import argparse
from pathlib import Path

from bench.base.atomic_files import write_atomically
from bench.base.cli import Parser, add_data, add_dataset, add_runs, run_command, written
from bench.base.errors import InputError
from bench.base.run_folder import RunFolder
from bench.data import cards
from bench.report import figure, html_page, sections
from bench.report.evidence import Evidence, gather, run_name
from bench.report.sections import Places
from bench.results import comparison_table
from bench.results.table_model import as_csv, as_json

FEWEST = 8  # images of which halves can be looked at


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if args.images < FEWEST:
        raise InputError(f"--images {args.images}: give at least {FEWEST}")
    dataset = cards.load_card(args.dataset).name
    runs, figures = RunFolder.of(dataset, args.runs), args.output / "figures"
    evidence = gather(dataset, runs, subject=args.method, baseline=args.baseline)
    rows = comparison_table.build_table(dataset, runs.path)
    # Written first, so that a folder that refuses is told at once.
    write_atomically(figures / "table.csv", as_csv(rows))
    write_atomically(figures / "table.json", as_json(rows))
    found = sections.collect(evidence, Places(args.data, args.source, args.images))
    drawn = [figure.draw(one) for one in found.exhibits]
    for one in drawn:
        figure.write(one, figures)
    text = html_page.build(
        _title(evidence), answer=found.answer, table=rows, drawn=drawn, lacking=found.lacking
    )
    print(written(write_atomically(args.output / "index.html", text)))
    return 0


def _title(evidence: Evidence) -> str:
    if evidence.subject is None:
        return f"{evidence.card.title}: what was trained"
    return f"{evidence.card.title}: does {run_name(evidence.subject)} help, where, and why?"


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.report", description=__doc__)
    add = parser.add_argument
    add_dataset(parser, cards.names())
    add("--output", required=True, type=Path, metavar="DIR", help="index.html and figures/ are written there")
    add("--method", default="", metavar="NAME", help="what it is about (default: the first with a BASELINE)")
    add("--baseline", default="", metavar="NAME", help="what it is compared with (default: its BASELINE)")
    add("--images", type=int, default=2000, metavar="N", help="test images to look into (default: 2000)")
    add("--source", type=Path, metavar="DIR", help="the owner's files, for the boxes of their annotations")
    add_data(parser)
    add_runs(parser)
    return parser


if __name__ == "__main__":
    run_command(main)
