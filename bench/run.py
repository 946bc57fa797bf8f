"""Train methods on a data set, predict its test images, record the scores.

`python -m bench.run --dataset demo --method srn --seeds 0,1`

Stages that are stored already are not trained again, and what is unchanged altogether is left alone.
"""

import sys
from functools import partial

from bench.base import signals
from bench.base.cli import run_command
from bench.base.errors import InputError
from bench.base.run_folder import RunFolder
from bench.data import cards, preparation
from bench.training import distributed, jobs, run_options
from bench.training.reproduce import Run, reproduce
from bench.training.stage_cache import StageContext


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    args = run_options.parser(__doc__).parse_args(words)
    if args.jobs < 1:
        raise InputError(f"--jobs {args.jobs}: give 1 or more")
    card = cards.load_card(args.dataset)
    wanted = [
        Run(card, name, run_options.changes(args), seed)
        for name in run_options.methods(args.method)
        for seed in run_options.seeds(args.seeds)
    ]
    needed = {one.data.name: one.data for one in wanted}  # a wrong field is said before any work
    make = partial(preparation.prepare, source=args.source, data=args.data)
    if args.jobs > 1 and len(wanted) > 1:
        for data in needed.values():
            make(data)
        return jobs.run([_alone(one, words) for one in wanted], jobs=args.jobs)
    folder = RunFolder.of(card.name, args.runs)
    with distributed.process_group(args.device) as (processes, on):
        with processes.main_first():
            stores = {name: make(data) for name, data in needed.items()}
        place = partial(StageContext, fresh=args.fresh, processes=processes, compiled=args.compile)
        contexts = {name: place(store, on, folder.stages) for name, store in stores.items()}
        for one in wanted:
            done = reproduce(one, contexts[one.data.name], folder, tensorboard=args.tensorboard)
            if processes.is_main:
                print(done, flush=True)
    return 0


def _alone(one: Run, words: list[str]) -> list[str]:
    """The command line of one of several runs: of an option given twice the last counts."""
    return ["-m", "bench.run", *words, "--method", one.name, "--seeds", str(one.seed), "--jobs", "1"]


if __name__ == "__main__":
    signals.exit_on_sigterm()
    run_command(main)
