"""Read and write the predictions file: logits and labels of all images, which is all that metrics need.

Shapes: N images, C labels.
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
    """Logits, labels (1, 0 or -1) and `facts`: "dataset", "label_names" (C texts) and "ids" (N texts)."""

    logits_NC: NDArray[np.float32]
    labels_NC: NDArray[np.int8]
    facts: Mapping[str, Any]


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write a predictions file: safetensors with the facts as JSON in its header."""
    tensors: dict[str, NDArray[Any]] = {"logits": predictions.logits_NC, "labels": predictions.labels_NC}
    header = {"schema": SCHEMA, "facts": json.dumps(predictions.facts)}
    write_atomically(path, safetensors.numpy.save(tensors, header))


def read_predictions(path: Path) -> Predictions:
    """The predictions in a file; InputError if it is not a valid predictions file."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("schema") != SCHEMA:
                raise InputError(f"schema {header.get('schema')!r}, not {SCHEMA!r}")
            predictions = Predictions(file.get_tensor("logits"), file.get_tensor("labels"), _facts(header))
        _check_shapes(predictions)
    except (OSError, TypeError, InputError, safetensors.SafetensorError) as error:
        raise InputError(f"{path} is not a predictions file: {error}") from error
    return predictions


def _facts(header: Mapping[str, str]) -> dict[str, Any]:
    try:
        facts = json.loads(header.get("facts", ""))
    except ValueError as error:
        raise InputError(f"the facts in its header are not JSON ({error})") from error
    if not isinstance(facts, dict):
        raise InputError("the facts in its header are not a JSON object")
    return facts


def _check_shapes(predictions: Predictions) -> None:
    """InputError unless logits and labels are N x C and there are N ids and C label names."""
    shapes = predictions.logits_NC.shape, predictions.labels_NC.shape
    if shapes[0] != shapes[1] or not (is_matrix(predictions.logits_NC) and is_matrix(predictions.labels_NC)):
        raise InputError(f"logits have shape {shapes[0]}, labels {shapes[1]}; both must be N x C")
    for name, count in zip(("ids", "label_names"), shapes[0], strict=True):
        values = predictions.facts.get(name, [""] * count)
        if not isinstance(values, list) or len(values) != count:
            raise InputError(f"{name} in its header must be a list of {count}")
