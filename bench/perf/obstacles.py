"""Look for what would stop a run in the night: disk, memory, GPU, weights, limits of the system."""

import os
import resource
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.base.errors import InputError
from bench.base.processes import cores
from bench.training import trunk

OPEN_FILES = 1024  # a store's shards and several processes need a few hundred
GB = 1e9


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; stops: whether a run would fail because of it."""

    what: str
    text: str
    stops: bool = False


def look(
    *, target: torch.device, disk_bytes: int, host_bytes: int, folder: Path, trunks: Iterable[tuple[str, str]]
) -> Iterator[Finding]:
    """Everything that can be looked at beforehand.

    disk_bytes: what store and runs of the whole data set take. host_bytes: memory of one training process.
    folder: where the data sets will be prepared; its disk counts. trunks: of the recipes, (timm's name, file
    of weights or "").
    """
    free = shutil.disk_usage(existing(folder)).free
    yield Finding(
        "disk", f"{disk_bytes / GB:.1f} GB are needed, {free / GB:.1f} GB are free", free < disk_bytes
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    needed = f"{host_bytes / GB:.1f} GB were in use at most, of {memory / GB:.1f} GB"
    yield Finding("memory", needed, host_bytes > 0.9 * memory)
    yield _gpu(target)
    yield Finding("cores", f"{cores()}: preparation uses all, training one for each GPU")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield Finding("open files", f"{limit} are allowed (ulimit -n)", limit < OPEN_FILES)
    for name, weights in trunks:
        yield _weights(name, weights)


def existing(folder: Path) -> Path:
    """The folder, or the innermost folder above it that exists.

    >>> existing(Path("/no/such/folder"))
    PosixPath('/')
    """
    return folder if folder.exists() else existing(folder.absolute().parent)


def _gpu(target: torch.device) -> Finding:
    if target.type != "cuda":
        return Finding(
            "GPU", "none: the networks of the paper would train at a few images a second", stops=True
        )
    facts = torch.cuda.get_device_properties(target)
    free, total = torch.cuda.mem_get_info(target)
    return Finding(
        "GPU", f"{facts.name}, {free / GB:.0f} of {total / GB:.0f} GB free, CUDA {torch.version.cuda}"
    )


def _weights(name: str, weights: str) -> Finding:
    """Whether the trunk's weights are there or can be downloaded; the real run then finds them there."""
    try:
        trunk.load_trunk(name, weights=weights)
    except InputError as error:
        return Finding("weights", str(error), stops=True)
    return Finding("weights", f"{name}: there")
