"""Read the records of a data set, choose which methods the report compares, and read their predictions.

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
from bench.results.record import Group, Record, file_name, group_records, shown, stored_size
from bench.scoring import metrics, predictions
from bench.scoring.matrices import Array
from bench.scoring.predictions import Predictions
from bench.training import method

ROUNDING = 1e-6  # points of mAP by which a record and its predictions may differ
EQUAL = "budget=equal"  # in the variant of a method that was trained for as many epochs as SRN
Pair = tuple[Group, Group]  # subject and baseline


@dataclass(frozen=True)
class Evidence:
    """The records of a data set, and which of their methods the report compares.

    folder: where predictions and stages of the records are, if they exist. origin: where the records come
    from, in words. members: the records by method and variant. subject: the method that the report is about.
    baseline: what it is compared with. mismatched_files: predictions files that were read
    but do not fit their records.
    """

    card: Card
    folder: RunFolder
    origin: str
    members: Mapping[Group, list[Record]]
    subject: Group | None
    baseline: Group | None
    mismatched_files: list[Path] = field(default_factory=list)
    _predictions: dict[Group, dict[int, Predictions]] = field(default_factory=dict, repr=False)

    def labels_AP(self, group: Group, seeds: Sequence[int] = ()) -> Array:
        """AP of each label in percent, the mean over these seeds, or all; NaN if a label has no positives."""
        return np.asarray(np.mean([_ap(record, self.card) for record in self._of(group, seeds)], axis=0))

    def mAP(self, group: Group, seeds: Sequence[int] = ()) -> float:
        """mAP in percent, the mean over these seeds, or all."""
        return statistics.fmean(self.mAPs(group, seeds))

    def mAPs(self, group: Group, seeds: Sequence[int] = ()) -> list[float]:
        """mAP in percent of each of these seeds, or all."""
        profile = self.card.evaluation.profile
        return [float(record["metrics"][profile]["mAP"]) for record in self._of(group, seeds)]

    def _of(self, group: Group, seeds: Sequence[int]) -> list[Record]:
        return [record for record in self.members[group] if not seeds or record["seed"] in seeds]

    def control(self) -> Group | None:
        """The baseline trained for as many epochs as the subject, if there are such records."""
        if self.pair is None:
            return None
        subject, (name, _) = self.pair
        for group in sorted(self.members):
            compared = [*self.members[subject], *self.members[group]]
            is_as_long = len({record["epochs"] for record in compared}) == 1
            is_control = group[0] == name and EQUAL in group[1].split(",") and is_as_long
            if is_control and not differences(self.members[subject], self.members[group]):
                return group
        return None

    @property
    def differences(self) -> list[str]:
        """In what, besides the method, the baseline differs from the subject, in words; see `differences`."""
        return differences(*(self.members[group] for group in self.pair)) if self.pair else []

    def predictions(self, group: Group) -> dict[int, Predictions]:
        """The predictions by seed, of the records whose file exists and scores what the record states."""
        if group not in self._predictions:
            self._predictions[group] = dict(self._read(group))
        return self._predictions[group]

    def _read(self, group: Group) -> Iterator[tuple[int, Predictions]]:
        for record in self.members[group]:
            file = self.folder.predictions(run_id(record))
            if not file.exists():
                continue
            content = predictions.read_predictions(file)
            if _fits(content, record):
                yield record["seed"], content
            else:
                self.mismatched_files.append(file)

    @property
    def pair(self) -> Pair | None:
        """Subject and baseline, if there are records of both."""
        return (self.subject, self.baseline) if self.subject and self.baseline else None

    @property
    def ordered_groups(self) -> list[Group]:
        """Every method and variant, in the paper's order."""
        order = method_names.methods_in_order()
        return sorted(self.members, key=lambda group: (_rank(order, group[0]), group))


def gather(dataset: str, runs: RunFolder, *, subject: str = "", baseline: str = "") -> Evidence:
    """The evidence for a data set; InputError where it has no records at all.

    subject: the method that the report is about (default: the first with records that names a `BASELINE`).
    baseline: what it is compared with (default: its `BASELINE`). Both in any spelling.
    """
    card = cards.load_card(dataset)
    records, origin = comparison_table.records_to_show(dataset, runs.path)
    if not records:
        command = f"python -m bench.run --dataset {dataset} --method all"
        raise InputError(f"there is nothing to report: {origin}; run: {command}")
    for record in records:
        _ap(record, card)
    members = group_records(records)
    chosen = _find(subject, members) if subject else _default_subject(members)
    compared = _find(baseline, members, like=chosen) if baseline else _default_baseline(chosen, members)
    return Evidence(card, runs, origin, members, chosen, compared)


