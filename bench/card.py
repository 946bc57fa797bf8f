"""Make a data set card from your own pictures: a table of tags, a folder per label, or a COCO-style export.

`python -m bench.card --dataset pets --images photos --tags tags.csv`
`python -m bench.card --dataset pets --images photos --label-folders`
`python -m bench.card --dataset pets --images photos --coco export.json`

Shows what it understood, then writes `datasets/NAME.toml` and lists in `data/NAME.source`, where all commands
find them. If no train and test set is given, the test set is drawn by a hash of the pictures' names.
"""

import argparse
import contextlib
import math
from pathlib import Path
from typing import Any

from bench.base import signals
from bench.base.cli import Parser, add_data, run_command, written
from bench.base.errors import InputError
from bench.data.own_pictures import Tags, card_files, drawn_split, understood
from bench.data.own_pictures.coco_export import read_exports
from bench.data.own_pictures.label_folders import LEVELS, read_folders
from bench.data.own_pictures.listed import list_pictures
from bench.data.own_pictures.picture_folder import PictureFolder
from bench.data.own_pictures.tables import DELIMITERS, TableOptions
from bench.data.own_pictures.tag_tables import LAYOUTS, TAG_SEPARATORS, read_tags


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if not (math.isfinite(args.test_share) and 0 < args.test_share < 1):
        raise InputError(
            f"--test-share {args.test_share}: give a number above 0, below 1, as in --test-share 0.2"
        )
    card = card_files.check_name(args.dataset, replace=args.replace or args.show)
    pictures = PictureFolder(args.images)
    tags = _tags(args, pictures)
    listed = list_pictures(tags, pictures, allow_partial=args.allow_partial)
    if args.min_images > 0:
        drawn_split.drop_rare(listed, args.min_images)
    drawn_split.split(listed, pictures.root, share=args.test_share, seed=args.seed)
    folder = args.data / f"{args.dataset}.source"
    with contextlib.suppress(BrokenPipeError):  # the card is written although `head` has seen enough
        print(understood.describe(listed, tags.origin, all_in=None if args.show else folder), flush=True)
    if args.show:
        print("nothing written, because of --show")
        return 0
    source = f"{pictures.root.resolve().name} and {Path(tags.origin).name}, read by python -m bench.card"
    text = card_files.CardText(args.title or args.dataset, source, args.licence)
    card_files.write_card(listed, card, pictures=pictures.root, folder=folder, text=text)
    where = "" if args.data == _parser().get_default("data") else f" --data {args.data}"
    print(f"{written(card)}\n{written(folder)}")
    print(f"next: python -m bench.run --dataset {args.dataset} --method resnet101{where}")
    return 0


def _tags(args: argparse.Namespace, pictures: PictureFolder) -> Tags:
    """The labels from the one source that is given; InputError if none is, or several are."""
    given = [bool(args.tags), args.label_folders, bool(args.coco)]
    if sum(given) != 1:
        raise InputError(
            "say where the labels are, in one way: --tags FILE (a table), --label-folders (a folder for each"
            " label) or --coco FILE (an export in the JSON layout of MS-COCO)"
        )
    _refuse_options_of_others(args)
    if args.label_folders:
        return read_folders(pictures, level=args.label_level, split_folders=args.split_folders)
    if args.coco:
        return read_exports(args.coco, args.test_coco, pictures)
    names = TableOptions.__dataclass_fields__
    given_options: dict[str, Any] = {name: _frozen(getattr(args, name)) for name in names}
    options = TableOptions(**given_options)
    return read_tags(args.tags, pictures, options)


def _refuse_options_of_others(args: argparse.Namespace) -> None:
    """Raise InputError for an option that the given source of labels does not have."""
    names = {
        "--tags": (*TableOptions.__dataclass_fields__,),
        "--label-folders": ("label_level", "split_folders"),
        "--coco": ("test_coco",),
    }
    for source, options in names.items():
        for name in options if not getattr(args, source[2:].replace("-", "_")) else ():
            if getattr(args, name):
                raise InputError(f"--{name.replace('_', '-')} needs {source}; leave it out")


def _frozen(value: str | list[str]) -> str | tuple[str, ...]:
    return tuple(value) if isinstance(value, list) else value


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.card", description=__doc__)
    add = parser.add_argument
    add("--dataset", required=True, metavar="NAME", help="the new data set's name, as in pets")
    add(
        "--images",
        required=True,
        type=Path,
        metavar="DIR",
        help="the folder of the pictures, with sub-folders",
    )
    add("--tags", type=Path, metavar="FILE", help="a table (CSV, TSV, semicolons) of pictures and labels")
    add("--label-folders", action="store_true", help="the folder has a folder for each label")
    add(
        "--coco", type=Path, nargs="+", default=[], metavar="FILE", help="JSON files in the layout of MS-COCO"
    )
    add("--test-coco", type=Path, nargs="+", default=[], metavar="FILE", help="those of the test set")
    add_data(parser)
    add("--show", action="store_true", help="show what is understood, and write nothing")
    add("--replace", action="store_true", help="replace a card that this command made")
    add("--allow-partial", action="store_true", help="leave out missing and unreadable pictures; name them")
    add("--title", default="", metavar="TEXT", help="the data set's name in tables (default: NAME)")
    add(
        "--licence", default="not stated", metavar="TEXT", help="under which licence the pictures may be used"
    )
    _add_split(parser)
    _add_table(parser)
    return parser


def _add_split(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("labels, and the test set where none is given").add_argument
    add("--test-share", type=float, default=0.2, metavar="SHARE", help="share of the test set (default: 0.2)")
    add("--seed", type=int, default=0, metavar="N", help="seed of the draw (default: 0)")
    add("--min-images", type=int, default=0, metavar="N", help="leave out labels that fewer pictures have")
    add("--label-level", choices=LEVELS, default="", help="which folders on a picture's path are its labels")
    add("--split-folders", choices=("yes", "no"), default="", help="whether the folders train, test are sets")


def _add_table(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "tables: what is not found out without doubt (columns: by name or number)"
    )
    add = group.add_argument
    add(
        "--layout",
        choices=LAYOUTS,
        default="",
        help="a 0/1 column per label, a list in a cell, a row per pair",
    )
    add("--header", choices=("yes", "no"), default="", help="whether the first line names the columns")
    add("--delimiter", choices=tuple(DELIMITERS), default="", help="what separates the columns")
    add("--tag-separator", choices=TAG_SEPARATORS, default="", help="what separates the tags in a cell")
    for name, what in (
        ("image", "with the names of the pictures"),
        ("tags", "with the labels"),
        ("group", "of groups: a group is never in both sets"),
        ("split", "that says train or test"),
    ):
        add(f"--{name}-column", default="", metavar="NAME", help=f"the column {what}")
    add("--label-columns", nargs="+", default=[], metavar="NAME", help="the columns of 0 and 1")
    add("--ignore-columns", nargs="+", default=[], metavar="NAME", help="columns that are not used")
    for name in ("positive", "negative", "unknown"):
        help_text = f"cells of a 0/1 table that mean {name}, as in --{name}=-1; empty: an empty cell"
        add(f"--{name}", action="append", default=[], metavar="TEXT", help=help_text)


if __name__ == "__main__":
    signals.exit_on_sigterm()
    run_command(main)
