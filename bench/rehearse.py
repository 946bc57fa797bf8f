"""Rehearse a real run on made-up files: does this machine get through it, how long, and with how much disk?

`python -m bench.rehearse --dataset coco --share 0.01`

Makes up the data set's original files (folders, lists and counts as the owner has them, drawn pictures),
prepares them, trains each stage of the methods for one epoch, predicts, records, and prints table and report.
Then a page says what the whole data set takes, and what would stop it. Its numbers say nothing about methods.
"""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.base import signals
from bench.base.atomic_files import write_atomically
from bench.base.cli import Parser, add_data, add_dataset, add_device, run_command, written
from bench.base.errors import InputError
from bench.data import cards
from bench.data.cards import Card
from bench.results import comparison_table, typeset
from bench.training import run_options

if TYPE_CHECKING:
    from bench.base.run_folder import RunFolder
    from bench.perf.rehearsal import Folders

PAPER = "resnet101,resnet107,resnet101_semantic,srn_att,srn"
IMAGES = 200  # that the report runs the method on
SMALL_TRUNK = {"trunk": "resnet10_narrow", "from_scratch": "true"}


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if not 0 < args.share <= 1:
        raise InputError(f"--share {args.share}: give a number above 0, up to 1")
    card, methods = cards.load_card(args.dataset), run_options.methods(args.method)
    changes = run_options.changes(args)
    from bench.perf import made_up_files, rehearsal, rehearsal_page  # noqa: PLC0415 (--help needs no torch)
    from bench.training import device, method  # noqa: PLC0415 (as above)

    target = device.choose(args.device)
    is_small = target.type == "cpu" and "trunk" not in changes
    changes = {**(SMALL_TRUNK if is_small else {"from_scratch": "true"}), **changes}
    runs = [(name, {**changes, **own}) for name, own in methods]
    made_up_files.check(card)
    for name, fields in runs:  # a wrong field is refused before any work
        method.recipe(method.load_method(name), card.name, fields)
    folders = rehearsal.Folders(args.output / card.name)
    with folders.claimed():
        measured, run_folder = rehearsal.rehearse(card, runs, folders, share=args.share, target=target)
        _show(card, run_folder, folders, measured.seconds)
        text = rehearsal_page.page(card, measured, target=target, is_small=is_small, data=args.data)
        print(text)
        print(written(write_atomically(folders.root / "rehearsal.md", text)))
        if args.keep:
            folders.keep()
        else:
            folders.remove()
    return 0


def _show(card: Card, runs: "RunFolder", folders: "Folders", seconds: dict[str, float]) -> None:
    """Print the table and write the report, as one would after a real run; adds their seconds."""
    from bench.report import evidence, report_folder  # noqa: PLC0415 (torch)
    from bench.report.sections import Sources  # noqa: PLC0415 (torch)

    if card.evaluation.result_files:
        return  # the owner's server scores the predictions, so there is no record to show
    began = time.monotonic()
    print(typeset.as_text(comparison_table.build_table(card.name, runs.path)))
    seconds["table"] = time.monotonic() - began
    began = time.monotonic()
    gathered = evidence.gather(card.name, runs)
    report_folder.write(gathered, Sources(folders.data, folders.source, IMAGES), folders.root / "report")
    seconds["report"] = time.monotonic() - began


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.rehearse", description=__doc__)
    add = parser.add_argument
    add_dataset(parser, cards.names())
    add("--share", type=float, default=0.01, metavar="S", help="of the data set, up to 1 (default: 0.01)")
    add("--method", default=PAPER, metavar="NAME", help="all, or a list (default: the paper's five)")
    add("--set", action="append", default=[], metavar="FIELD=VALUE", help="change a field of the recipe")
    add("--keep", action="store_true", help="keep the made-up files, the store and the runs")
    add(
        "--output",
        type=Path,
        default=Path("rehearsal"),
        metavar="DIR",
        help="where to work, in DIR/NAME (default: rehearsal)",
    )
    add_device(parser)
    add_data(parser)
    return parser


if __name__ == "__main__":
    signals.exit_on_sigterm()
    run_command(main)
