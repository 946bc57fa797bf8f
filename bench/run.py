"""Train methods on a data set, predict its test images, and record the scores.

`python -m bench.run --dataset demo --method srn --seeds 0,1`

Stages that are stored are not trained again, and a run whose record is up to date is skipped.
"""

import argparse
import sys
from functools import partial

from bench.base import signals
from bench.base.cli import run_command
from bench.base.run_folder import RunFolder
from bench.data import cards, preparation
from bench.training import run_options


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    return run(run_options.parse(words, description=__doc__), words)


def run(args: argparse.Namespace, words: list[str]) -> int:
    """Run every method with every seed: here one after the other, or with `--jobs` in several processes."""
    card, changes = cards.load_card(args.dataset), run_options.changes(args)
    names, seeds = run_options.methods(args.method), run_options.seeds(args.seeds)
    from bench.training import distributed, jobs, reproduce  # noqa: PLC0415 (torch, which --help can do without)
    from bench.training.stage_cache import StageContext  # noqa: PLC0415 (as above)

    runs = [reproduce.Run(card, name, changes, seed) for name in names for seed in seeds]
    needed = {run.data.name: run.data for run in runs}  # raises for a wrong recipe field before any work
    prepare = partial(preparation.prepare, source=args.source, data=args.data)
    if args.jobs > 1 and len(runs) > 1:
        for data in needed.values():
            prepare(data)
        return jobs.run([_command(run.name, run.seed, words) for run in runs], jobs=args.jobs)
    folder = RunFolder.of(card.name, args.runs)
    with distributed.process_group(args.device) as (processes, device):
        with processes.main_first():
            stores = {name: prepare(data) for name, data in needed.items()}
        context = partial(StageContext, fresh=args.fresh, processes=processes, compiled=args.compile)
        contexts = {name: context(store, device, folder.stages) for name, store in stores.items()}
        for line in reproduce.reproduce_all(runs, contexts, folder, tensorboard=args.tensorboard):
            print(line, flush=True)
    return 0


def _command(name: str, seed: int, words: list[str]) -> list[str]:
    """The command of a single run: of an option that is given twice, the last one counts."""
    return ["-m", "bench.run", *words, "--method", name, "--seeds", str(seed), "--jobs", "1"]


if __name__ == "__main__":
    signals.exit_on_sigterm()
    run_command(main)
