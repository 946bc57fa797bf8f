"""Prepare a data set for training: check the original files, resize every image once and store the result.

`python -m bench.prepare --dataset coco --source DIR`

After an interruption, run the same command again to resume. An existing store is replaced only when the new
one is complete.
"""

import argparse

from bench.base import signals
from bench.base.cli import Parser, add_data, add_dataset, run_command
from bench.data import cards, task
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
    store = prepare(
        card,
        source=source,
        data=args.data,
        allow_partial=args.allow_partial,
        overlap=args.overlap,
    )
    print("\n".join([*describe_manifest(store.manifest), f"ready: {store.folder}"]))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.prepare", description=__doc__)
    add = parser.add_argument
    add_dataset(parser, cards.names())
    task.add_options(parser)
    add_data(parser)
    add("--download", action="store_true", help="first download the archives, if the owner publishes them")
    add("--verify", action="store_true", help="only compare the stored images with their checksums")
    return parser


if __name__ == "__main__":
    signals.exit_on_sigterm()
    run_command(main)
