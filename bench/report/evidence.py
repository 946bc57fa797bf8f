"""What a data set's records hold for the report: who is compared with whom, and their predictions.

Legend: N images, C labels.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.base import method_names
from bench.base.errors import InputError
from bench.base.run_folder import RunFolder
from bench.data import cards
from bench.data.cards import Card
from bench.results import comparison_table
from bench.results.record import Group, Record, file_name, group_records, shown
from bench.scoring import metrics, predictions
from bench.scoring.matrices import Array
from bench.scoring.predictions import Predictions
from bench.training import method

ROUNDING = 1e-6  # points of mAP by which a record and its predictions may differ
Pair = tuple[Group, Group]  # subject and baseline


@dataclass(frozen=True)
class Evidence:
    """The records by method and variant; the report's subject, and the baseline that it is compared with.

    folder: where the records' predictions and stages lie, if they are there. origin: in words. strays: the
    predictions there that were read and are not those of the records.
    """

    card: Card
    folder: RunFolder
    origin: str
    members: Mapping[Group, list[Record]]
    subject: Group | None
    baseline: Group | None
    strays: list[Path] = field(default_factory=list)
    _known: dict[Group, dict[int, Predictions]] = field(default_factory=dict, repr=False)

    def labels_AP(self, group: Group, seeds: Sequence[int] = ()) -> Array:
        """Percent, the mean over these seeds, or all; NaN for a label without positives."""
        return np.asarray(np.mean([_ap(record, self.card) for record in self._of(group, seeds)], axis=0))

    def mAP(self, group: Group, seeds: Sequence[int] = ()) -> float:
        """Percent, the mean over these seeds, or all."""
        return statistics.fmean(self.mAPs(group, seeds))

    def mAPs(self, group: Group, seeds: Sequence[int] = ()) -> list[float]:
        """Percent, of each of these seeds, or all."""
        profile = self.card.evaluation.profile
        return [float(one["metrics"][profile]["mAP"]) for one in self._of(group, seeds)]

    def _of(self, group: Group, seeds: Sequence[int]) -> list[Record]:
        return [one for one in self.members[group] if not seeds or one["seed"] in seeds]

    def control(self) -> Group | None:
        """The baseline trained for as many epochs as the subject, if there are such records."""
        if self.pair is None:
            return None
        control = self.pair[1][0], "budget=equal"
        both = [*self.members[self.pair[0]], *self.members.get(control, ())]
        is_as_long = control in self.members and len({one["epochs"] for one in both}) == 1
        return control if is_as_long else None

    def predictions(self, group: Group) -> dict[int, Predictions]:
        """The predictions by seed, as far as their files are there and score what their records say."""
        if group not in self._known:
            self._known[group] = dict(self._read(group))
        return self._known[group]

    def _read(self, group: Group) -> Iterator[tuple[int, Predictions]]:
        for record in self.members[group]:
            file = self.folder.predictions(Path(file_name(record)).stem)
            if file.exists() and _is_of(found := predictions.read_predictions(file), record):
                yield record["seed"], found
            elif file.exists():
                self.strays.append(file)

    @property
    def pair(self) -> Pair | None:
        """Subject and baseline, if there are records of both."""
        return (self.subject, self.baseline) if self.subject and self.baseline else None

    @property
    def rivals(self) -> list[Group]:
        """Every method and variant, in the paper's order."""
        order = method_names.methods_in_order()
        return sorted(self.members, key=lambda group: (_place(order, group[0]), group))


def gather(dataset: str, runs: RunFolder, *, subject: str = "", baseline: str = "") -> Evidence:
    """The evidence for a data set; InputError where it has no records at all.

    subject: the method that the report is about (the first that names a `BASELINE` and has records);
    baseline: what it is compared with (that one). Both in any spelling.
    """
    card = cards.load_card(dataset)
    records, origin = comparison_table.records_to_show(dataset, runs.path)
    if not records:
        command = f"python -m bench.run --dataset {dataset} --method all"
        raise InputError(f"there is nothing to report: {origin}; run: {command}")
    for record in records:
        _ap(record, card)
    found = group_records(records)
    chosen = _find(subject, found) if subject else _claimant(found)
    against = _find(baseline, found) if baseline else _baseline(chosen, found)
    return Evidence(card, runs, origin, found, chosen, against)


def run_name(group: Group) -> str:
    """`ResNet-101 [budget=equal]`."""
    name = method_names.display_name(group[0]) if group[0] in method_names.method_summaries() else group[0]
    return name + (f" [{group[1]}]" if group[1] else "")


def _find(name: str, found: Mapping[Group, Sequence[Record]]) -> Group:
    if group := _group(method_names.find_method(name), found):
        return group
    there = ", ".join(sorted({method for method, _ in found}))
    raise InputError(f"there is no record of {method_names.find_method(name)}; there are records of: {there}")


def _claimant(found: Mapping[Group, Sequence[Record]]) -> Group | None:
    """The first method that says which other one it improves on."""
    known = method_names.method_summaries()
    mine = {name for name, _ in found if name in known and hasattr(method.load_method(name), "BASELINE")}
    return _group(min(mine), found) if mine else None


def _baseline(subject: Group | None, found: Mapping[Group, Sequence[Record]]) -> Group | None:
    return _group(getattr(method.load_method(subject[0]), "BASELINE", ""), found) if subject else None


def _group(name: str, found: Mapping[Group, Sequence[Record]]) -> Group | None:
    """The records of a method: by its recipe as it stands, else of its first variant."""
    return min((group for group in found if group[0] == name), default=None)


def _ap(record: Record, card: Card) -> Array:
    values = record["metrics"][card.evaluation.profile]["AP"]
    if list(values) != list(card.labels):
        raise InputError(f"{shown(Path(file_name(record)))}: its labels are not those of {card.name}.toml")
    return np.array([np.nan if value is None else value for value in values.values()])


def _is_of(found: Predictions, record: Record) -> bool:
    """Whether predictions score what a record says; those of another run may lie where its own would."""
    profile, unspecified = (record["protocol"][name] for name in ("profile", "unspecified"))
    scores = metrics.evaluate(found.logits_NC, found.labels_NC, profile=profile, unspecified=unspecified)
    return bool(abs(scores["mAP"] - record["metrics"][profile]["mAP"]) <= ROUNDING)


def _place(order: Sequence[str], name: str) -> int:
    return order.index(name) if name in order else len(order)