def differences(records: Sequence[Record], others: Sequence[Record]) -> list[str]:
    """In what the runs differ that makes a comparison unequal: trunk, input size, and data; in words.

    Of runs with images stored at different sizes, which have different stores, only the numbers of images
    tell whether they are of the same data.
    """
    words = []
    for text, field_name in (("trunk", "trunk"), ("input size", "input_size")):
        values = [
            sorted({str(record["recipe"].get(field_name)) for record in of}) for of in (records, others)
        ]
        if values[0] != values[1]:
            words.append(f"{text} ({' and '.join(values[0])}, against {' and '.join(values[1])})")
    facts = [record["data"]["fingerprint"] for record in (*records, *others)]
    if len({stored_size(record) for record in (*records, *others)}) > 1:
        facts = [str(sorted(record["images"].items())) for record in (*records, *others)]
    return words + (["data (other images or labels)"] if len(set(facts)) > 1 else [])


def run_name(group: Group) -> str:
    """The name of a method and variant for readers: `ResNet-101 [budget=equal]`."""
    name = method_names.display_name(group[0]) if group[0] in method_names.method_summaries() else group[0]
    return name + (f" [{group[1]}]" if group[1] else "")


def run_id(record: Record) -> str:
    """The name of a record's run in its `RunFolder`: `resnet101@budget=equal-seed0`."""
    return Path(file_name(record)).stem


def _find(name: str, members: Mapping[Group, Sequence[Record]], *, like: Group | None = None) -> Group:
    module = method_names.find_method(name)
    if group := _group(module, members, like=like):
        return group
    methods = ", ".join(sorted({method for method, _ in members}))
    raise InputError(f"there is no record of {module}; there are records of: {methods}")


def _default_subject(members: Mapping[Group, Sequence[Record]]) -> Group | None:
    """The first method that names the one it improves on."""
    methods = method_names.method_summaries()
    candidates = {
        name for name, _ in members if name in methods and hasattr(method.load_method(name), "BASELINE")
    }
    return _group(min(candidates), members) if candidates else None


def _default_baseline(subject: Group | None, members: Mapping[Group, Sequence[Record]]) -> Group | None:
    if subject is None:
        return None
    return _group(getattr(method.load_method(subject[0]), "BASELINE", ""), members, like=subject)


def _group(
    name: str, members: Mapping[Group, Sequence[Record]], *, like: Group | None = None
) -> Group | None:
    """A method with its unchanged recipe if it has records, else its first variant.

    like: of the variants, those that differ the least from this one in trunk, input size and data come first,
    then those with the usual number of epochs, then the one with the same changes.
    """

    def rank(group: Group) -> tuple[object, ...]:
        if like is None:
            return (group,)
        unequal = len(differences(members[like], members[group]))
        return unequal, EQUAL in group[1].split(","), group[1] != like[1], group

    return min((group for group in members if group[0] == name), key=rank, default=None)


def _ap(record: Record, card: Card) -> Array:
    """AP of each label in percent (C); InputError where the record has other labels than the card."""
    values = record["metrics"][card.evaluation.profile]["AP"]
    if list(values) != list(card.labels):
        raise InputError(f"{shown(Path(file_name(record)))}: its labels are not those of {card.name}.toml")
    return np.array([np.nan if value is None else value for value in values.values()])


def _fits(content: Predictions, record: Record) -> bool:
    """Whether predictions have the mAP that the record states; a later run may have replaced the file."""
    profile, unspecified = (record["protocol"][name] for name in ("profile", "unspecified"))
    scores = metrics.evaluate(content.logits_NC, content.labels_NC, profile=profile, unspecified=unspecified)
    return bool(abs(scores["mAP"] - record["metrics"][profile]["mAP"]) <= ROUNDING)


def _rank(order: Sequence[str], name: str) -> int:
    return order.index(name) if name in order else len(order)
