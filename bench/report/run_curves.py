"""Read the logs of runs and draw their curves: loss and held-out mAP over the epochs of all stages."""

from pathlib import Path
from typing import Any

from bench.base.errors import InputError
from bench.base.run_folder import RunFolder
from bench.training import log
from bench.training.log import EpochRow

SUFFIXES = (".pdf", ".png", ".svg")


def draw(runs: dict[str, list[EpochRow]], *, title: str) -> Any:
    """A matplotlib figure with one colour per run; dotted lines show where a stage begins."""
    from matplotlib import rc_context  # noqa: PLC0415 (slow to import, and not needed for an error message)

    with rc_context({"text.parse_math": False}):  # a name with `$` is text, never mathematics
        return _draw(runs, title)


def _draw(runs: dict[str, list[EpochRow]], title: str) -> Any:
    from matplotlib.figure import Figure  # noqa: PLC0415 (as above)
    from matplotlib.ticker import LogFormatter  # noqa: PLC0415 (as above)

    figure = Figure(figsize=(9, 8), layout="constrained")
    loss_axis, mAP_axis = figure.subplots(2, 1, sharex=True)
    for number, (name, rows) in enumerate(runs.items()):
        colour, epochs = f"C{number % 10}", range(1, len(rows) + 1)
        loss_axis.plot(epochs, [row["loss"] for row in rows], color=colour, label=name)
        loss_axis.plot(
            epochs, [_none_to_nan(row["held_out_loss"]) for row in rows], color=colour, linestyle="--"
        )
        mAP_axis.plot(epochs, [_none_to_nan(row["held_out_mAP"]) for row in rows], color=colour, label=name)
        for start in starts(rows):
            mAP_axis.axvline(start, color=colour, linestyle=":", linewidth=0.8)
    loss_axis.set(title=title, ylabel="loss per image [unit of its stage]\n(dashed: held out)", yscale="log")
    loss_axis.yaxis.set_major_formatter(LogFormatter())  # the usual ones write powers as mathematics
    loss_axis.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=True))
    mAP_axis.set(xlabel="epoch, over all stages", ylabel="held-out mAP [%]")
    mAP_axis.legend(fontsize="small")
    return figure


def starts(rows: list[EpochRow]) -> list[int]:
    """The first epoch of each stage but the first; epochs are counted from 1 over all stages.

    >>> starts([{"stage": "main"}, {"stage": "main"}, {"stage": "joint"}])
    [3]
    """
    return [n + 1 for n in range(1, len(rows)) if rows[n]["stage"] != rows[n - 1]["stage"]]


def _none_to_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def read(folder: RunFolder, methods: list[str]) -> dict[str, list[EpochRow]]:
    """The logged epochs of the methods' runs, by the run's name; InputError if there are none."""
    paths = [path for path in folder.logs if _method(path) in methods]
    runs = {path.stem: rows for path in paths if (rows := log.rows(path))}
    if not runs:
        remedy = "run python -m bench.run first (stages without epochs leave none)"
        raise InputError(f"no log of {', '.join(methods)} in {folder.path}: {remedy}")
    return runs


def _method(path: Path) -> str:
    """The method of a log: `srn` of `srn@epochs=2-seed1.jsonl` and of `srn-seed0.jsonl`."""
    return path.stem.partition("@")[0].rpartition("-seed")[0] or path.stem.partition("@")[0]
