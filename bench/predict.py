"""Say what is on images of one's own: their labels with confidences, by a trained model.

`python -m bench.predict --run demo/srn-seed0 --images PATH...`

The run is named, or given by the path of its record or of the folder that bench.export wrote. Folders of
images are searched at any depth. A file that holds no image, an image that is not read, such as HEIC, and a
link to nothing or to a folder are named, the others go on, and the exit status is 1.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.special import expit
from tqdm import tqdm

from bench.base import progress
from bench.base.cli import Parser, add_device, add_output, add_runs, deliver, run_command
from bench.base.errors import InputError
from bench.deploy import attention_maps, image_files, load_model
from bench.deploy.answers import FORMATS, USUAL, Answer, Choice, Labels
from bench.deploy.image_files import ImageBatch
from bench.deploy.load_model import LoadedModel
from bench.training import device

LONGEST = 200  # bytes of an image's name in the name of its picture; most file systems take 255 in all


def predict(
    found: LoadedModel,
    paths: Sequence[Path],
    choice: Choice,
    *,
    batch_size: int = 32,
    maps: Path | None = None,
) -> Iterator[Answer]:
    """An answer for every file, in order; maps: the folder that gets a picture of the attention for each."""
    drawings = {path: maps / _drawing(n, path) for n, path in enumerate(paths, 1)} if maps else {}
    for batch in image_files.read_batches(paths, side=found.input_size, batch_size=batch_size):
        labels = dict(zip(batch.usable, _labels(found, batch, choice), strict=True))
        if drawings and labels:
            told = [(drawings[path], labels[path]) for path in batch.usable]
            attention_maps.write(told, found, batch.images_BHWC)
        for path in batch.paths:
            if reason := batch.reasons.get(path):
                yield Answer(_plain(path), error=reason)
            else:
                yield Answer(_plain(path), labels[path], maps=_plain(drawings.get(path, "")))


def _drawing(number: int, path: Path) -> str:
    """The name of an image's picture, no longer than file systems take it."""
    return f"{number:04d}-{os.fsencode(path.stem)[:LONGEST].decode(errors='ignore')}.png"


def _plain(path: Path | str) -> str:
    r"""The path as text that can be written: bytes of a name that are no UTF-8 as `\xe9`."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _labels(found: LoadedModel, batch: ImageBatch, choice: Choice) -> list[Labels]:
    if not batch.usable:
        return []
    confidences_BC = expit(found.logits(batch.images_BHWC).astype(np.float64))
    return [choice.of(found.labels, confidences_C) for confidences_C in confidences_BC]


def _watched(answers: Iterable[Answer], total: int) -> Iterator[Answer]:
    """The answers as they come, with a bar on a terminal; a file that gave none is named at once."""
    with tqdm(answers, total=total, unit="image", disable=not sys.stderr.isatty(), leave=False) as bar:
        for answer in bar:
            if answer.error:
                progress.say(f"{answer.image}: {answer.error}")
            yield answer


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    choice = _choice(args.top, args.threshold)
    if args.batch_size < 1:
        raise InputError(f"--batch-size {args.batch_size}: give at least 1")
    paths = image_files.list_images(args.images)
    found = load_model.load_model(load_model.find_run(args.run, args.runs), device.choose(args.device))
    if args.maps:
        attention_maps.require(found)
    answers = list(
        _watched(predict(found, paths, choice, batch_size=args.batch_size, maps=args.maps), len(paths))
    )
    text = FORMATS[args.format](answers)
    deliver(text, args.output)
    return 1 if any(answer.error for answer in answers) else 0


def _choice(top: int | None, threshold: float | None) -> Choice:
    """A threshold alone is no limit on the number."""
    if top is not None and top < 1:
        raise InputError(f"--top {top}: give at least 1")
    if threshold is not None and not 0 <= threshold <= 1:
        raise InputError(f"--threshold {threshold}: give a confidence from 0 to 1")
    if threshold is None:
        return Choice(top or USUAL)
    return Choice(top, threshold)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.predict", description=__doc__)
    parser.add_argument(
        "--run", required=True, metavar="RUN", help="a run's name or path; an exported folder"
    )
    parser.add_argument(
        "--images", type=Path, nargs="+", required=True, metavar="PATH", help="files and folders"
    )
    parser.add_argument(
        "--top", type=int, metavar="K", help=f"the K most confident labels (default: {USUAL})"
    )
    parser.add_argument("--threshold", type=float, metavar="P", help="labels with a confidence of P or more")
    parser.add_argument(
        "--maps", type=Path, metavar="DIR", help="where the model looked, as a picture for each image"
    )
    add_output(parser, FORMATS)
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="images at a time: 32")
    add_device(parser)
    add_runs(parser)
    return parser


if __name__ == "__main__":
    run_command(main)
