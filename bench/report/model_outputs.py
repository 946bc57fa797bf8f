"""What a trained model tells of test images, and where the labels in them stand.

Legend: M images that were looked at, C labels, K neurons, H = W = positions along a side of the maps, S side.
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

BY_BOXES = "those of the annotations, of labels that are in an image once"
BY_MASS = "the attention's centres of mass, which the neurons see, as no boxes are here"
BATCH = 50
REMOVALS = 160_000  # images times labels whose maps are taken away: with 80 labels minutes on a CPU


@dataclass(frozen=True)
class ModelOutputs:
    """Of every image its row in the view, id, pixels, labels, each branch's logits, maps and neurons.

    influence_CC: what the map of a label adds to the logit of each label, in the mean over the images that
    have it (NaN where none has it).
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


def can_explain(trained: LoadedModel) -> bool:
    """Whether the model's method has what the report asks for."""
    return isinstance(trained.model, Explainable)


@torch.no_grad()
def collect_outputs(trained: LoadedModel, view: View, *, images: int) -> ModelOutputs:
    """The statement of a model on so many images of a view, evenly spread over it."""
    chosen = np.unique(np.linspace(0, len(view) - 1, min(images, len(view))).astype(np.int64))
    labels_MC = view.labels_NC[chosen]
    removed = max(1, REMOVALS // labels_MC.shape[1])
    found: list[Explanation] = []
    sums_CC, seen_C = np.zeros((labels_MC.shape[1],) * 2), np.zeros(labels_MC.shape[1])
    model, place = cast("Explainable", trained.model), trained.pixels.device
    for images_BHWC, labels_BC in batches.read_ahead(view, _batches(chosen), place):
        inputs = trained.pixels.normalise(images_BHWC.permute(0, 3, 1, 2).float())
        with device.autocast(place):
            found.append(model.explain(inputs))
        if len(found) * BATCH <= max(removed, BATCH):
            influence_BCC = model.influence(_exact(model, inputs, found[-1]))
            sums_CC += torch.einsum("bi,bij->ij", labels_BC, influence_BCC).cpu().numpy()
            seen_C += labels_BC.sum(dim=0).cpu().numpy()
    unknown = np.full_like(sums_CC, np.nan)
    return ModelOutputs(
        rows_M=chosen,
        ids=tuple(str(name) for name in view.column("id")[chosen]),
        pixels_MSS3=view.images(chosen),
        labels_MC=labels_MC,
        logits={name: _joined([one.logits[name] for one in found]) for name in found[0].logits},
        attention_MCHW=_joined([one.attention_BCHW for one in found]),
        weighted_MCHW=_joined([one.weighted_BCHW for one in found]),
        neurons_MK=_joined([one.neurons_BK for one in found]),
        influence_CC=np.divide(sums_CC, seen_C[:, None], out=unknown, where=seen_C[:, None] > 0),
    )


def _exact(model: Explainable, images_BCHW: torch.Tensor, found: Explanation) -> Explanation:
    """The explanation outside of autocast: influence subtracts logits that are nearly equal."""
    is_exact = device.precision(images_BCHW.device) is torch.float32
    return found if is_exact else model.explain(images_BCHW)


def _batches(chosen: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return np.split(chosen, range(BATCH, len(chosen), BATCH))


def _joined(parts: Sequence[torch.Tensor]) -> Array:
    return np.asarray(torch.cat([part.float().cpu() for part in parts]).numpy())


def boxes(card: Card, source: Path | None, ids: Sequence[str]) -> list[list[Box]] | None:
    """Where labels stand in the test images of these ids; None where no annotations here say so."""
    read = formats.boxes(card.format)
    if read is None or (card.obtain and source is None):
        return None
    there = dict(read(card, "test", source))
    if lost := [name for name in ids if name not in there]:
        raise InputError(f"the annotations in {source} do not have image {lost[0]!r} of the store")
    return [there[name] for name in ids]


def centres(found: Sequence[Sequence[Box]], labels: int) -> Array:
    """(M, C, 2): how far down and across a label's middle is, in percent of the image's sides; NaN unless the
    label is there exactly once.
    """
    places_MC2 = np.full((len(found), labels, 2), np.nan)
    for image, there in enumerate(found):
        for label in {box.label for box in there}:
            mine = [box for box in there if box.label == label]
            if len(mine) == 1:
                middle = mine[0].top + mine[0].height / 2, mine[0].left + mine[0].width / 2
                places_MC2[image, label] = 100 * np.array(middle)
    return places_MC2


def centres_of_mass(attention_MCHW: Array, labels_MC: Array) -> Array:
    """(M, C, 2): the mean position of a map in percent of the image's sides; NaN unless the label is there.

    >>> centres_of_mass(np.array([[[[0.0, 1.0], [0.0, 0.0]]]]), np.ones((1, 1))).tolist()
    [[[25.0, 75.0]]]
    """
    total_MC = attention_MCHW.sum(axis=(2, 3))
    places = []
    for axis in (3, 2):
        along_MCH = attention_MCHW.sum(axis=axis)
        middles_H = 100 * (np.arange(along_MCH.shape[2]) + 0.5) / along_MCH.shape[2]
        places.append((along_MCH @ middles_H) / total_MC)
    return np.where((labels_MC == 1)[:, :, None], np.stack(places, axis=-1), np.nan)
