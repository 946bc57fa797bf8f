"""Neurons that know where a label stands (Fig. 5): chosen on one half of the images, measured on the other.

Of thousands of neurons the best correlates well by chance, so the half that chose it must not measure it. The
control repeats both steps with the places of a label dealt out anew among its images.
Legend: M images, C labels, K neurons.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import binomtest

from bench.report.figure import QUESTIONS, ReportFigure
from bench.report.figure_style import COLOURS, INK, Canvas, share, short
from bench.report.model_outputs import ModelOutputs
from bench.scoring.matrices import Array

AXES = ("vertical", "horizontal")
FEWEST = 20  # images of a label in each half
DEALS = 20  # of the control
SHOWN = 20  # labels


@dataclass(frozen=True)
class Sensitive:
    """The neuron that follows a label's place most closely, along one axis.

    chosen: the correlation in the half that chose it. unseen: in the other half, in the same direction.
    control, control_chosen: the same with dealt-out places, in the mean.
    """

    label: int
    axis: int
    neuron: int
    images: int
    chosen: float
    unseen: float
    control: float
    control_chosen: float


def correlations(neurons_MK: Array, place_M: Array) -> Array:
    """Pearson's correlation of every neuron with a place; 0 for a neuron that never changes.

    >>> correlations(np.array([[1.0, 5.0, 3.0], [2.0, 5.0, 2.0], [3.0, 5.0, 1.0]]), np.arange(3)).tolist()
    [1.0, 0.0, -1.0]
    """
    neurons_MK, place_M = neurons_MK - neurons_MK.mean(axis=0), place_M - place_M.mean()
    scale_K = np.sqrt((neurons_MK**2).sum(axis=0) * (place_M**2).sum())
    found_K = np.divide(place_M @ neurons_MK, scale_K, out=np.zeros_like(scale_K), where=scale_K > 1e-12)
    return np.asarray(found_K)


def sensitive(neurons_MK: Array, places_MC2: Array) -> list[Sensitive]:
    """For every label and axis its neuron; labels with too few images are left out."""
    return list(_sensitive(neurons_MK.astype(np.float64), places_MC2, np.random.default_rng(0)))


def _sensitive(neurons_MK: Array, places_MC2: Array, rng: np.random.Generator) -> Iterator[Sensitive]:
    for label in range(places_MC2.shape[1]):
        there = np.flatnonzero(~np.isnan(places_MC2[:, label, 0]))
        halves = there[::2], there[1::2]
        if len(halves[1]) < FEWEST:
            continue
        for axis in range(2):
            place_M = places_MC2[:, label, axis]
            neuron, r, unseen = _choose(neurons_MK, place_M, halves)
            dealt = [_choose(neurons_MK, _dealt(place_M, there, rng), halves) for _ in range(DEALS)]
            control = float(np.mean([one[2] for one in dealt]))
            by_chance = float(np.mean([abs(one[1]) for one in dealt]))
            yield Sensitive(label, axis, neuron, len(there), r, unseen, control, by_chance)


def _choose(
    neurons_MK: Array, place_M: Array, halves: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> tuple[int, float, float]:
    """(neuron, its correlation in the first half, and in the second half in the same direction)."""
    first_K = correlations(neurons_MK[halves[0]], place_M[halves[0]])
    neuron = int(np.abs(first_K).argmax())
    r = float(first_K[neuron])
    second = correlations(neurons_MK[halves[1]][:, [neuron]], place_M[halves[1]])[0]
    return neuron, r, float(second * np.sign(r))


def _dealt(place_M: Array, there: NDArray[np.int64], rng: np.random.Generator) -> Array:
    dealt_M = place_M.copy()
    dealt_M[there] = place_M[rng.permutation(there)]
    return dealt_M


def means(found: Sequence[Sensitive]) -> dict[str, float]:
    """The numbers of the caption: mean correlations over labels and axes.

    p: of a sign test over labels and axes that their neurons follow places more than dealt-out ones.
    """
    parts = {
        "chosen": [abs(one.chosen) for one in found],
        "unseen": [one.unseen for one in found],
        "control": [one.control for one in found],
        "control_chosen": [one.control_chosen for one in found],
    }
    higher = sum(one.unseen > one.control for one in found)
    p = float(binomtest(higher, len(found), alternative="greater").pvalue)
    return {**{name: float(np.mean(values)) for name, values in parts.items()}, "p": p}


def place_figure(
    statement: ModelOutputs, names: Sequence[str], places_MC2: Array, origin: str, run: str
) -> ReportFigure | None:
    """Fig. 5 of the paper; None where no label has enough images. origin: of places, in words."""
    if not (found := sensitive(statement.neurons_MK, places_MC2)):
        return None
    mean = means(found)
    rows = [{**asdict(one), "label": names[one.label], "axis": AXES[one.axis]} for one in found]
    caption = (
        f"For each label the neuron of {run} that follows its place most closely, found on one half of the "
        f"images: on the other half the mean correlation is {mean['unseen']:z.2f}, with places dealt out "
        f"anew {mean['control']:z.2f} ({share(mean['p'])}). Places are {origin}."
    )
    best = [
        max((one for one in found if one.axis == axis), key=lambda one: abs(one.chosen)) for axis in (0, 1)
    ]
    return ReportFigure(
        "fig5-places",
        QUESTIONS[1],
        "Neurons that know where a label stands (Fig. 5)",
        caption,
        "Scatter plots of two neurons' responses against a label's place; bars of the correlation by label.",
        partial(_draw, statement, names, places_MC2, found, best),
        {"run": run, "places": origin, "images": len(statement.ids), **mean},
        rows,
    )


def _draw(
    statement: ModelOutputs,
    names: Sequence[str],
    places_MC2: Array,
    found: Sequence[Sensitive],
    best: Sequence[Sensitive],
    paper: Canvas,
) -> Figure:
    figure, axes = paper.panels(3, 3.0)
    for axis, one in zip(axes, best, strict=False):
        there = np.flatnonzero(~np.isnan(places_MC2[:, one.label, 0]))[1::2]
        x, y = places_MC2[there, one.label, one.axis], statement.neurons_MK[there, one.neuron]
        axis.scatter(x, y, s=8, alpha=0.7, color=COLOURS[0], linewidths=0)
        axis.set_title(
            f"neuron {one.neuron}, {short(names[one.label])}: r = {one.unseen * np.sign(one.chosen):+.2f}"
        )
        side = ("height", "width")[one.axis]
        start = ("top", "left")[one.axis]
        axis.set(xlabel=f"{AXES[one.axis]} place [% of {side} from {start}]", ylabel="response [no unit]")
    _bars(axes[2], names, found)
    return figure


def _bars(axis: Any, names: Sequence[str], found: Sequence[Sensitive]) -> None:
    labels = list(dict.fromkeys(one.label for one in sorted(found, key=lambda one: -one.unseen)))[:SHOWN]
    for one in found:
        if one.label in labels:
            place = labels.index(one.label) + (one.axis - 0.5) * 0.38
            axis.barh(place, one.unseen, 0.36, color=COLOURS[one.axis], label=AXES[one.axis])
            axis.plot(one.control, place, "|", color=INK, label="places dealt out anew")
    axis.set_yticks(range(len(labels)), [short(names[label], 12) for label in labels])
    axis.invert_yaxis()
    axis.set(xlabel="correlation on the unseen half")
    handles = dict(zip(*axis.get_legend_handles_labels()[::-1], strict=True))
    axis.legend(handles.values(), handles.keys(), loc="lower center", bbox_to_anchor=(0.4, 1.0), fontsize=7)
