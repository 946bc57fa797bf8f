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
        profile = self.card.evaluation.profile
        return statistics.fmean(float(one["metrics"][profile]["mAP"]) for one in self.members[group])

    def predictions(self, group: Group) -> dict[int, Predictions]:
        """The predictions by seed, as far as their files are there."""
        paths = {one["seed"]: self.folder / "predictions" / file_name(one) for one in self.members[group]}
        files = {seed: path.with_suffix(".safetensors") for seed, path in paths.items()}
        return {seed: predictions.read(file) for seed, file in files.items() if file.exists()}

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
    found = groups(records)
    chosen = _find(subject, found) if subject else _claimant(found)
    against = _find(baseline, found) if baseline else _baseline(chosen, found)
    return Evidence(card, runs, origin, found, chosen, against)


def title(group: Group) -> str:
    """`ResNet-101 [budget=equal]`."""
    name = names.title(group[0]) if group[0] in names.methods() else group[0]
    return name + (f" [{group[1]}]" if group[1] else "")


def _find(name: str, found: Mapping[Group, Sequence[Record]]) -> Group:
    group = names.find_method(name), ""
    if group not in found:
        there = ", ".join(sorted({method for method, variant in found if not variant}))
        raise InputError(f"there is no record of {group[0]}; there are records of: {there}")
    return group


def _claimant(found: Mapping[Group, Sequence[Record]]) -> Group | None:
    """The first method that says which other one it improves on."""
    known = names.methods()
    mine = [name for name, variant in found if not variant and name in known]
    return next(((name, "") for name in mine if hasattr(method.load(name), "BASELINE")), None)


def _baseline(subject: Group | None, found: Mapping[Group, Sequence[Record]]) -> Group | None:
    group = (getattr(method.load(subject[0]), "BASELINE", ""), "") if subject else None
    return group if group in found else None


def _ap(record: Record, card: Card) -> Array:
    values = record["metrics"][card.evaluation.profile]["AP"]
    if list(values) != list(card.labels):
        raise InputError(f"{shown(Path(file_name(record)))}: its labels are not those of {card.name}.toml")
    return np.array([np.nan if value is None else value for value in values.values()])


def _place(order: Sequence[str], name: str) -> int:
    return order.index(name) if name in order else len(order)
