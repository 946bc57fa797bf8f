"""Run a trained model on test images for the report, and find the positions of labels in these images.

Legend: B images of a batch, M images of the report, C labels, K neurons, H = W = positions along a side of
the maps, S side of an image in pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from bench.base.errors import InputError
from bench.data import formats
from bench.data.cards import Card
from bench.data.formats import Box
from bench.data.store import View
from bench.deploy.load_model import LoadedModel
from bench.scoring.matrices import Array
from bench.training import batches, device
from bench.training.method import Explainable, Explanation

BY_BOXES = "the centres of the annotations' boxes, for labels with one box in an image"
BY_MASS = "the centres of mass of attention, which the neurons see, because there are no boxes here"
BATCH = 50
REMOVALS = 160_000  # maps to remove for influence (images x labels): with 80 labels some minutes on a CPU


@dataclass(frozen=True)
class ModelOutputs:
    """What a model computes for some test images.

    rows_M: the images' rows in the view. logits: by branch (M, C), the prediction last. influence_CC: how
    much the map of a label (row) adds to each label's logit (column), the mean over the images that have the
    row's label; NaN where no image has it.
    """

    rows_M: NDArray[np.int64]
    ids: tuple[str, ...]
    pixels_MSS3: NDArray[np.uint8]
    labels_MC: NDArray[np.int8]
    logits: Mapping[str, Array]
    attention_MCHW: Array
    weighted_MCHW: Array
    neurons_MK: Array
    influence_CC: Array

    @property
    def prediction_MC(self) -> Array:
        """The logits of the last branch."""
        return self.logits[list(self.logits)[-1]]


def can_explain(loaded: LoadedModel) -> bool:
    """Whether the model's method has the maps and neurons that the report shows."""
    return isinstance(loaded.model, Explainable)


@torch.no_grad()
def collect_outputs(loaded: LoadedModel, view: View, *, images: int) -> ModelOutputs:
    """The model's outputs for this many images of a view, spread evenly over it."""
    rows_M = np.unique(np.linspace(0, len(view) - 1, min(images, len(view))).astype(np.int64))
    labels_MC = view.labels_NC[rows_M]
    influence_images = max(1, REMOVALS // labels_MC.shape[1])
    explanations: list[Explanation] = []
    sums_CC, counts_C = np.zeros((labels_MC.shape[1],) * 2), np.zeros(labels_MC.shape[1])
    model, target = cast("Explainable", loaded.model), loaded.transform.device
    for images_BHWC, labels_BC in batches.read_ahead(view, _batches(rows_M), target):
        inputs = loaded.transform.normalise(images_BHWC.permute(0, 3, 1, 2).float())
        with device.autocast(target):
            explanations.append(model.explain(inputs))
        if len(explanations) * BATCH <= max(influence_images, BATCH):
            influence_BCC = model.influence(_in_float32(model, inputs, explanations[-1]))
            sums_CC += torch.einsum("bi,bij->ij", labels_BC, influence_BCC).cpu().numpy()
            counts_C += labels_BC.sum(dim=0).cpu().numpy()
    unknown_CC = np.full_like(sums_CC, np.nan)
    branches = list(explanations[0].logits)
    return ModelOutputs(
        rows_M=rows_M,
        ids=tuple(str(name) for name in view.column("id")[rows_M]),
        pixels_MSS3=view.images(rows_M),
        labels_MC=labels_MC,
        logits={name: _joined([batch.logits[name] for batch in explanations]) for name in branches},
        attention_MCHW=_joined([batch.attention_BCHW for batch in explanations]),
        weighted_MCHW=_joined([batch.weighted_BCHW for batch in explanations]),
        neurons_MK=_joined([batch.neurons_BK for batch in explanations]),
        influence_CC=np.divide(sums_CC, counts_C[:, None], out=unknown_CC, where=counts_C[:, None] > 0),
    )


def _in_float32(model: Explainable, images_BCHW: torch.Tensor, explanation: Explanation) -> Explanation:
    """The explanation without autocast: influence is a difference of logits that are nearly equal."""
    is_float32 = device.precision(images_BCHW.device) is torch.float32
    return explanation if is_float32 else model.explain(images_BCHW)


def _batches(rows_M: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return np.split(rows_M, range(BATCH, len(rows_M), BATCH))


def _joined(parts: Sequence[torch.Tensor]) -> Array:
    return np.asarray(torch.cat([part.float().cpu() for part in parts]).numpy())


def boxes(card: Card, source: Path | None, ids: Sequence[str]) -> list[list[Box]] | None:
    """The boxes of the labels in the test images with these ids; None if there are no annotations with boxes.

    InputError: the annotations lack one of the images.
    """
    read = formats.boxes(card.format)
    if read is None or (card.obtain and source is None):
        return None
    by_id = dict(read(card, "test", source))
    if missing := [name for name in ids if name not in by_id]:
        raise InputError(f"the annotations in {source} do not have image {missing[0]!r} of the store")
    return [by_id[name] for name in ids]


def box_centres(boxes_of_images: Sequence[Sequence[Box]], labels: int) -> Array:
    """(M, C, 2): how far down and across the centre of a label's box is, in percent of the image's sides.

    NaN unless the label has exactly one box in the image. labels: C.
    """
    centres_MC2 = np.full((len(boxes_of_images), labels, 2), np.nan)
    for image, image_boxes in enumerate(boxes_of_images):
        for label in {box.label for box in image_boxes}:
            label_boxes = [box for box in image_boxes if box.label == label]
            if len(label_boxes) == 1:
                (box,) = label_boxes
                centre = box.top + box.height / 2, box.left + box.width / 2
                centres_MC2[image, label] = 100 * np.array(centre)
    return centres_MC2


def centres_of_mass(attention_MCHW: Array, labels_MC: Array) -> Array:
    """(M, C, 2): how far down and across the mean position of a map is, in percent of the image's sides.

    NaN unless the image has the label.

    >>> centres_of_mass(np.array([[[[0.0, 1.0], [0.0, 0.0]]]]), np.ones((1, 1))).tolist()
    [[[25.0, 75.0]]]
    """
    total_MC = attention_MCHW.sum(axis=(2, 3))
    centres = []
    for other_axis in (3, 2):
        profile_MCH = attention_MCHW.sum(axis=other_axis)
        middles_H = 100 * (np.arange(profile_MCH.shape[2]) + 0.5) / profile_MCH.shape[2]
        centres.append((profile_MCH @ middles_H) / total_MC)
    return np.where((labels_MC == 1)[:, :, None], np.stack(centres, axis=-1), np.nan)
