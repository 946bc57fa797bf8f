"""The predictions file: logits and labels of every image, all that metrics need; no torch.

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
from numpy.typing import NDArray

from bench.base.atomic_files import write_atomically
from bench.base.errors import InputError
from bench.scoring.matrices import is_matrix

SCHEMA = "multilabel-bench/predictions/1"


@dataclass(frozen=True)
class Predictions:
    """logits_NC float32, labels_NC (1, 0 or -1), and in `facts` dataset, label_names and ids."""

    logits_NC: NDArray[np.float32]
    labels_NC: NDArray[np.int8]
    facts: Mapping[str, Any]


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write a predictions file: safetensors, the facts as JSON in its header."""
    tensors: dict[str, NDArray[Any]] = {"logits": predictions.logits_NC, "labels": predictions.labels_NC}
    header = {"schema": SCHEMA, "facts": json.dumps(predictions.facts)}
    write_atomically(path, safetensors.numpy.save(tensors, header))


def read_predictions(path: Path) -> Predictions:
    """The predictions in a file; InputError says why it is none."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("schema") != SCHEMA:
                raise InputError(f"schema {header.get('schema')!r}, not {SCHEMA!r}")
            found = Predictions(file.get_tensor("logits"), file.get_tensor("labels"), _facts(header))
        _check(found)
    except (OSError, TypeError, InputError, safetensors.SafetensorError) as fault:
        raise InputError(f"{path} is no predictions file: {fault}") from fault
    return found


def _facts(header: Mapping[str, str]) -> dict[str, Any]:
    try:
        facts = json.loads(header.get("facts", ""))
    except ValueError as fault:
        raise InputError(f"the facts in its header are not JSON ({fault})") from fault
    if not isinstance(facts, dict):
        raise InputError("the facts in its header are no JSON object")
    return facts


def _check(found: Predictions) -> None:
    """InputError unless there are as many logits as labels, names and ids."""
    shapes = found.logits_NC.shape, found.labels_NC.shape
    if shapes[0] != shapes[1] or not (is_matrix(found.logits_NC) and is_matrix(found.labels_NC)):
        raise InputError(f"logits have shape {shapes[0]}, labels {shapes[1]}; N x C expected")
    for name, count in zip(("ids", "label_names"), shapes[0], strict=True):
        values = found.facts.get(name, [""] * count)
        if not isinstance(values, list) or len(values) != count:
            raise InputError(f"{name} in its header must be a list of {count}")
