"""What a result was made with, beside what determines it: commit, versions, hardware, time."""

import datetime as dt
import platform
import subprocess
from importlib import metadata
from typing import Any

from bench.base.paths import ROOT

PACKAGES = ("torch", "torchvision", "timm", "datasets", "numpy", "scikit-learn")


def provenance(hardware: str, *, threads: int) -> dict[str, Any]:
    """The record's `provenance`; a commit is None outside a git checkout."""
    commit = _git("rev-parse", "HEAD")
    return {
        "commit": commit,
        "dirty": bool(_git("status", "--porcelain")) if commit else None,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "hardware": hardware,
        "threads": threads,
        "written": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
