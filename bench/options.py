"""What `python -m bench.run` can be told."""

import argparse
from pathlib import Path

from bench import cards, names
from bench.command import Parser
from bench.errors import InputError
from bench.paths import DATA, RUNS


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options, each with its help."""
    words = Parser(prog="python -m bench.run", description=description)
    words.add_argument("--dataset", required=True, metavar="NAME", help=f"one of: {', '.join(cards.names())}")
    words.add_argument(
        "--method", required=True, metavar="NAME", help=f"all, or of: {', '.join(names.methods())}"
    )
    words.add_argument("--seeds", default="0", metavar="LIST", help="as 0,1,2 (default: 0)")
    words.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="change a recipe field"
    )
    words.add_argument("--budget", choices=("paper", "equal"), help="equal: as many epochs in all as SRN")
    words.add_argument(
        "--terms", choices=("paper", "equal"), help="equal: input, crops, optimizer as SRN has them"
    )
    words.add_argument("--trunk", metavar="NAME.TAG", help="timm's name and tag (default: resnet101.tv_in1k)")
    words.add_argument("--trunk-weights", metavar="FILE", help="the trunk's weights, instead of timm's")
    words.add_argument("--from-scratch", action="store_true", help="no pretrained weights for the trunk")
    words.add_argument("--fresh", action="store_true", help="ignore what is stored: train everything again")
    words.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="methods and seeds that train at a time, a GPU each"
    )
    words.add_argument(
        "--tensorboard", action="store_true", help="TensorBoard's files as well, under runs/NAME/tensorboard"
    )
    words.add_argument("--compile", action="store_true", help="torch.compile the training step")
    words.add_argument("--device", default="auto", help="auto (a GPU where there is one), cpu, cuda, cuda:1")
    words.add_argument(
        "--source", type=Path, metavar="DIR", help="the owner's files, if they are not prepared yet"
    )
    words.add_argument(
        "--data", type=Path, default=DATA, metavar="DIR", help="where stores lie (default: data)"
    )
    words.add_argument(
        "--runs", type=Path, default=RUNS, metavar="DIR", help="where runs write (default: runs)"
    )
    return words


def changes(args: argparse.Namespace) -> dict[str, str | bool]:
    """The recipe fields that were given, as text."""
    found: dict[str, str | bool] = {}
    for text in args.set:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text}: give it as field=value")
        found[name.strip()] = value.strip()
    flags = {name: getattr(args, name) for name in ("budget", "terms", "trunk", "trunk_weights")}
    found |= {name: value for name, value in flags.items() if value is not None}
    return found | ({"from_scratch": True} if args.from_scratch else {})


def methods(name: str) -> list[str]:
    """Module names, for `all` or a list of names in any spelling."""
    return names.in_order() if name == "all" else [names.find_method(part) for part in name.split(",")]


def seeds(text: str) -> list[int]:
    """The whole numbers of a list."""
    try:
        found = [int(part) for part in text.split(",")]
        if min(found) >= 0:
            return found
        raise ValueError(text)
    except ValueError as mistake:
        raise InputError(f"--seeds {text}: whole numbers expected, as in 0,1,2") from mistake
