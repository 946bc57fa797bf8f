"""Predict the labels of your own image files, with confidences, by a trained model.

`python -m bench.predict --run demo/srn-seed0 --images PATH...`

--run takes the name of a run (`python -m bench.runs` lists them), the path of its record, a folder that
bench.export wrote, or hf:ORG/NAME[@REVISION], one that it pushed to the Hugging Face Hub. Folders of images
are searched at any depth. A file that is not a usable image, an image in a format that is not read, such as
HEIC, and a link to a folder or to nothing are reported and skipped; the exit status is then 1.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from bench.base import lists, progress
from bench.base.cli import Parser, add_device, add_include, add_output, add_runs, deliver, run_command
from bench.base.errors import InputError
from bench.deploy.answers import DEFAULT_TOP, FORMATS, Answer, Choice
from bench.deploy.find_run import find_run


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    choice = _choice(args.top, _threshold(args.threshold))
    if args.batch_size < 1:
        raise InputError(f"--batch-size {args.batch_size}: give at least 1")
    # Late, as these import torch: help and a mistake in the options come without waiting for it.
    from bench.deploy import attention_maps, image_files, load_model, predict_images  # noqa: PLC0415 (torch)
    from bench.training import device  # noqa: PLC0415 (torch)

    paths = image_files.list_images(args.images)
    loaded = load_model.load_model(find_run(args.run, args.runs), device.choose(args.device))
    if choice.fitted:
        progress.say(_fitted(loaded.thresholds, args.run))
    if args.maps:
        attention_maps.require_maps(loaded)
    how: dict[str, Any] = {"batch_size": args.batch_size, "maps": args.maps, "exif": args.exif}
    answers = predict_images.predict_images(loaded, paths, choice, **how)
    reported = list(_report_errors(answers, len(paths)))
    deliver(FORMATS[args.format](reported), args.output)
    return 1 if any(answer.error for answer in reported) else 0


def _report_errors(answers: Iterable[Answer], total: int) -> Iterator[Answer]:
    """The answers as they come, with a progress bar on a terminal; each error is printed at once."""
    with tqdm(answers, total=total, unit="image", disable=not sys.stderr.isatty(), leave=False) as bar:
        for answer in bar:
            if answer.error:
                progress.say(f"{answer.image}: {answer.error}")
            yield answer


def _fitted(thresholds: Mapping[str, Any], run: str) -> str:
    """Where the thresholds of `--threshold fitted` come from; InputError if the run has none."""
    if not thresholds:
        raise InputError(
            f"--threshold fitted: {run} has no fitted thresholds, as an older version made it; train it "
            "again with python -m bench.run --fresh, or give a number"
        )
    labels = thresholds["logits"]
    rare = [name for name, logit in labels.items() if logit is None]
    kept = f"; with less than {thresholds['least']} positives or negatives there, of the convention: "
    return (
        f"thresholds: {len(labels) - len(rare)} of {len(labels)} labels fitted on "
        f"{thresholds['held_out_images']:,} held-out images{kept + lists.in_line(rare) if rare else ''}"
    )


def _threshold(text: str | None) -> float | Literal["fitted"] | None:
    if text is None or text == "fitted":
        return text  # type: ignore[return-value]
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--threshold {text}: give a confidence from 0 to 1, or fitted") from None


def _choice(top: int | None, threshold: float | Literal["fitted"] | None) -> Choice:
    """The labels to report; a threshold without --top does not limit their number."""
    if top is not None and top < 1:
        raise InputError(f"--top {top}: give at least 1")
    if threshold == "fitted":
        return Choice(top, fitted=True)
    if threshold is not None and not 0 <= threshold <= 1:
        raise InputError(f"--threshold {threshold}: give a confidence from 0 to 1, or fitted")
    if threshold is None:
        return Choice(top or DEFAULT_TOP)
    return Choice(top, threshold)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.predict", description=__doc__)
    add = parser.add_argument
    add("--run", required=True, metavar="RUN", help="a run, its record, an exported folder, or hf:ORG/NAME")
    add("--images", type=Path, nargs="+", required=True, metavar="PATH", help="image files and folders")
    add("--top", type=int, metavar="K", help=f"report the K most confident labels (default: {DEFAULT_TOP})")
    add(
        "--threshold",
        metavar="P",
        help="report labels with a confidence of at least P, or those that pass their own threshold (fitted)",
    )
    text = "turn photographs as their EXIF orientation says, or not (default: as in the model's training)"
    add("--exif", choices=("turn", "ignore"), help=text)
    add("--maps", type=Path, metavar="DIR", help="draw each image's attention maps into this folder")
    add_output(parser, FORMATS)
    add("--batch-size", type=int, default=32, metavar="N", help="images per batch (default: 32)")
    add_device(parser)
    add_runs(parser)
    add_include(parser)
    return parser


if __name__ == "__main__":
    run_command(main)
