"""What a report shows: the exhibits that the evidence allows, the answer, and what is lacking.

Legend: N test images, M of them that were looked at, C labels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.base.errors import InputError
from bench.data import preparation
from bench.data.store import Store, open_store
from bench.deploy import load_model
from bench.report import headline, model_outputs
from bench.report.attention import found_only_by, maps_figure
from bench.report.branches import branches_figure
from bench.report.curves import pr_figure, training_figure
from bench.report.evidence import Evidence, run_name
from bench.report.figure import ReportFigure
from bench.report.gain import Gain, chosen, companions, gain
from bench.report.label_gains import ap_figure, gain_figure
from bench.report.label_relations import relations_figure
from bench.report.model_outputs import ModelOutputs
from bench.report.neurons import place_figure
from bench.report.top_images import top_images_figure
from bench.results.record import Group, Record, file_name, shown
from bench.scoring.matrices import Array
from bench.training import device, method


@dataclass(frozen=True)
class Places:
    """Where stores lie, the owner's files (if they are there), and how many test images to look at."""

    data: Path
    source: Path | None
    images: int


@dataclass
class Sections:
    """What the page is made of; lacking: what is not shown, and what to do about it."""

    answer: list[str] = field(default_factory=list)
    exhibits: list[ReportFigure] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)


def collect(evidence: Evidence, places: Places) -> Sections:
    """All that the evidence allows."""
    found = Sections()
    try:
        store = _store(evidence, places)
    except InputError as mistake:
        store = None
        found.lacking.append(f"Attention, neurons and relations: {mistake}")
    gains = _compare(evidence, store, found)
    found.exhibits += [ap_figure(evidence), training_figure(evidence)]
    if store and evidence.subject:
        try:
            found.exhibits += _inside(evidence, evidence.subject, store, gains, places)
        except InputError as mistake:
            found.lacking.append(f"Attention, neurons and relations: {mistake}")
    found.answer += headline.why({exhibit.name: exhibit.facts for exhibit in found.exhibits})
    strays = (
        f"{shown(file)} is left out: it does not score what its record says" for file in evidence.strays
    )
    found.lacking += strays
    return found


def _store(evidence: Evidence, places: Places) -> Store:
    """The store that the records were made with; one that needs nobody's files is made if it is not there."""
    card, data = evidence.card, places.data
    store = open_store(data / card.name) if card.obtain else preparation.prepare(card, data=data)
    records = [record for members in evidence.members.values() for record in members]
    if any(record["data"]["fingerprint"] != store.fingerprint for record in records):
        raise InputError(f"{store.folder} holds other images than the records were made with")
    return store


def _compare(evidence: Evidence, store: Store | None, found: Sections) -> Gain | None:
    """Subject against baseline, by records and predictions."""
    if (pair := evidence.pair) is None:
        found.answer.append(headline.nobody(evidence))
        return None
    subject, baseline = pair
    gains = gain(evidence, subject, baseline)
    control = evidence.control()
    longer = gain(evidence, subject, control) if control else None
    exhibit = gain_figure(evidence, pair, gains, _companions(evidence, store))
    curves = pr_figure(evidence, pair, chosen(gains.AP_C.tolist()))
    found.exhibits += [exhibit, *([curves] if curves else [])]
    found.answer.append(headline.does_it_help(evidence, pair, gains, longer))
    found.answer.append(headline.where_does_it_help(exhibit.rows))
    if not curves:
        command = f"python -m bench.run --dataset {evidence.card.name} --method {baseline[0]},{subject[0]}"
        found.lacking.append(f"Intervals, precision and recall need predictions; run: {command}")
    return gains


def _companions(evidence: Evidence, store: Store | None) -> Array | None:
    if store:
        return companions(store.test.labels_NC)
    known = [one for group in evidence.rivals for one in evidence.predictions(group).values()]
    return companions(known[0].labels_NC) if known else None


def _inside(
    evidence: Evidence, subject: Group, store: Store, gains: Gain | None, places: Places
) -> Iterator[ReportFigure]:
    """What the weights of the subject's first seed show."""
    record = evidence.members[subject][0]
    model = load_model.load_model(_path(evidence, record), device.choose())
    if not model_outputs.can_explain(model):
        raise InputError(f"the method {record['method']} does not tell how it comes to its logits")
    card, names, run = evidence.card, evidence.card.labels, f"{run_name(subject)} seed {record['seed']}"
    statement = model_outputs.collect_outputs(model, store.test, images=places.images)
    boxes = model_outputs.boxes(card, places.source, statement.ids)
    labels = chosen(gains.AP_C.tolist(), len(names))[:4] if gains else list(range(min(4, len(names))))
    images = found_only_by(statement, _baseline_logits(evidence, record, statement), labels)
    yield maps_figure(statement, names, images, boxes, run)
    yield branches_figure(statement, card, run)
    if boxes is None:
        where = (
            model_outputs.centres_of_mass(statement.attention_MCHW, statement.labels_MC),
            model_outputs.BY_MASS,
        )
    else:
        where = model_outputs.centres(boxes, len(names)), model_outputs.BY_BOXES
    if exhibit := place_figure(statement, names, *where, run):
        yield exhibit
    yield top_images_figure(statement, names, run)
    together_CC = method.labels_of(store).cooccurrence_CC
    yield relations_figure(statement.influence_CC, together_CC, len(store.fitted), names, run)


def _path(evidence: Evidence, record: Record) -> Path:
    path = evidence.folder.record(Path(file_name(record)).stem)
    if not path.exists():
        command = f"python -m bench.run --dataset {evidence.card.name} --method {record['method']}"
        raise InputError(f"its weights are not in {shown(evidence.folder.path)}; run: {command}")
    return path


def _baseline_logits(evidence: Evidence, record: Record, statement: ModelOutputs) -> Array | None:
    """The baseline's logits of the images that were looked at, from the run of the same seed."""
    known = evidence.predictions(evidence.baseline) if evidence.baseline else {}
    if record["seed"] not in known:
        return None
    return np.asarray(known[record["seed"]].logits_NC[statement.rows_M])
