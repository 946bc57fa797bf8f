"""List the runs there are, the newest first: method, variant, seed, mAP, when, and the name given to it.

A run whose record was changed after it was written is marked as edited by hand.

`python -m bench.runs`, `python -m bench.runs --dataset demo`
"""

from tabulate import tabulate

from bench.base.cli import Parser, add_dataset, add_runs, run_command
from bench.data import cards
from bench.deploy.find_run import FoundRun, list_runs
from bench.results import row_marks
from bench.results.record import is_edited, shown

HEADS = ("run", "method", "variant", "seed", "mAP", "written (UTC)", "name", "")


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m bench.runs", description=__doc__)
    add_dataset(parser, cards.names(), required=False)
    add_runs(parser)
    args = parser.parse_args(argv)
    runs = [run for run in list_runs(args.runs) if args.dataset in (None, run.facts["dataset"])]
    if not runs:
        of = f" of {args.dataset}" if args.dataset else ""
        print(f"no runs{of} in {shown(args.runs)}; train one with: python -m bench.run")
        return 0
    rows = [_row(run) for run in runs]
    if not any(row[-1] for row in rows):
        rows = [row[:-1] for row in rows]
    heads = HEADS[: len(rows[0])]
    texts = [0, *range(6, len(heads))]
    print(tabulate(rows, heads, "simple", floatfmt=".2f", disable_numparse=texts))
    return 0


def _row(run: FoundRun) -> list[object]:
    facts = run.facts
    when = run.written[:16].replace("T", " ")
    what = [facts["method"], facts["variant"], facts["seed"]]
    mark = row_marks.EDITED if is_edited(facts) else ""
    return [run.title, *what, run.mean_ap, when, ", ".join(run.names), mark]


if __name__ == "__main__":
    run_command(main)
