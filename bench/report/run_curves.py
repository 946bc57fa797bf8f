"""Draw the curves of runs from their logs: loss and held-out mAP over the epochs of all stages."""

from pathlib import Path
from typing import Any

from bench.base.errors import InputError
from bench.base.run_folder import RunFolder
from bench.training import log
from bench.training.log import EpochRow

KINDS = (".pdf", ".png", ".svg")


def draw(runs: dict[str, list[EpochRow]], *, title: str) -> Any:
    """A figure of matplotlib's with a colour for each run; dotted lines are where a stage begins."""
    from matplotlib.figure import Figure  # noqa: PLC0415 (slow to import, and not needed to say what is wrong)

    figure = Figure(figsize=(9, 8), layout="constrained")
    losses, maps = figure.subplots(2, 1, sharex=True)
    for number, (name, rows) in enumerate(runs.items()):
        colour, epochs = f"C{number % 10}", range(1, len(rows) + 1)
        losses.plot(epochs, [row["loss"] for row in rows], color=colour, label=name)
        losses.plot(epochs, [row["held_out_loss"] for row in rows], color=colour, linestyle="--")
        maps.plot(epochs, [_number(row["held_out_mAP"]) for row in rows], color=colour, label=name)
        for start in starts(rows):
            maps.axvline(start, color=colour, linestyle=":", linewidth=0.8)
    losses.set(title=title, ylabel="loss per image [unit of its stage]\n(dashed: held out)", yscale="log")
    maps.set(xlabel="epoch, over all stages", ylabel="held-out mAP [%]")
    maps.legend(fontsize="small")
    return figure


def starts(rows: list[EpochRow]) -> list[int]:
    """The numbers, from 1 over all stages, of the epochs with which a stage after the first begins.

    >>> starts([{"stage": "main"}, {"stage": "main"}, {"stage": "joint"}])
    [3]
    """
    return [n + 1 for n in range(1, len(rows)) if rows[n]["stage"] != rows[n - 1]["stage"]]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def read(folder: RunFolder, methods: list[str]) -> dict[str, list[EpochRow]]:
    """The rows of the methods' runs by the run's name; InputError where there is none."""
    paths = [path for path in folder.logs if _method(path) in methods]
    runs = {path.stem: rows for path in paths if (rows := log.rows(path))}
    if not runs:
        wanted = ", ".join(methods)
        remedy = "run python -m bench.run first (stages without epochs leave none)"
        raise InputError(f"no log of {wanted} in {folder.path}: {remedy}")
    return runs


def _method(path: Path) -> str:
    return path.stem.partition("@")[0].rpartition("-seed")[0] or path.stem.partition("@")[0]
