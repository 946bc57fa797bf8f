"""The last page of a rehearsal: what the whole data set takes on this machine, and what would stop it."""

from collections.abc import Iterator
from pathlib import Path

import torch

from bench.data.cards import Card
from bench.perf import obstacles
from bench.perf.rehearsal import Measured
from bench.training import device

GB = 1e9


def page(card: Card, measured: Measured, *, target: torch.device, is_small: bool, data: Path) -> str:
    """The page as Markdown; is_small: a small network stood for the real one; data: of the real run."""
    return "\n".join(_lines(card, measured, target, is_small=is_small, data=data)) + "\n"


def _lines(
    card: Card, measured: Measured, target: torch.device, *, is_small: bool, data: Path
) -> Iterator[str]:
    share = f"{measured.share:.2%}" if measured.share < 1 else "all"
    yield f"# Rehearsal of {card.title}: {share} of its images, on {device.hardware(target)}"
    yield from (
        "",
        "The files were made up and each stage trained for one epoch: no number here is a result.",
    )
    yield from ("", "| step | seconds |", "| --- | ---: |")
    for name, seconds in measured.seconds.items():
        yield f"| {name} | {seconds:.1f} |"
    yield from ("", "## What all of it takes", "")
    for name, size in full_bytes(measured).items():
        yield f"- {name}: {size / GB:.1f} GB of disk"
    yield f"- memory of a training process: {measured.host_bytes / GB:.1f} GB"
    if target.type == "cuda":
        yield f"- memory of the GPU: {measured.device_bytes / GB:.1f} GB"
    if "prepare" in measured.seconds:
        yield f"- preparation: {measured.seconds['prepare'] / measured.share / 3600:.2f} hours"
    if is_small:
        yield "- hours of training: not known, a small network was trained because there is no GPU"
    else:
        by_method = ", ".join(f"{name} {hours:.2f}" for name, hours in measured.hours.items())
        yield f"- hours of training, from the first epoch's speed: {by_method}"
    yield from ("", "## What would stop it", "")
    yield from _findings(measured, target, data)


def full_bytes(measured: Measured) -> dict[str, int]:
    """The disk that the whole data set takes, by what is stored; runs do not grow with the data set."""
    names = {"files": "original files", "store": "prepared store", "runs": "runs, one seed"}
    return {
        names[name]: round(size / (1 if name == "runs" else measured.share))
        for name, size in measured.bytes.items()
    }


def _findings(measured: Measured, target: torch.device, data: Path) -> Iterator[str]:
    sizes = full_bytes(measured)
    needed = sum(size for name, size in sizes.items() if name != "original files")
    facts = {"disk_bytes": needed, "host_bytes": measured.host_bytes}
    findings = list(obstacles.look(target=target, folder=data, trunks=measured.trunks, **facts))
    for finding in sorted(findings, key=lambda finding: not finding.stops):
        yield f"- {'STOPS: ' if finding.stops else ''}{finding.what}: {finding.text}"
