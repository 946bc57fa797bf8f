"""Find the same file in the training and the test set before any image is decoded."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

TAIL = 4096  # bytes that are compared first; the ends of photographs differ


def equal_files(train: Iterable[str], test: Iterable[str]) -> dict[str, str]:
    """Training file -> a test file with the same bytes. Only files of equal size are opened."""
    sizes: dict[int, list[str]] = defaultdict(list)
    for file in test:
        sizes[_size(file)].append(file)
    same_size = {file: sizes[size] for file in train if (size := _size(file)) and size in sizes}
    candidates = _equal(same_size, TAIL)
    return {file: tests[0] for file, tests in _equal(candidates, None).items()}


def _size(file: str) -> int:
    """In bytes; 0 if there is no such file."""
    try:
        return Path(file).stat().st_size
    except (OSError, ValueError):
        return 0


def _equal(candidates: dict[str, list[str]], last: int | None) -> dict[str, list[str]]:
    """Of each training file, the test files whose last bytes, or all if None, are the same."""
    digests: dict[str, str] = {}

    def digest(file: str) -> str:
        if file not in digests:
            digests[file] = _digest(file, last)
        return digests[file]

    found = {
        file: [other for other in others if other == file or (digest(file) and digest(file) == digest(other))]
        for file, others in candidates.items()
    }
    return {file: others for file, others in found.items() if others}


def _digest(file: str, last: int | None) -> str:
    """SHA-256 of the last bytes, or of all; "" if the file cannot be read."""
    try:
        with Path(file).open("rb") as opened:
            if last is None:
                return hashlib.file_digest(opened, "sha256").hexdigest()
            opened.seek(-min(last, _size(file)), 2)
            return hashlib.sha256(opened.read()).hexdigest()
    except (OSError, ValueError):
        return ""
