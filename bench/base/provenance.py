"""Describe how a result was made: git commit, package versions, hardware, time."""

import datetime as dt
import platform
import subprocess
from importlib import metadata
from typing import Any

from bench.base.paths import ROOT

PACKAGES = ("torch", "torchvision", "timm", "datasets", "numpy", "scikit-learn")


def provenance(hardware: str, *, threads: int) -> dict[str, Any]:
    """The `provenance` part of a record; `commit` and `dirty` are None outside a git checkout."""
    commit = _git("rev-parse", "HEAD")
    return {
        "commit": commit,
        "dirty": bool(_git("status", "--porcelain")) if commit else None,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "hardware": hardware,
        "threads": threads,
        "written": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }


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
