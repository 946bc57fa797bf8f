"""Digests of values and files, of which the keys of stages and records are made."""

import dataclasses
import hashlib
import json

from bench.training.method import File


def content_digest(*parts: object) -> str:
    """SHA-256 of JSON values, dataclasses and recipe files; of a file its content counts, not its name."""
    text = json.dumps(parts, sort_keys=True, default=_as_json)
    return hashlib.sha256(text.encode()).hexdigest()


def _as_json(value: object) -> object:
    """The JSON value that stands for a value of another type in the digest."""
    if isinstance(value, File):
        return value.digest
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)
