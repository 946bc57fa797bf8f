"""What `python -m bench.run` can be told."""

import argparse
import textwrap
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from bench.base import method_names
from bench.base.cli import Parser, add_data, add_dataset, add_device, add_runs
from bench.base.errors import InputError
from bench.data import cards

EXPLAINED = {  # recipe fields that every method has and most users need
    "budget": ("paper|equal", "equal: SRN's further epochs on top, as many in all on equal terms"),
    "terms": ("paper|equal", "equal: input, crops, optimizer as SRN has them"),
    "trunk": ("NAME.TAG", "timm's name and tag (default: resnet101.tv_in1k)"),
    "trunk_weights": ("FILE", "the trunk's weights, instead of timm's"),
    "from_scratch": ("true|false", "no pretrained weights for the trunk"),
}


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options, each with its help."""
    words = Parser(prog="python -m bench.run", description=description)
    add_dataset(words, cards.names())
    words.add_argument(
        "--method",
        required=True,
        metavar="NAME",
        help=f"all, or of: {', '.join(method_names.method_summaries())}",
    )
    words.add_argument("--seeds", default="0", metavar="LIST", help="as 0,1,2 (default: 0)")
    words.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="change a recipe field"
    )
    words.add_argument("--fresh", action="store_true", help="ignore what is stored: train everything again")
    words.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="methods and seeds that train at a time, a GPU each"
    )
    words.add_argument(
        "--tensorboard", action="store_true", help="TensorBoard's files as well, under runs/NAME/tensorboard"
    )
    words.add_argument("--compile", action="store_true", help="torch.compile the training step")
    add_device(words)
    words.add_argument(
        "--source", type=Path, metavar="DIR", help="the owner's files, if they are not prepared yet"
    )
    add_data(words)
    add_runs(words)
    _add_fields(words)
    return words


def _add_fields(words: argparse.ArgumentParser) -> None:
    """Every recipe field of every method as an option of its own: `--lr 0.02` is `--set lr=0.02`.

    One that is named like another option of the command, as `source`, is reached by `--set` alone.
    """
    of_methods = {name: method_names.recipe_fields(name) for name in method_names.method_summaries()}
    group = words.add_argument_group("recipe fields", _about(of_methods))
    for name, kind in {name: kind for fields in of_methods.values() for name, kind in fields.items()}.items():
        metavar, text = EXPLAINED.get(name, ("VALUE", argparse.SUPPRESS))
        alone: dict[str, Any] = {"nargs": "?", "const": "true"} if kind == "bool" else {}
        with suppress(argparse.ArgumentError):
            group.add_argument(
                f"--{name.replace('_', '-')}",
                dest="set",
                action="append",
                type=partial(_change, name),
                metavar=metavar,
                help=text,
                **alone,
            )


def _change(field: str, value: str) -> str:
    return f"{field}={value}"


def _about(of_methods: dict[str, dict[str, str]]) -> str:
    """The fields by name: those that all methods have, then each method's own."""
    shared = set.intersection(*map(set, of_methods.values()))
    lines = [
        "Each field of a method's recipe is an option: --lr 0.02 is --set lr=0.02.",
        *_listed("all", shared),
    ]
    for name, fields in of_methods.items():
        lines += _listed(name, fields.keys() - shared)
    return "\n".join(lines)


def _listed(name: str, fields: set[str]) -> list[str]:
    text = f"{name}: {', '.join(sorted(fields))}"
    return textwrap.wrap(text, width=100, subsequent_indent="  ") if fields else []


def changes(args: argparse.Namespace) -> dict[str, str]:
    """The recipe fields that were given, as text; of one given twice the last counts."""
    found = {}
    for text in args.set:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text}: give it as field=value")
        found[name.strip()] = value.strip()
    return found


def methods(name: str) -> list[str]:
    """Module names, for `all` or a list of names in any spelling."""
    return (
        method_names.methods_in_order()
        if name == "all"
        else [method_names.find_method(part) for part in name.split(",")]
    )


def seeds(text: str) -> list[int]:
    """The whole numbers of a list."""
    try:
        found = [int(part) for part in text.split(",")]
        if min(found) >= 0:
            return found
        raise ValueError(text)
    except ValueError as mistake:
        raise InputError(f"--seeds {text}: whole numbers expected, as in 0,1,2") from mistake
