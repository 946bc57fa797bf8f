"""What a data set's records hold for the report: who is compared with whom, and their predictions.

Legend: N images, C labels.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import cards, method, names, predictions, table
from bench.cards import Card
from bench.errors import InputError
from bench.matrices import Array
from bench.predictions import Predictions
from bench.record import Group, Record, file_name, groups, shown

Pair = tuple[Group, Group]  # subject and baseline


@dataclass(frozen=True)
class Evidence:
    """The records by method and variant; the report's subject, and the baseline that it is compared with.

    folder: where the records' predictions and stages lie, if they are there. origin: in words.
    """

    card: Card
    folder: Path
    origin: str
    members: Mapping[Group, list[Record]]
    subject: Group | None
    baseline: Group | None

    def labels_AP(self, group: Group) -> Array:
        """AP of every label in percent, the mean over seeds; NaN for a label without positives."""
        return np.asarray(np.mean([_ap(record, self.card) for record in self.members[group]], axis=0))

    def mAP(self, group: Group) -> float:
        """Percent, the mean over seeds."""
        return statistics.fmean(self.mAPs(group))

    def mAPs(self, group: Group) -> list[float]:
        """Percent, of every seed."""
        profile = self.card.evaluation.profile
        return [float(one["metrics"][profile]["mAP"]) for one in self.members[group]]

    def predictions(self, group: Group) -> dict[int, Predictions]:
        """The predictions by seed, as far as their files are there."""
        paths = {one["seed"]: self.folder / "predictions" / file_name(one) for one in self.members[group]}
        files = {seed: path.with_suffix(".safetensors") for seed, path in paths.items()}
        return {seed: predictions.read(file) for seed, file in files.items() if file.exists()}

    @property
    def pair(self) -> Pair | None:
        """Subject and baseline, if there are records of both."""
        return (self.subject, self.baseline) if self.subject and self.baseline else None

    @property
    def rivals(self) -> list[Group]:
        """Every method and variant, in the paper's order."""
        order = names.in_order()
        return sorted(self.members, key=lambda group: (_place(order, group[0]), group))


def gather(dataset: str, runs: Path, *, subject: str = "", baseline: str = "") -> Evidence:
    """The evidence for a data set; InputError where it has no records at all.

    subject: the method that the report is about (the first that names a `BASELINE` and has records);
    baseline: what it is compared with (that one). Both in any spelling.
    """
    card = cards.load(dataset)
    records, origin = table.records(dataset, runs)
    if not records:
        command = f"python -m bench.run --dataset {dataset} --method all"
        raise InputError(f"there is nothing to report: {origin}; run: {command}")
    for record in records:
        _ap(record, card)
    found = groups(records)
    chosen = _find(subject, found) if subject else _claimant(found)
    against = _find(baseline, found) if baseline else _baseline(chosen, found)
    return Evidence(card, runs, origin, found, chosen, against)


def title(group: Group) -> str:
    """`ResNet-101 [budget=equal]`."""
    name = names.title(group[0]) if group[0] in names.methods() else group[0]
    return name + (f" [{group[1]}]" if group[1] else "")


def _find(name: str, found: Mapping[Group, Sequence[Record]]) -> Group:
    if group := _group(names.find_method(name), found):
        return group
    there = ", ".join(sorted({method for method, _ in found}))
    raise InputError(f"there is no record of {names.find_method(name)}; there are records of: {there}")


def _claimant(found: Mapping[Group, Sequence[Record]]) -> Group | None:
    """The first method that says which other one it improves on."""
    known = names.methods()
    mine = {name for name, _ in found if name in known and hasattr(method.load(name), "BASELINE")}
    return _group(min(mine), found) if mine else None


def _baseline(subject: Group | None, found: Mapping[Group, Sequence[Record]]) -> Group | None:
    return _group(getattr(method.load(subject[0]), "BASELINE", ""), found) if subject else None


def _group(name: str, found: Mapping[Group, Sequence[Record]]) -> Group | None:
    """The records of a method: by its recipe as it stands, else of its first variant."""
    return min((group for group in found if group[0] == name), default=None)


def _ap(record: Record, card: Card) -> Array:
    values = record["metrics"][card.evaluation.profile]["AP"]
    if list(values) != list(card.labels):
        raise InputError(f"{shown(Path(file_name(record)))}: its labels are not those of {card.name}.toml")
    return np.array([np.nan if value is None else value for value in values.values()])


def _place(order: Sequence[str], name: str) -> int:
    return order.index(name) if name in order else len(order)
