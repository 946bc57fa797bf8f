"""Checksums that files carry of their own content, so that damage and changes by hand are noticed.

They are no signature: whoever wants to can compute them again.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bench.base.errors import InputError

KEY = "checksum"


def of_parts(*parts: bytes) -> str:
    """SHA-256 of the parts and their lengths, in hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def of_object(table: Mapping[str, Any]) -> str:
    """The checksum of a JSON object without its key `checksum`; order of keys and layout do not matter.

    InputError for what JSON cannot hold, as infinity, which Python reads from 1e999.

    >>> of_object({"a": 1, "b": 2.5}) == of_object({"b": 2.5, "a": 1, "checksum": "any"})
    True
    """
    content = {key: value for key, value in table.items() if key != KEY}
    try:
        plain = json.loads(json.dumps(content, allow_nan=False))  # keys that are numbers become text
        return of_parts(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode())
    except RecursionError as fault:
        raise InputError("nested too deeply") from fault
    except ValueError as fault:
        raise InputError("it holds a number that is too large") from fault
