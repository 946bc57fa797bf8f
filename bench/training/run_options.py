"""The command-line options of `python -m bench.run`; imports neither torch nor a method."""

import argparse
import textwrap
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from bench.base import cluster, method_names
from bench.base.cli import Parser, add_data, add_dataset, add_device, add_runs
from bench.base.errors import InputError
from bench.data import cards, task
from bench.training import tracking

MOST = 1024  # the highest number of jobs, and of threads
# Field -> (its value, its help), for recipe fields that every method has and that most users need.
FIELD_HELP = {
    "budget": (
        "paper|equal",
        "equal: methods with one stage also train for the epochs of SRN's further stages",
    ),
    "terms": ("paper|equal", "equal: every method has SRN's input size, crops, loss, optimizer and epochs"),
    "trunk": ("NAME.TAG", "timm's name and tag (default: resnet101.tv_in1k)"),
    "trunk_weights": ("FILE", "weights of the trunk, instead of timm's"),
    "from_scratch": ("true|false", "train the trunk without pretrained weights"),
    "variant": ("text|released", "SRN and SRN-att: all that the paper's text says, or its authors released"),
    "start": ("NAME", "ResNet-101-semantic, MCAR: train on from resnet101's result, or from its trunk"),
    "held_out": ("5|0", "percent of the training images for validation; 0: train on all, without a plateau"),
    "main_lr": ("LR", "rate of the first stage (default: lr)"),
    "attention_lr": ("LR", "rate of SRN's attention stage (default: lr)"),
    "regularization_lr": ("LR", "rate of SRN's regularization stage (default: lr)"),
    "joint_lr": ("LR", "rate of the last stage, if there are several (default: lr)"),
    "batch_norm": ("KIND", "local, sync, groups (of norm_group images, as GPUs with so many) or frozen"),
    "unspecified": ("negative|ignored", "what labels that are not known are trained as"),
    "loss": ("NAME", "bce, asymmetric or focal (default: bce)"),
    "reduction": ("sum|mean", "of the loss over labels"),
    "opt": ("NAME", "sgd, adam or adamw (default: sgd)"),
    "sched": ("NAME", "plateau, step, onecycle or cosine (default: plateau)"),
    "sched_epochs": ("N", "epochs for which onecycle and cosine are laid out (default: epochs)"),
    "warmup_epochs": ("N", "epochs in which the rate grows from 0 (default: 0)"),
    "clip_norm": ("NORM", "highest norm of all gradients together (default: any)"),
    "ema": ("DECAY", "moving average of the weights, as 0.9997 (default: none)"),
    "weights": ("raw|averaged", "which of both weights the result has (default: raw)"),
    "select": ("last|best", "epoch of the result: the last, or the best on held-out images"),
    "scale": ("LOW,HIGH", "random resized crops of this share of the area, in place of crops"),
    "cutout": ("SHARE", "side of a square that is overwritten, as 0.5 (default: none)"),
    "randaugment": ("N", "operations of RandAugment on each image (default: none)"),
    "decay_norms": ("true|false", "weight decay of norms and biases too (default: true)"),
}


def parse(words: Sequence[str], *, description: str | None) -> argparse.Namespace:
    """The options by name; InputError for a wrong one."""
    args = parser(description).parse_args(words)
    for name, number in (("jobs", args.jobs), ("threads", args.threads)):
        if number is not None and not 1 <= number <= MOST:
            raise InputError(f"--{name} {number}: give a number from 1 to {MOST}")
    args.track = tracking.chosen(args.track, tensorboard=args.tensorboard)
    args.slurm = None if args.slurm is None else cluster.parse(args.slurm, fresh=args.fresh)
    if args.fused_norms and args.compile:
        raise InputError("--fused-norms and --compile both fuse kernels: leave one out")
    return args


def parser(description: str | None) -> argparse.ArgumentParser:
    """The parser of the options, each with its help."""
    options = Parser(prog="python -m bench.run", description=description)
    add_dataset(options, cards.names())
    names = ", ".join(method_names.method_summaries())
    options.add_argument(
        "--method",
        required=True,
        metavar="NAME",
        help=f"all, or a list such as srn,resnet101@budget=equal, of: {names}",
    )
    options.add_argument("--seeds", default="0", metavar="LIST", help="such as 0,1,2 (default: 0)")
    options.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="change a field of the recipe"
    )
    _add_execution(options)
    add_device(options)
    task.add_options(options)
    add_data(options)
    add_runs(options)
    _add_name(options)
    _add_recipe_fields(options)
    return options


