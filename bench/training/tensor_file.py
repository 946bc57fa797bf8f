"""Files of tensors and facts, written whole or not at all: safetensors with a checksum."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from bench.base.atomic_files import write_atomically
from bench.base.errors import InputError


def save(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors, and facts as JSON, to a file that holds a checksum of both."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"facts": json.dumps(facts), "sha256": _checksum(contiguous, facts)}
    write_atomically(path, safetensors.torch.save(contiguous, metadata))


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, facts) of a file written by `save`; InputError where it is damaged."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        facts = json.loads(metadata["facts"])
    except (OSError, safetensors.SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); delete it and run again") from error
    if metadata.get("sha256") != _checksum(tensors, facts):
        raise InputError(f"{path} is damaged (its checksum does not match); delete it and run again")
    return tensors, facts


def _checksum(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> str:
    """SHA-256 of the facts and of each tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"{name}{tensors[name].dtype}{tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
