"""Read the logs of runs and draw their curves over the epochs of all stages: loss, mAP, learning rate."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.base.errors import InputError
from bench.base.run_folder import RunFolder
from bench.training import log
from bench.training.log import EpochRow

SUFFIXES = (".pdf", ".png", ".svg")
RAW = {name: f"raw_{name}" for name in ("held_out_loss", "held_out_mAP")}  # beside those of averaged weights
FURTHER = ("lr_first", *RAW.values(), "averaged_held_out_loss", "averaged_held_out_mAP")
FURTHER += ("test_mAP", "raw_test_mAP", "averaged_test_mAP")


def draw(runs: dict[str, list[EpochRow]], *, title: str) -> Any:
    """A matplotlib figure with one colour per run; dotted lines show where a stage begins."""
    from matplotlib import rc_context  # noqa: PLC0415 (slow to import, and not needed for an error message)

    with rc_context({"text.parse_math": False}):  # a name with `$` is text, never mathematics
        return _draw(runs, title)


def _draw(runs: dict[str, list[EpochRow]], title: str) -> Any:
    from matplotlib.figure import Figure  # noqa: PLC0415 (as above)
    from matplotlib.ticker import LogFormatter  # noqa: PLC0415 (as above)

    figure = Figure(figsize=(9, 10), layout="constrained")
    loss_axis, mAP_axis, lr_axis = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.5))
    for number, (name, rows) in enumerate(runs.items()):
        colour = f"C{number % 10}"
        _curve(loss_axis, rows, "loss", color=colour, label=name)
        _curve(loss_axis, rows, RAW["held_out_loss"], "held_out_loss", color=colour, linestyle="--")
        _curve(loss_axis, rows, "averaged_held_out_loss", color=colour, linestyle="-.")
        _curve(mAP_axis, rows, RAW["held_out_mAP"], "held_out_mAP", color=colour, label=name)
        _curve(mAP_axis, rows, "averaged_held_out_mAP", color=colour, linestyle="-.")
        _curve(mAP_axis, rows, "test_mAP", color=colour, linestyle="", marker="x")
        for start in starts(rows):
            mAP_axis.axvline(start, color=colour, linestyle=":", linewidth=0.8)
        lr_axis.plot(*rates(rows), color=colour)
    loss_axis.set(title=title, ylabel="loss per image [unit of its stage]\n(dashed: held out)", yscale="log")
    mAP_axis.set(ylabel="held-out mAP [%]")
    lr_axis.set(xlabel=f"epoch, over all stages{legend(runs.values())}", ylabel="learning rate", yscale="log")
    for axis in (loss_axis, lr_axis):  # the usual ones write powers as mathematics
        axis.yaxis.set_major_formatter(LogFormatter())
        axis.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=True))
    mAP_axis.legend(fontsize="small")
    return figure


def _curve(axis: Any, rows: list[EpochRow], field: str, otherwise: str = "", **style: Any) -> None:
    """A curve of a field, or of another one in epochs without it; none where no epoch has either."""
    values: list[float | None] = [row.get(field, row.get(otherwise)) for row in rows]
    if otherwise or any(value is not None for value in values):
        axis.plot(range(1, len(rows) + 1), [*map(_none_to_nan, values)], **style)


def rates(rows: list[EpochRow]) -> tuple[list[float], list[float]]:
    """Positions and learning rates: of the first step of each epoch, where it begins, and of its last.

    >>> rates([{"lr": 0.1}, {"lr_first": 0.2, "lr": 0.4}])
    ([0, 1, 1, 2], [0.1, 0.1, 0.2, 0.4])
    """
    ends = [(row.get("lr_first") or row["lr"], row["lr"]) for row in rows]
    return [end for n in range(len(rows)) for end in (n, n + 1)], [lr for pair in ends for lr in pair]


def legend(runs: Iterable[list[EpochRow]]) -> str:
    """What the curves mean that only some runs have."""
    fields = {field for rows in runs for row in rows for field in row}
    texts = ["; dash-dotted: averaged weights"] if "averaged_held_out_loss" in fields else []
    texts += ["; crosses: the test set, watched only"] if "test_mAP" in fields else []
    return "".join(texts)


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
