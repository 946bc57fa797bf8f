"""Train methods on a data set, predict its test images, record the scores.

`python -m bench.run --dataset demo --method srn --seeds 0,1`

Stages that are stored already are not trained again, and what is unchanged altogether is left alone.
"""

import argparse
from pathlib import Path

from bench import cards, device, method, names, prepare
from bench.command import Parser, run
from bench.errors import InputError
from bench.paths import DATA, RUNS
from bench.reproduce import Run, reproduce
from bench.reuse import Workshop


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    card = cards.load(args.dataset)
    wanted = [
        Run(card, name, _changes(args), seed) for name in _methods(args.method) for seed in _seeds(args.seeds)
    ]
    for one in wanted:
        method.recipe(method.load(one.name), card.name, one.changes)  # a wrong field is said before any work
    on = device.choose(args.device)
    folder = args.runs / card.name
    store = prepare.prepare(card, source=args.source, data=args.data)
    workshop = Workshop(store, on, folder / "stages", fresh=args.fresh)
    for one in wanted:
        print(reproduce(one, workshop, folder), flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.run", description=__doc__)
    parser.add_argument(
        "--dataset", required=True, metavar="NAME", help=f"one of: {', '.join(cards.names())}"
    )
    parser.add_argument(
        "--method", required=True, metavar="NAME", help=f"all, or of: {', '.join(names.methods())}"
    )
    parser.add_argument("--seeds", default="0", metavar="LIST", help="as 0,1,2 (default: 0)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="change a recipe field"
    )
    parser.add_argument("--budget", choices=("paper", "equal"), help="equal: as many epochs in all as SRN")
    parser.add_argument(
        "--trunk", metavar="NAME.TAG", help="timm's name and tag (default: resnet101.tv_in1k)"
    )
    parser.add_argument("--trunk-weights", metavar="FILE", help="the trunk's weights, instead of timm's")
    parser.add_argument("--from-scratch", action="store_true", help="no pretrained weights for the trunk")
    parser.add_argument("--fresh", action="store_true", help="ignore what is stored: train everything again")
    parser.add_argument("--device", default="auto", help="auto (a GPU where there is one), cpu, cuda, cuda:1")
    parser.add_argument(
        "--source", type=Path, metavar="DIR", help="the owner's files, if they are not prepared yet"
    )
    parser.add_argument(
        "--data", type=Path, default=DATA, metavar="DIR", help="where stores lie (default: data)"
    )
    parser.add_argument(
        "--runs", type=Path, default=RUNS, metavar="DIR", help="where runs write (default: runs)"
    )
    return parser


def _changes(args: argparse.Namespace) -> dict[str, str | bool]:
    changes: dict[str, str | bool] = {}
    for text in args.set:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text}: give it as field=value")
        changes[name.strip()] = value.strip()
    flags = {"budget": args.budget, "trunk": args.trunk, "trunk_weights": args.trunk_weights}
    changes |= {name: value for name, value in flags.items() if value is not None}
    return changes | ({"from_scratch": True} if args.from_scratch else {})


def _methods(name: str) -> list[str]:
    return names.in_order() if name == "all" else [names.find_method(part) for part in name.split(",")]


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in text.split(",")]
        if min(seeds) >= 0:
            return seeds
        raise ValueError(text)
    except ValueError as mistake:
        raise InputError(f"--seeds {text}: whole numbers expected, as in 0,1,2") from mistake


if __name__ == "__main__":
    run(main)
