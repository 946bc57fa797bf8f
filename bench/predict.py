"""Weights + view -> the predictions file: logits and labels of every image, all that metrics need.

Legend: N images, C labels.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
import torch
from numpy.typing import NDArray
from torch import nn

from bench import batches, device
from bench.batches import Pixels
from bench.distribute import ALONE, Crew
from bench.errors import InputError
from bench.files import write_atomically
from bench.store import View

SCHEMA = "multilabel-bench/predictions/1"


@dataclass(frozen=True)
class Predictions:
    """logits_NC float32, labels_NC (1, 0 or -1), and in `facts` ids, label names and provenance."""

    logits_NC: NDArray[np.float32]
    labels_NC: NDArray[np.int8]
    facts: Mapping[str, Any]


@torch.no_grad()
def predict(
    model: nn.Module, view: View, pixels: Pixels, *, batch_size: int = 96, crew: Crew = ALONE
) -> NDArray[np.float32]:
    """The final logits (N, C) of every image of a view, in its order."""
    crew.same_statistics(model)
    model.eval()
    dealt = []
    for batch in batches.evaluation(view, batch_size=batch_size, pixels=pixels, crew=crew):
        with device.autocast(pixels.device):
            dealt.append(model.logits(batch.images_BCHW).float())  # type: ignore[operator]
    logits_NC: NDArray[np.float32] = torch.cat(crew.gather([logits_BC.cpu() for logits_BC in dealt])).numpy()
    return logits_NC


def write(path: Path, predictions: Predictions) -> None:
    """Write a predictions file: safetensors, the facts as JSON in its header."""
    tensors: dict[str, NDArray[Any]] = {"logits": predictions.logits_NC, "labels": predictions.labels_NC}
    header = {"schema": SCHEMA, "facts": json.dumps(predictions.facts)}
    write_atomically(path, safetensors.numpy.save(tensors, header))


def read(path: Path) -> Predictions:
    """The predictions in a file; InputError says why it is none."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("schema") != SCHEMA:
                raise InputError(f"{path} is no predictions file: schema {header.get('schema')!r}")
            logits_NC, labels_NC = file.get_tensor("logits"), file.get_tensor("labels")
    except (OSError, safetensors.SafetensorError) as fault:
        raise InputError(f"{path} is no predictions file: {fault}") from fault
    return Predictions(logits_NC, labels_NC, json.loads(header["facts"]))
