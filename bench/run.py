"""Train methods on a data set, predict its test images, record the scores.

`python -m bench.run --dataset demo --method srn --seeds 0,1`

Stages that are stored already are not trained again, and what is unchanged altogether is left alone.
"""

import sys

from bench import cards, distribute, jobs, method, options, prepare, signals
from bench.command import run
from bench.reproduce import Run, reproduce
from bench.reuse import Workshop


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    args = options.parser(__doc__).parse_args(words)
    card = cards.load(args.dataset)
    wanted = [
        Run(card, name, options.changes(args), seed)
        for name in options.methods(args.method)
        for seed in options.seeds(args.seeds)
    ]
    for one in wanted:
        method.recipe(method.load(one.name), card.name, one.changes)  # a wrong field is said before any work
    if args.jobs > 1 and len(wanted) > 1:
        prepare.prepare(card, source=args.source, data=args.data)
        return jobs.run([_alone(one, words) for one in wanted], jobs=args.jobs)
    folder = args.runs / card.name
    with distribute.joined(args.device) as (crew, on):
        with crew.leader_first():
            store = prepare.prepare(card, source=args.source, data=args.data)
        workshop = Workshop(store, on, folder / "stages", fresh=args.fresh, crew=crew, compiled=args.compile)
        for one in wanted:
            done = reproduce(one, workshop, folder, tensorboard=args.tensorboard)
            if crew.leads:
                print(done, flush=True)
    return 0


def _alone(one: Run, words: list[str]) -> list[str]:
    """The command line of one of several runs: of an option given twice the last counts."""
    return ["-m", "bench.run", *words, "--method", one.name, "--seeds", str(one.seed), "--jobs", "1"]


if __name__ == "__main__":
    signals.exit_on_sigterm()
    run(main)