def _add_execution(options: argparse.ArgumentParser) -> None:
    """Add the options on how the runs are executed, and what they print and write."""
    options.add_argument(
        "--fresh", action="store_true", help="train everything again, even what is stored and recorded"
    )
    options.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="train N runs at the same time (default: with a GPU 1, else CPU cores / --threads)",
    )
    options.add_argument(
        "--threads",
        type=int,
        default=1,
        metavar="N",
        help="CPU threads of each run; another number changes the last bits of results (default: 1)",
    )
    options.add_argument(
        "--table", action="store_true", help="after every run, print the table of all results so far"
    )
    options.add_argument(
        "--tensorboard",
        action="store_true",
        help="write TensorBoard's files as well, to runs/DATASET/tensorboard",
    )
    options.add_argument("--track", default="", metavar="NAME", help=tracking.HELP)
    options.add_argument(
        "--watch-test",
        action="store_true",
        help='the test set\'s mAP after every epoch of the last stage, for "best on test"; no result changes',
    )
    options.add_argument(
        "--compile", action="store_true", help="compile the training step with torch.compile"
    )
    _add_gpu(options)
    cluster.add_options(options)


def _add_gpu(options: argparse.ArgumentParser) -> None:
    """Add the options on how a GPU calculates."""
    options.add_argument(
        "--precision",
        choices=("auto", "bf16", "fp16", "fp32"),
        default="auto",
        help="of matrix products; losses and metrics stay fp32 (default: with a GPU bf16, else fp32)",
    )
    options.add_argument(
        "--fused-norms",
        action=argparse.BooleanOptionalAction,
        help="batch norm, ReLU and addition as one GPU kernel: other last bits (default: on a GPU yes)",
    )
    options.add_argument(
        "--no-graph", action="store_true", help="do not capture a GPU's steps in CUDA graphs; same results"
    )


def _add_name(options: argparse.ArgumentParser) -> None:
    """Add `--name NAME`, and `--is-job`, with which `--jobs` starts its processes."""
    text = "a name of your own for the run, as in bench.predict --run NAME"
    options.add_argument("--name", metavar="NAME", help=text)
    options.add_argument("--is-job", action="store_true", help=argparse.SUPPRESS)


def _add_recipe_fields(options: argparse.ArgumentParser) -> None:
    """Make every field of every method's recipe an option: `--lr 0.02` is `--set lr=0.02`.

    A field with the name of another option of the command, such as `source`, is changed with `--set` only.
    """
    by_method = {name: method_names.recipe_fields(name) for name in method_names.method_summaries()}
    types = {field: kind for fields in by_method.values() for field, kind in fields.items()}
    groups = method_names.field_groups()
    intro = "Each field of a method's recipe is an option: --lr 0.02 is --set lr=0.02."
    shown: dict[str, Any] = {}
    for title, names in groups.items():
        text = "\n".join([*([] if shown else [intro]), *_wrapped("", names)])
        shown[title] = options.add_argument_group(f"recipe fields: {title}", text)
    of_methods = options.add_argument_group("recipe fields of single methods", _fields_help(by_method))
    for field, kind in types.items():
        group = next((shown[title] for title, names in groups.items() if field in names), of_methods)
        metavar, text = FIELD_HELP.get(field, ("VALUE", argparse.SUPPRESS))
        without_value: dict[str, Any] = {"nargs": "?", "const": "true"} if kind == "bool" else {}
        with suppress(argparse.ArgumentError):
            group.add_argument(
                f"--{field.replace('_', '-')}",
                dest="set",
                action="append",
                type=partial(_change, field),
                metavar=metavar,
                help=text,
                **without_value,
            )


def _change(field: str, value: str) -> str:
    return f"{field}={value}"


def _fields_help(by_method: dict[str, dict[str, str]]) -> str:
    """The names of the fields that each method has of its own."""
    shared = set.intersection(*map(set, by_method.values()))
    lines = []
    for name, fields in by_method.items():
        lines += _wrapped(name, fields.keys() - shared)
    return "\n".join(lines)


def _wrapped(name: str, fields: set[str]) -> list[str]:
    text = f"{name}: {', '.join(sorted(fields))}".removeprefix(": ")
    return textwrap.wrap(text, width=100, subsequent_indent="  ") if fields else []


def changes(args: argparse.Namespace) -> dict[str, str]:
    """The recipe fields that were given: name -> value as text; of two values of a field the last counts."""
    values = {}
    for text in args.set:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text}: give it as field=value")
        values[name.strip()] = value.strip()
    return values


def methods(text: str) -> list[tuple[str, dict[str, str]]]:
    """The (module name, changed recipe fields) that `--method` means: `all`, or names in any spelling.

    A name may carry changes of its own, as records do: `srn,resnet101@budget=equal`.
    """
    chosen: list[tuple[str, dict[str, str]]] = []
    for part in text.split(","):
        if part == "all":
            chosen += [(name, {}) for name in method_names.methods_in_order()]
            continue
        name, _, change = part.partition("@")
        if "=" in name and chosen:  # a further change of the name before it
            name, change = "", part
        field, equals, value = change.partition("=")
        if change and not equals:
            raise InputError(f"--method {part}: give changes as name@field=value")
        if name or not chosen:
            chosen.append((method_names.find_method(name), {}))
        if change:
            chosen[-1][1][field] = value
    return chosen


def seeds(text: str) -> list[int]:
    """The numbers of a list such as `0,1,2`; InputError where one is not a whole number from 0 up."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [-1]
    if min(numbers) < 0:
        raise InputError(f"--seeds {text}: give whole numbers from 0 up, such as 0,1,2")
    return numbers
