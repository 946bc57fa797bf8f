"""Find files with the same bytes."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from bench.base.errors import InputError


def equal_files(root: Path, names: Sequence[str]) -> dict[str, str]:
    """File -> the first file in order with the same bytes, for every further file that has them.

    Only files of equal size are read.
    """
    by_size: dict[int, list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        by_size[(root / name).stat().st_size].append(name)
    first: dict[str, str] = {}
    equal: dict[str, str] = {}
    for same in by_size.values():
        for name in same if len(same) > 1 else ():
            original = first.setdefault(_digest(root / name), name)
            if original != name:
                equal[name] = original
    return equal


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}; change its rights or remove it"
        ) from error
