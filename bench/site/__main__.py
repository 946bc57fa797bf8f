"""Write the leaderboard: static pages of published rows and records, which open without a network.

`python -m bench.site --output site`, then open site/index.html in a browser.

The pages show all published rows and the accepted records. `--records DIR ...` adds records of runs, from a
folder such as runs/demo or from the folders in one such as runs.
"""

from pathlib import Path

from bench.base.cli import Parser, add_include, run_command, written
from bench.base.structured_files import check_folder
from bench.site import site_folder
from bench.site.records import read_all
from bench.site.rows import all_results


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m bench.site", description=__doc__)
    add = parser.add_argument
    add("--output", required=True, type=Path, metavar="DIR", help="folder for index.html and the other pages")
    add(
        "--records",
        dest="folders",
        nargs="+",
        action="extend",
        default=[],
        type=Path,
        metavar="DIR",
        help="folders of run records to show beside the accepted ones",
    )
    add_include(parser)
    args = parser.parse_args(argv)
    for folder in args.folders:
        check_folder(folder, option="--records")
    site_folder.check(args.output)
    results = all_results(read_all(args.folders))
    print(written(site_folder.write(results, args.output)))
    return 0


if __name__ == "__main__":
    run_command(main)
