"""Train methods on a data set, predict its test images, and record the scores.

`python -m bench.run --dataset demo --method srn --seeds 0,1`

Stages that are stored are not trained again, and a run whose record is up to date is skipped.
"""

import argparse
import dataclasses
import sys
from functools import partial

from bench.base import signals
from bench.base.cli import run_command
from bench.base.run_folder import RunFolder
from bench.data import cards, preparation
from bench.results import comparison_table, typeset
from bench.training import run_options


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    return run(run_options.parse(words, description=__doc__), words)


def run(args: argparse.Namespace, words: list[str]) -> int:
    """Run every method with every seed: here one after the other, or with `--jobs` in several processes."""
    card, changes = cards.load_card(args.dataset), run_options.changes(args)
    wanted, seeds = run_options.methods(args.method), run_options.seeds(args.seeds)
    from bench.training import distributed, jobs, reproduce  # noqa: PLC0415 (--help needs no torch)
    from bench.training.stage_cache import StageContext  # noqa: PLC0415 (as above)

    runs = [
        reproduce.Run(card, name, changes | own_changes, seed)
        for name, own_changes in wanted
        for seed in seeds
    ]
    needed = {run.data.name: run.data for run in runs}  # raises for a wrong recipe field before any work
    prepare = partial(
        preparation.prepare, source=args.source, data=args.data, allow_partial=args.allow_partial
    )
    folder = RunFolder.of(card.name, args.runs)
    show_table = partial(_print_table, card.name, folder) if args.table else _print_nothing
    number = args.jobs or jobs.usual_number(args.device, threads=args.threads)
    if number > 1 and len(runs) > 1:
        for data in needed.values():
            prepare(data)
        commands = [_command(name, own, seed, words) for name, own in wanted for seed in seeds]
        return jobs.run(commands, jobs=number, after_each=show_table)
    with distributed.process_group(args.device, threads=args.threads) as (processes, on):
        with processes.main_first():
            stores = {name: prepare(data) for name, data in needed.items()}
        context = partial(StageContext, fresh=args.fresh, processes=processes, compiled=args.compile)
        contexts = {name: context(store, on, folder.stages) for name, store in stores.items()}
        for line in reproduce.reproduce_all(runs, contexts, folder, tensorboard=args.tensorboard):
            print(line, flush=True)
            show_table()
    return 0


def _command(name: str, changes: dict[str, str], seed: int, words: list[str]) -> list[str]:
    """The command of a single run: of an option that is given twice, the last one counts."""
    method = (
        f"{name}@" + ",".join(f"{field}={value}" for field, value in changes.items()) if changes else name
    )
    single = [word for word in words if word != "--table"]
    return ["-m", "bench.run", *single, "--method", method, "--seeds", str(seed), "--jobs", "1"]


def _print_table(dataset: str, folder: RunFolder) -> None:
    """The rows that are recorded by now."""
    table = comparison_table.build_table(dataset, folder.path)
    rows = tuple(row for row in table.rows if row.source == "reproduced" and row.n)
    print(typeset.as_text(dataclasses.replace(table, about=table.about[:1], rows=rows, notes=())), flush=True)


def _print_nothing() -> None:
    pass


if __name__ == "__main__":
    signals.exit_on_sigterm()
    run_command(main)
