"""Draw the curves of runs from their logs: loss and held-out mAP over the epochs of all stages.

`python -m bench.plot --dataset demo --method srn --output curves.svg`
"""

import argparse
from pathlib import Path
from typing import Any

from bench import cards, log, names
from bench.command import Parser, run
from bench.errors import InputError
from bench.log import Row
from bench.paths import RUNS

KINDS = (".pdf", ".png", ".svg")


def draw(runs: dict[str, list[Row]], *, title: str) -> Any:
    """A figure of matplotlib's with a colour for each run; dotted lines are where a stage begins."""
    from matplotlib.figure import Figure  # noqa: PLC0415 (slow to import, and not needed to say what is wrong)

    figure = Figure(figsize=(9, 8), layout="constrained")
    losses, maps = figure.subplots(2, 1, sharex=True)
    for number, (name, rows) in enumerate(runs.items()):
        colour, epochs = f"C{number % 10}", range(1, len(rows) + 1)
        losses.plot(epochs, [row["loss"] for row in rows], color=colour, label=name)
        losses.plot(epochs, [row["held_out_loss"] for row in rows], color=colour, linestyle="--")
        maps.plot(epochs, [_number(row["held_out_mAP"]) for row in rows], color=colour, label=name)
        for start in starts(rows):
            maps.axvline(start, color=colour, linestyle=":", linewidth=0.8)
    losses.set(title=title, ylabel="loss per image [unit of its stage]\n(dashed: held out)", yscale="log")
    maps.set(xlabel="epoch, over all stages", ylabel="held-out mAP [%]")
    maps.legend(fontsize="small")
    return figure


def starts(rows: list[Row]) -> list[int]:
    """The numbers, from 1 over all stages, of the epochs with which a stage after the first begins.

    >>> starts([{"stage": "main"}, {"stage": "main"}, {"stage": "joint"}])
    [3]
    """
    return [n + 1 for n in range(1, len(rows)) if rows[n]["stage"] != rows[n - 1]["stage"]]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def read(folder: Path, methods: list[str]) -> dict[str, list[Row]]:
    """The rows of the methods' runs by the run's name; InputError where there is none."""
    paths = [path for path in sorted(folder.glob("*.jsonl")) if _method(path) in methods]
    runs = {path.stem: rows for path in paths if (rows := log.rows(path))}
    if not runs:
        wanted = ", ".join(methods)
        remedy = "run python -m bench.run first (stages without epochs leave none)"
        raise InputError(f"no log of {wanted} in {folder}: {remedy}")
    return runs


def _method(path: Path) -> str:
    return path.stem.partition("@")[0].rpartition("-seed")[0] or path.stem.partition("@")[0]


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    card = cards.load(args.dataset)
    methods = names.in_order() if args.method == "all" else [names.find_method(args.method)]
    folder = args.runs / card.name
    output = args.output or folder / "curves.png"
    if output.suffix not in KINDS:
        raise InputError(f"--output {output}: choose a name that ends in one of: {', '.join(KINDS)}")
    figure = draw(read(folder, methods), title=card.name)
    try:
        figure.savefig(output)
    except OSError as fault:
        raise InputError(f"cannot write {output}: {fault.strerror}") from fault
    print(output)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.plot", description=__doc__)
    parser.add_argument(
        "--dataset", required=True, metavar="NAME", help="one of: " + ", ".join(cards.names())
    )
    parser.add_argument("--method", default="all", metavar="NAME", help="default: all that have a log")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: runs/NAME/curves.png")
    parser.add_argument(
        "--runs", type=Path, default=RUNS, metavar="DIR", help="where runs write (default: runs)"
    )
    return parser


if __name__ == "__main__":
    run(main)
