"""Use a trained model from Python: `bench.load`, by the functions that `bench.predict` uses.

Legend: N images, B images of a batch, C labels.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy.special import expit

from bench.base.errors import InputError
from bench.data import decode, orientation
from bench.data.decode import PixelArray, Unusable
from bench.deploy.answers import Answer, Choice
from bench.deploy.find_run import find_run
from bench.deploy.load_model import LoadedModel, load_model
from bench.deploy.predict_images import rank_labels
from bench.training import device as devices

ImageLike = str | Path | Image.Image | PixelArray
BATCH = 32  # images, as bench.predict has them


@dataclass(frozen=True, repr=False)
class Model:
    """A trained model; make one with `bench.load`. `loaded` has its network, record and transform."""

    loaded: LoadedModel

    def __repr__(self) -> str:
        record = self.loaded.record
        return f"Model({record['method']} on {record['dataset']}, {len(self.labels)} labels)"

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels, in the order of the columns of `probabilities`."""
        return self.loaded.labels

    @property
    def record(self) -> Mapping[str, Any]:
        """The record of its run: scores, recipe, provenance."""
        return self.loaded.record

    def predict(
        self,
        images: Iterable[ImageLike],
        *,
        top: int | None = None,
        threshold: float | Literal["fitted"] | None = None,
        exif: Literal["turn", "ignore"] | None = None,
    ) -> list[Answer]:
        """The labels of each image with their confidences, the most confident first.

        images: paths, PIL images, or uint8 arrays (H, W, 3) of RGB, of any size. top: so many labels at most.
        threshold: only labels with at least this confidence or, if "fitted", those that pass the threshold of
        their label. exif: whether photographs are turned as EXIF says; None: as in the model's training.
        An answer has `image` (the path, or the image's number), `labels` (name, confidence), and `predicted`:
        those of its labels that pass their threshold, None for a run without thresholds.

        InputError names the image that cannot be used.
        """
        choice = self._choice(top, threshold)
        answers = []
        for names, images_BHWC in self._batches(images, exif):
            ranked = rank_labels(self.loaded, images_BHWC, choice)
            for name, (labels, predicted) in zip(names, ranked, strict=True):
                answers.append(Answer(name, labels, predicted=predicted))
        return answers

    def probabilities(
        self, images: Iterable[ImageLike], *, exif: Literal["turn", "ignore"] | None = None
    ) -> NDArray[np.float64]:
        """The confidence of each label for each image, (N, C); images and exif as for `predict`."""
        batches = self._batches(images, exif)
        parts = [expit(self.loaded.logits(images_BHWC).astype(np.float64)) for _, images_BHWC in batches]
        return np.concatenate([np.empty((0, len(self.labels))), *parts])

    def _choice(self, top: int | None, threshold: float | Literal["fitted"] | None) -> Choice:
        if top is not None and top < 1:
            raise InputError(f"top={top}: give at least 1, or None for all labels")
        if threshold == "fitted":
            if not self.loaded.thresholds:
                raise InputError(
                    'threshold="fitted": the run has no fitted thresholds, as an older version made it; '
                    "train it again with python -m bench.run --fresh, or give a number"
                )
            return Choice(top, fitted=True)
        if isinstance(threshold, str) or not 0 <= (threshold or 0) <= 1:
            raise InputError(f'threshold={threshold!r}: give a confidence from 0 to 1, or "fitted"')
        return Choice(top, threshold or 0.0)

    def _batches(
        self, images: Iterable[ImageLike], exif: str | None
    ) -> Iterator[tuple[list[str], PixelArray]]:
        """(the names of the images, their pixels at the size that the model takes), batch by batch."""
        if isinstance(images, str | Path | Image.Image):
            raise InputError("give a list of images, as in predict([image])")
        if exif not in (None, "turn", "ignore"):
            raise InputError(f'exif={exif!r}: choose from: "turn", "ignore", None')
        names: list[str] = []
        pixels: list[PixelArray] = []
        for number, image in enumerate(images):
            names.append(str(image) if isinstance(image, str | Path) else f"image {number}")
            pixels.append(self._pixels(image, names[-1], exif or self.loaded.exif))
            if len(names) == BATCH:
                yield names, np.stack(pixels)
                names, pixels = [], []
        if names:
            yield names, np.stack(pixels)

    def _pixels(self, image: ImageLike, name: str, exif: str) -> PixelArray:
        try:
            pixels_HWC = _read(image, exif)
        except Unusable as reason:
            raise InputError(f"{name}: {reason}") from reason
        return decode.resize(pixels_HWC, self.loaded.input_size, self.loaded.resample)


def load(run_or_export: str | Path, *, runs: Path | None = None, device: str = "auto") -> Model:
    """The model of a run, `demo/srn-seed0` or the path of its record, or of a folder that bench.export wrote.

    runs: the folder of runs, if it is not `runs`. device: auto (a GPU if there is one), cpu, cuda.
    InputError lists the runs there are, or says what is missing or damaged.
    """
    try:
        path = find_run(str(run_or_export), runs)
    except InputError as error:
        raise InputError(str(error).replace("--run ", "load: ", 1)) from error
    return Model(load_model(path, devices.choose(device)))


def _read(image: ImageLike, exif: str) -> PixelArray:
    """The image's RGB pixels (H, W, 3); Unusable with the reason."""
    if isinstance(image, str | Path):
        return orientation.read(Path(image), exif)
    if isinstance(image, Image.Image):
        return _of_pillow(image, exif)
    if not isinstance(image, np.ndarray):
        raise Unusable(f"a {type(image).__name__}; give a path, a PIL image, or a uint8 array (H, W, 3)")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise Unusable(f"an array of {image.dtype}, shape {image.shape}; give uint8, (H, W, 3), RGB")
    return np.ascontiguousarray(image)


def _of_pillow(image: Image.Image, exif: str) -> PixelArray:
    """The pixels that `decode` makes of the same image in a file."""
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        raise Unusable(f"a PIL image of mode {image.mode}; convert it to RGB")
    turned = ImageOps.exif_transpose(image) if exif == "turn" else image
    return np.asarray(turned if turned.mode == "RGB" else turned.convert("RGB"))
