"""Print the table of a data set: published results, reproduced results and their differences.

The reproduced rows are means over the seeds of the fresh records (`runs/<dataset>`) or, if there are none, of
the accepted records (`results/reproduced/<dataset>`); the table says which.
"""

import argparse
from pathlib import Path

from bench.base.cli import Parser, add_dataset, add_output, add_runs, deliver, run_command
from bench.base.errors import InputError, unknown
from bench.base.run_folder import RunFolder
from bench.results import published, table_formats
from bench.results.comparison_table import build_table
from bench.results.hub_records import OtherRecords, read_others
from bench.results.listing import GROUPINGS, Listing
from bench.scoring import profiles


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.table", description=__doc__.splitlines()[0])
    add_dataset(parser, published.known_datasets())
    names = ", ".join(profiles.PROFILES)
    parser.add_argument(
        "--profile", default="", metavar="NAME", help=f"profile of the reproduced rows, one of: {names}"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        metavar="POINTS",
        help="smallest tolerance for agreement with the published value",
    )
    parser.add_argument(
        "--since", type=int, default=0, metavar="YEAR", help="published rows since this year, of all papers"
    )
    parser.add_argument(
        "--group",
        default="",
        metavar="WHAT",
        help=f"all published rows, with ours, grouped by {', '.join(GROUPINGS[:-1])} or {GROUPINGS[-1]}",
    )
    text = "also show these records of others: a folder, or hf:ORG/NAME[@REVISION]"
    parser.add_argument("--records", type=Path, metavar="DIR", help=text)
    add_runs(parser)
    add_output(parser, table_formats.FORMATS)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if args.profile:
        profiles.get_profile(args.profile)
    if args.tolerance is not None and not 0 <= args.tolerance <= 100:
        raise InputError(f"--tolerance {args.tolerance} is not allowed; give points from 0 to 100")
    if args.group not in ("", *GROUPINGS):
        raise unknown("--group", args.group, GROUPINGS)
    if args.since and not 1900 <= args.since <= 2100:
        raise InputError(f"--since {args.since} is not a year; give one such as 2020")
    dataset = published.full_dataset_name(args.dataset)
    runs = RunFolder.of(dataset, args.runs).path
    wanted = Listing(args.since, args.group)
    others = read_others(args.records, dataset) if args.records else OtherRecords()
    how = {"profile": args.profile, "tolerance": args.tolerance, "wanted": wanted, "others": others}
    table = build_table(dataset, runs, **how)
    deliver(table_formats.FORMATS[args.format](table), args.output)
    return 0


if __name__ == "__main__":
    run_command(main)
