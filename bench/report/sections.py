"""Collect the contents of a report: the headline, the figures that the evidence allows, and what is missing.

Legend: M test images of the report, C labels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.base.errors import InputError
from bench.data import card_options, preparation
from bench.data.store import Store, open_store
from bench.deploy import load_model
from bench.report import headline, model_outputs
from bench.report.attention import images_to_show, maps_figure
from bench.report.branches import branches_figure
from bench.report.curves import pr_figure, training_figure
from bench.report.evidence import Evidence, run_id, run_name
from bench.report.figure import ReportFigure
from bench.report.gain import Gain, choose_labels, companions, compute_gain
from bench.report.label_gains import ap_figure, gain_figure
from bench.report.label_relations import relations_figure
from bench.report.model_outputs import ModelOutputs
from bench.report.neurons import position_figure
from bench.report.top_images import top_images_figure
from bench.results import same_data
from bench.results.record import Record, shown
from bench.scoring.matrices import Array
from bench.training import device, method


@dataclass(frozen=True)
class Sources:
    """Where images come from.

    data: the folder of prepared stores. source: the data set's original files, if they are here. images: the
    number of test images to run the model on.
    """

    data: Path
    source: Path | None
    images: int


@dataclass
class Sections:
    """The contents of the page; missing: sentences on what is not shown, and what to do about it."""

    headline: list[str] = field(default_factory=list)
    figures: list[ReportFigure] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def collect(evidence: Evidence, sources: Sources) -> Sections:
    """Everything that the evidence allows."""
    content = Sections()
    record = evidence.members[evidence.subject][0] if evidence.subject else None  # whose weights are used
    store = None
    try:
        store = _store(evidence, record, sources) if record else None
    except InputError as mistake:
        content.missing.append(_no_model_figures(mistake))
    gain = _add_comparison(content, evidence, store)
    content.figures += [ap_figure(evidence), training_figure(evidence)]
    if store and record:
        try:
            content.figures += _model_figures(content, evidence, record, store, gain, sources)
        except InputError as mistake:
            content.missing.append(_no_model_figures(mistake))
    content.headline += headline.why({figure.name: figure.facts for figure in content.figures})
    content.missing += [
        f"Predictions {shown(file)}: left out, because they do not score what their record states"
        for file in evidence.mismatched_files
    ]
    return content


def _no_model_figures(mistake: InputError) -> str:
    return f"Attention, neurons and label relations: {mistake}"


def _store(evidence: Evidence, record: Record, sources: Sources) -> Store:
    """The store that a record was made with, with images of its input size.

    A missing store is prepared if this needs no original files, or if they are here. InputError: no store, or
    one of other images.
    """
    usual, data = evidence.card, sources.data
    recipe = record["recipe"]
    size, crops = recipe.get("input_size", usual.sizes.test), bool(recipe.get("crops", True))
    card = card_options.at(usual, size, crops=crops)
    if card.obtain and sources.source is None:
        store = open_store(data / card.name)
    else:
        store = preparation.prepare(card, source=sources.source, data=data)
    if difference := same_data.difference(record["data"], store.manifest):
        raise InputError(
            f"{store.folder} holds other images than the record of {run_id(record)} was made with"
            f" ({difference}); to train it again, run: python -m bench.run --dataset {usual.name} --method"
            f" {record['method']}"
        )
    return store


def _add_comparison(content: Sections, evidence: Evidence, store: Store | None) -> Gain | None:
    """Add subject against baseline, by records and predictions; returns the gain if both have records."""
    if (pair := evidence.pair) is None:
        content.headline.append(headline.no_comparison(evidence))
        return None
    subject, baseline = pair
    gain = compute_gain(evidence, subject, baseline)
    control = evidence.control()
    control_gain = compute_gain(evidence, subject, control) if control else None
    gains = gain_figure(evidence, pair, gain, _companions(evidence, store))
    precision_recall = pr_figure(evidence, pair, choose_labels(gain.AP_C.tolist()))
    content.figures += [gains, *([precision_recall] if precision_recall else [])]
    content.headline.append(headline.does_it_help(evidence, pair, gain, control_gain))
    content.headline += headline.unequal_terms(evidence, pair)
    content.headline.append(headline.where_does_it_help(gains.rows))
    if not precision_recall:
        command = f"python -m bench.run --dataset {evidence.card.name} --method {baseline[0]},{subject[0]}"
        content.missing.append(f"Intervals, precision and recall need predictions; run: {command}")
    return gain


def _companions(evidence: Evidence, store: Store | None) -> Array | None:
    if store:
        return companions(store.test.labels_NC)
    available = [
        content for group in evidence.ordered_groups for content in evidence.predictions(group).values()
    ]
    return companions(available[0].labels_NC) if available else None


def _model_figures(
    content: Sections,
    evidence: Evidence,
    record: Record,
    store: Store,
    gain: Gain | None,
    sources: Sources,
) -> Iterator[ReportFigure]:
    """The figures made with the weights of the record's run; adds to `content` what they lack."""
    loaded = load_model.load_model(_record_path(evidence, record), device.choose())
    if not model_outputs.can_explain(loaded):
        raise InputError(f"the method {record['method']} has no attention maps and neurons to show")
    card, names = evidence.card, evidence.card.labels
    run = f"{run_name((record['method'], record['variant']))} seed {record['seed']}"
    outputs = model_outputs.collect_outputs(loaded, store.test, images=sources.images)
    try:
        boxes = model_outputs.boxes(card, sources.source, outputs.ids)
    except InputError as mistake:
        boxes = None
        content.missing.append(f"Boxes of objects: {mistake}")
    labels = choose_labels(gain.AP_C.tolist(), len(names))[:4] if gain else list(range(min(4, len(names))))
    images = images_to_show(outputs, _baseline_logits(evidence, record, outputs), labels)
    yield maps_figure(outputs, names, images, boxes, run)
    yield branches_figure(outputs, card, run)
    if boxes is None:
        positions_MC2 = model_outputs.centres_of_mass(outputs.attention_MCHW, outputs.labels_MC)
        origin = model_outputs.BY_MASS
    else:
        positions_MC2 = model_outputs.box_centres(boxes, len(names))
        origin = model_outputs.BY_BOXES
    if figure := position_figure(outputs, names, positions_MC2, origin, run):
        yield figure
    yield top_images_figure(outputs, names, run)
    together_CC = method.labels_of(store).cooccurrence_CC
    yield relations_figure(outputs.influence_CC, together_CC, len(store.fitted), names, run)


def _record_path(evidence: Evidence, record: Record) -> Path:
    """The record's file in the runs' folder, beside which its weights are; InputError if it is not there."""
    path = evidence.folder.record(run_id(record))
    if not path.exists():
        command = f"python -m bench.run --dataset {evidence.card.name} --method {record['method']}"
        raise InputError(f"its weights are not in {shown(evidence.folder.path)}; run: {command}")
    return path


def _baseline_logits(evidence: Evidence, record: Record, outputs: ModelOutputs) -> Array | None:
    """The baseline's logits of the same images, from the run of the same seed; None without predictions."""
    by_seed = evidence.predictions(evidence.baseline) if evidence.baseline else {}
    if record["seed"] not in by_seed:
        return None
    return np.asarray(by_seed[record["seed"]].logits_NC[outputs.rows_M])
