"""Print the table of a data set: published results, reproduced results and their differences.

The reproduced rows are means over the seeds of the fresh records (`runs/<dataset>`) or, if there are none, of
the accepted records (`results/reproduced/<dataset>`); the table says which.
"""

from bench.base.cli import Parser, add_dataset, add_output, add_runs, deliver, run_command
from bench.base.errors import InputError
from bench.base.run_folder import RunFolder
from bench.results import published, table_formats
from bench.results.comparison_table import build_table
from bench.scoring import profiles


def main(argv: list[str] | None = None) -> int:
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
    add_runs(parser)
    add_output(parser, table_formats.FORMATS)
    args = parser.parse_args(argv)
    if args.profile:
        profiles.get_profile(args.profile)
    if args.tolerance is not None and not 0 <= args.tolerance <= 100:
        raise InputError(f"--tolerance {args.tolerance} is not allowed; give points from 0 to 100")
    dataset = published.full_dataset_name(args.dataset)
    runs = RunFolder.of(dataset, args.runs).path
    table = build_table(dataset, runs, profile=args.profile, tolerance=args.tolerance)
    deliver(table_formats.FORMATS[args.format](table), args.output)
    return 0


if __name__ == "__main__":
    run_command(main)
