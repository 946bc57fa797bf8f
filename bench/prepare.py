"""Make the store of a data set from its card and its owner's files: count, resize once, fingerprint.

`python -m bench.prepare --dataset coco --source DIR`

What was interrupted goes on where it was; a store that is replaced stays until the new one is whole.
"""

import argparse
from pathlib import Path

from bench.base import signals
from bench.base.cli import Parser, add_data, add_dataset, run_command
from bench.data import cards
from bench.data.download import fetch
from bench.data.preparation import fetched_folder, prepare
from bench.data.store import open_store
from bench.data.summary import describe_manifest
from bench.data.verify import verify


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    card = cards.load_card(args.dataset)
    if args.verify:
        print(verify(open_store(args.data / card.name)))
        return 0
    source = args.source
    if args.download:
        source = fetch(card, source or fetched_folder(card, args.data))
    store = prepare(card, source=source, data=args.data, allow_partial=args.allow_partial)
    print("\n".join([*describe_manifest(store.manifest), f"ready in {store.folder}"]))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.prepare", description=__doc__)
    add = parser.add_argument
    add_dataset(parser, cards.names())
    add("--source", type=Path, metavar="DIR", help="the owner's files, in the owner's layout")
    add_data(parser)
    add("--allow-partial", action="store_true", help="leave out what is missing or wrong, and say so")
    add("--download", action="store_true", help="first fetch the owner's archives, where they are offered")
    add("--verify", action="store_true", help="only check the store against its checksums")
    return parser


if __name__ == "__main__":
    signals.exit_on_sigterm()
    run_command(main)
