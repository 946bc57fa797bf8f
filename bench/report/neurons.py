"""A figure of the neurons that follow the position of a label (Fig. 5).

A neuron is chosen on one half of the images and measured on the other half: the best of thousands of neurons
correlates well by chance, but only on the images that chose it. The control repeats both steps with a label's
positions shuffled among its images.

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
from bench.report.figure_style import COLOURS, FOREGROUND, Canvas, p_value, shorten
from bench.report.model_outputs import ModelOutputs
from bench.scoring.matrices import Array

AXES = ("vertical", "horizontal")
FEWEST = 20  # images of a label in each half
SHUFFLES = 20  # of the control
MOST_SHOWN = 20  # labels


@dataclass(frozen=True)
class PositionNeuron:
    """The neuron that follows a label's position along one axis most closely.

    axis: 0 vertical, 1 horizontal. chosen: the correlation in the half that chose the neuron. unseen: in the
    other half, positive if it has the same sign. control, control_chosen: the same with shuffled positions,
    the means over SHUFFLES; control_chosen without its sign.
    """

    label: int
    axis: int
    neuron: int
    images: int
    chosen: float
    unseen: float
    control: float
    control_chosen: float


def correlations(neurons_MK: Array, position_M: Array) -> Array:
    """Pearson's correlation of each neuron with a position (K); 0 for a neuron that never changes.

    >>> correlations(np.array([[1.0, 5.0, 3.0], [2.0, 5.0, 2.0], [3.0, 5.0, 1.0]]), np.arange(3)).tolist()
    [1.0, 0.0, -1.0]
    """
    neurons_MK, position_M = neurons_MK - neurons_MK.mean(axis=0), position_M - position_M.mean()
    scale_K = np.sqrt((neurons_MK**2).sum(axis=0) * (position_M**2).sum())
    r_K = np.divide(position_M @ neurons_MK, scale_K, out=np.zeros_like(scale_K), where=scale_K > 1e-12)
    return np.asarray(r_K)


def position_neurons(neurons_MK: Array, positions_MC2: Array) -> list[PositionNeuron]:
    """The neuron of each label and axis; labels with too few images are left out.

    positions_MC2: (down, across) of each label in each image, NaN where it has none.
    """
    return list(_position_neurons(neurons_MK.astype(np.float64), positions_MC2, np.random.default_rng(0)))


def _position_neurons(
    neurons_MK: Array, positions_MC2: Array, rng: np.random.Generator
) -> Iterator[PositionNeuron]:
    for label in range(positions_MC2.shape[1]):
        images = np.flatnonzero(~np.isnan(positions_MC2[:, label, 0]))
        halves = images[::2], images[1::2]
        if len(halves[1]) < FEWEST:
            continue
        for axis in range(2):
            position_M = positions_MC2[:, label, axis]
            neuron, chosen, unseen = _choose(neurons_MK, position_M, halves)
            shuffled = [
                _choose(neurons_MK, _shuffle(position_M, images, rng), halves) for _ in range(SHUFFLES)
            ]
            control = float(np.mean([r for _, _, r in shuffled]))
            control_chosen = float(np.mean([abs(r) for _, r, _ in shuffled]))
            yield PositionNeuron(label, axis, neuron, len(images), chosen, unseen, control, control_chosen)


def _choose(
    neurons_MK: Array, position_M: Array, halves: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> tuple[int, float, float]:
    """The neuron with the highest absolute correlation in the first half, this correlation, and that of the
    second half, positive if it has the same sign.
    """
    first_K = correlations(neurons_MK[halves[0]], position_M[halves[0]])
    neuron = int(np.abs(first_K).argmax())
    chosen = float(first_K[neuron])
    second = correlations(neurons_MK[halves[1]][:, [neuron]], position_M[halves[1]])[0]
    return neuron, chosen, float(second * np.sign(chosen))


def _shuffle(position_M: Array, images: NDArray[np.int64], rng: np.random.Generator) -> Array:
    shuffled_M = position_M.copy()
    shuffled_M[images] = position_M[rng.permutation(images)]
    return shuffled_M


def means(neurons: Sequence[PositionNeuron]) -> dict[str, float]:
    """The mean correlations over labels and axes.

    p: of a sign test over labels and axes that neurons follow positions more than shuffled ones.
    """
    values = {
        "chosen": [abs(neuron.chosen) for neuron in neurons],
        "unseen": [neuron.unseen for neuron in neurons],
        "control": [neuron.control for neuron in neurons],
        "control_chosen": [neuron.control_chosen for neuron in neurons],
    }
    higher = sum(neuron.unseen > neuron.control for neuron in neurons)
    p = float(binomtest(higher, len(neurons), alternative="greater").pvalue)
    return {**{name: float(np.mean(column)) for name, column in values.items()}, "p": p}


def position_figure(
    outputs: ModelOutputs, names: Sequence[str], positions_MC2: Array, origin: str, run: str
) -> ReportFigure | None:
    """Fig. 5 of the paper; None where no label has enough images. origin: of the positions, in words."""
    if not (neurons := position_neurons(outputs.neurons_MK, positions_MC2)):
        return None
    mean = means(neurons)
    rows = [{**asdict(neuron), "label": names[neuron.label], "axis": AXES[neuron.axis]} for neuron in neurons]
    caption = (
        f"For each label, the neuron of {run} that follows its position most closely, chosen on one half of "
        f"the images. On the other half the mean correlation is {mean['unseen']:z.2f}; with shuffled "
        f"positions it is {mean['control']:z.2f} ({p_value(mean['p'])}). Positions are {origin}."
    )
    best = [
        max((neuron for neuron in neurons if neuron.axis == axis), key=lambda neuron: abs(neuron.chosen))
        for axis in (0, 1)
    ]
    return ReportFigure(
        "fig5-places",
        QUESTIONS[1],
        "Neurons that follow the position of a label (Fig. 5)",
        caption,
        "Scatter plots of two neurons' responses against a label's position; bars of correlation by label.",
        partial(_draw, outputs, names, positions_MC2, neurons, best),
        {"run": run, "places": origin, "images": len(outputs.ids), **mean},
        rows,
    )


def _draw(
    outputs: ModelOutputs,
    names: Sequence[str],
    positions_MC2: Array,
    neurons: Sequence[PositionNeuron],
    best: Sequence[PositionNeuron],
    canvas: Canvas,
) -> Figure:
    figure, panels = canvas.panels(3, 3.0)
    for panel, neuron in zip(panels, best, strict=False):
        images = np.flatnonzero(~np.isnan(positions_MC2[:, neuron.label, 0]))[1::2]
        x = positions_MC2[images, neuron.label, neuron.axis]
        panel.scatter(
            x, outputs.neurons_MK[images, neuron.neuron], s=8, alpha=0.7, color=COLOURS[0], linewidths=0
        )
        r = neuron.unseen * np.sign(neuron.chosen)
        panel.set_title(f"neuron {neuron.neuron}, {shorten(names[neuron.label])}: r = {r:+.2f}")
        side = ("height", "width")[neuron.axis]
        start = ("top", "left")[neuron.axis]
        unit = f"[% of {side} from {start}]"
        panel.set(xlabel=f"{AXES[neuron.axis]} position {unit}", ylabel="response [no unit]")
    _bars(panels[2], names, neurons)
    return figure


def _bars(panel: Any, names: Sequence[str], neurons: Sequence[PositionNeuron]) -> None:
    """The correlation on the unseen half by label and axis, the labels with the highest first."""
    by_correlation = sorted(neurons, key=lambda neuron: -neuron.unseen)
    labels = list(dict.fromkeys(neuron.label for neuron in by_correlation))[:MOST_SHOWN]
    for neuron in neurons:
        if neuron.label in labels:
            position = labels.index(neuron.label) + (neuron.axis - 0.5) * 0.38
            panel.barh(position, neuron.unseen, 0.36, color=COLOURS[neuron.axis], label=AXES[neuron.axis])
            panel.plot(neuron.control, position, "|", color=FOREGROUND, label="shuffled positions")
    panel.set_yticks(range(len(labels)), [shorten(names[label], 12) for label in labels])
    panel.invert_yaxis()
    panel.set(xlabel="correlation on the unseen half")
    handles = dict(zip(*panel.get_legend_handles_labels()[::-1], strict=True))
    panel.legend(handles.values(), handles.keys(), loc="lower center", bbox_to_anchor=(0.4, 1.0), fontsize=7)
