"""Describe how a result was made: git commit, package versions, hardware, time."""

import datetime as dt
import hashlib
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.base import search_path
from bench.base.paths import METHODS, PACKAGE, ROOT

PACKAGE_NAME = "multilabel-bench"
PACKAGES = ("torch", "torchvision", "timm", "datasets", "numpy", "scikit-learn")


def provenance(hardware: str, *, threads: int) -> dict[str, Any]:
    """The `provenance` part of a record.

    Outside a git checkout, as where the suite is installed, `commit` and `dirty` are None, and `installed`
    has the package's version and a digest of its Python files. `own_files`: SHA-256 of the user's cards and
    methods, which no commit and no version of ours says.
    """
    commit = _git("rev-parse", "HEAD") if _is_checkout() else None
    own = _own_files()
    return {
        "commit": commit,
        "dirty": bool(_git("status", "--porcelain")) if commit else None,
        **({} if commit else {"installed": {"version": _version(PACKAGE_NAME), "code": _code()}}),
        **({"own_files": own} if own else {}),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "hardware": hardware,
        "threads": threads,
        "written": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }


def _is_checkout() -> bool:
    """Whether git knows the suite's own folder; an environment may lie inside the repository of another."""
    top = _git("rev-parse", "--show-toplevel")
    return top is not None and Path(top).resolve() == ROOT


def _code() -> str:
    """SHA-256 of the names and the contents of the suite's Python files."""
    whole = hashlib.sha256()
    for path in sorted(path for folder in (PACKAGE, METHODS) for path in folder.rglob("*.py")):
        whole.update(f"{path.relative_to(ROOT).as_posix()} {_digest(path)}\n".encode())
    return whole.hexdigest()


def _own_files() -> dict[str, str]:
    """The user's cards and methods on the search path, as `methods/mine.py`: SHA-256."""
    return {
        f"{kind}/{path.name}": _digest(path)
        for kind, ending in search_path.ENDING.items()
        for folder in search_path.own_folders(kind)
        for path in sorted(folder.glob(f"*{ending}"))
    }


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _git(*arguments: str) -> str | None:
    """The output of a git command; None if it fails."""
    try:
        result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
