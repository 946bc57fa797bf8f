"""Label image files with a loaded model, batch by batch, and draw attention maps if asked for."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from bench.base import progress
from bench.data.decode import PixelArray
from bench.deploy import attention_maps, image_files
from bench.deploy.answers import Answer, Choice, RankedLabels
from bench.deploy.load_model import LoadedModel

LONGEST_STEM = 200  # bytes of an image's name in the name of its maps; most file systems allow 255 in all


def predict_images(
    loaded: LoadedModel,
    paths: Sequence[Path],
    choice: Choice,
    *,
    batch_size: int = 32,
    maps: Path | None = None,
    exif: str | None = None,
) -> Iterator[Answer]:
    """One answer per file, in order; maps: the folder for a PNG file of each image's attention maps.

    exif: whether photographs are turned as EXIF says, "turn" or "ignore"; None: as in training. Photographs
    that are not turned are said at the end.
    """
    drawings = {path: maps / _map_name(number, path) for number, path in enumerate(paths, 1)} if maps else {}
    size: dict[str, Any] = {"side": loaded.input_size, "batch_size": batch_size}
    not_turned: list[Path] = []
    size |= {"resample": loaded.resample, "storage": loaded.storage}
    for batch in image_files.read_batches(paths, **size, exif=exif or loaded.exif):
        not_turned += batch.not_turned
        ranked_labels = rank_labels(loaded, batch.images_BHWC, choice)
        found = dict(zip(batch.usable, ranked_labels, strict=True))
        labels = {path: ranked for path, (ranked, _) in found.items()}
        if drawings and labels:
            to_draw = [(drawings[path], labels[path]) for path in batch.usable]
            attention_maps.write_maps(to_draw, loaded, batch.images_BHWC)
        for path in batch.paths:
            if reason := batch.reasons.get(path):
                yield Answer(_printable(path), error=reason)
            else:
                drawn = _printable(drawings.get(path, ""))
                yield Answer(_printable(path), labels[path], maps=drawn, predicted=found[path][1])
    if not_turned and exif is None:
        progress.say(
            f"{len(not_turned):,} of {len(paths):,} images have an EXIF orientation, which was ignored, as in"
            f" the model's training; to turn them, add --exif turn (the first: {_printable(not_turned[0])})"
        )


def _map_name(number: int, path: Path) -> str:
    """The file name of an image's attention maps, cut to a length that file systems accept."""
    return f"{number:04d}-{os.fsencode(path.stem)[:LONGEST_STEM].decode(errors='ignore')}.png"


def _printable(path: Path | str) -> str:
    r"""The path as text that can be written: bytes of a name that are not UTF-8 become `\xe9`."""
    return os.fsencode(path).decode(errors="backslashreplace")


def rank_labels(
    loaded: LoadedModel, images_BHWC: PixelArray, choice: Choice
) -> Iterator[tuple[RankedLabels, frozenset[str] | None]]:
    """The labels of each image of a batch, and those that pass their threshold, if there are any.

    images_BHWC: of the side that the model takes; there may be none.
    """
    if not len(images_BHWC):
        return
    logits_BC = loaded.logits(images_BHWC).astype(np.float64)
    passes_BC = loaded.predicted(logits_BC)
    for number, confidences_C in enumerate(expit(logits_BC)):
        predicted = None
        if passes_BC is not None:
            predicted = frozenset(loaded.labels[c] for c in np.flatnonzero(passes_BC[number]))
        yield choice.select(loaded.labels, confidences_C, predicted), predicted
