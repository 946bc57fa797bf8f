"""Read a predictions file together with its ground truth, for the commands that score predictions."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from bench.base.cli import Parser, add_data, add_dataset
from bench.base.errors import InputError
from bench.base.paths import DATA
from bench.base.protocol import Evaluation, Top3, Unspecified
from bench.data import cards, store
from bench.data.cards import Card
from bench.scoring.alignment import AlignedPredictions, align
from bench.scoring.label_checks import check_label_classes
from bench.scoring.matrix_file import MatrixFile
from bench.scoring.prediction_files import read_matrix_file


def load_with_truth(
    path: Path,
    *,
    labels: Path | None = None,
    dataset: str | None = None,
    probabilities: bool = False,
    data: Path = DATA,
) -> AlignedPredictions:
    """The predictions in the file `path`, aligned with their ground truth.

    The ground truth is read from the file `labels`; without one, from the predictions file itself; if that
    has no labels either, from the prepared store of the data set. `dataset` also gives names and order of the
    labels; the suite's own predictions files name their data set themselves. `probabilities`: the file holds
    probabilities p; their logits ln(p / (1 - p)) are scored. For InputError see `alignment.align`.
    """
    given = read_matrix_file(path, "logits")
    card = _card(given, dataset)
    truth = _truth(given, labels, card, data)
    subject = align(given, truth, card.labels if card else (), probabilities=probabilities)
    if card is None:
        return subject
    return replace(subject, dataset=card.name, title=card.title, evaluation=card.evaluation)


def load_held_out(
    path: Path, labels: Path | None, subject: AlignedPredictions, *, probabilities: bool
) -> AlignedPredictions:
    """The predictions of held-out images in the file `path`, with the labels of the subject in its order.

    labels: the file of their ground truth (None: `path` itself). InputError if an image of them is one of the
    subject's, as thresholds must not be fitted on the images that are scored.
    """
    given = read_matrix_file(path, "logits")
    if labels is None and "labels" not in given.matrices:
        raise InputError(f"{path} holds no labels of the held-out images; add --held-out-labels FILE")
    if subject.dataset and given.dataset not in ("", subject.dataset):
        raise InputError(f"{path} holds predictions for {given.dataset!r}, not for {subject.dataset!r}")
    truth = read_matrix_file(labels, "labels") if labels else given
    names = subject.names if subject.has_label_names else ()
    held_out = align(given, truth, names, probabilities=probabilities)
    if len(held_out.names) != len(subject.names):
        raise InputError(f"{path} has {len(held_out.names)} labels, {subject.path} {len(subject.names)}")
    shared = sorted(set(held_out.ids) & set(subject.ids))
    have_ids = bool(held_out.ids and subject.ids)
    if shared or (not have_ids and _rows(held_out) <= _rows(subject)):
        which = f"{len(shared)} of its images, such as {shared[0]!r}," if shared else "its images"
        raise InputError(
            f"--held-out {path}: {which} are among those that are scored; thresholds fitted on them would be "
            "an upper bound, not a result: give images of the training set, or use --oracle-thresholds"
        )
    return held_out


def _rows(subject: AlignedPredictions) -> set[bytes]:
    """Logits and labels of each image, to find images without ids again."""
    rows = np.concatenate([subject.logits_NC, subject.labels_NC], axis=1, dtype=np.float64)
    return {row.tobytes() for row in rows}


def add_options(parser: Parser) -> None:
    """The options that all commands which score a file share: ground truth, data set, rules of evaluation."""
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="ground truth (default: in the predictions file or the prepared store)",
    )
    add_dataset(parser, cards.names(), required=False)
    parser.add_argument(
        "--top3", choices=("none", *get_args(Top3)), help="rule for top-3 (default: the data set's)"
    )
    choices = get_args(Unspecified)
    parser.add_argument(
        "--unspecified", choices=("none", *choices), help="how F1 counts labels 0 (default: the data set's)"
    )
    add_data(parser)


def chosen_evaluation(
    subject: AlignedPredictions, *, top3: str | None, unspecified: str | None
) -> Evaluation:
    """How to score the subject: as its data set's paper does, except for the rules that the user chose.

    None: the user chose nothing; "none": no such rule. InputError if labels of one kind are absent by these
    rules, as any prediction would then have the same score.
    """
    chosen = {"top3": top3, "unspecified": unspecified}
    changes: dict[str, Any] = {
        name: None if value == "none" else value for name, value in chosen.items() if value
    }
    evaluation = replace(subject.evaluation, **changes)
    where = str(subject.truth_path or subject.path)
    check_label_classes(subject.labels_NC, evaluation.unspecified, where=where)
    return evaluation


def _card(given: MatrixFile, dataset: str | None) -> Card | None:
    """The card of the data set that the user or the file names; None if there is none."""
    if dataset and given.dataset not in ("", dataset):
        raise InputError(f"{given.path} holds predictions for {given.dataset!r}, not for {dataset!r}")
    if dataset or cards.base(given.dataset) in cards.names():
        return cards.load_card(dataset or given.dataset)
    return None


def _truth(given: MatrixFile, labels: Path | None, card: Card | None, data: Path) -> MatrixFile:
    if labels:
        return read_matrix_file(labels, "labels")
    if "labels" in given.matrices:
        return given
    if card is None:
        raise InputError(
            f"{given.path} holds no labels; add --labels FILE, or --dataset NAME for a prepared data set"
        )
    if card.evaluation.result_files:
        raise InputError(f"{card.title}: its owner keeps the test labels; add your own with --labels FILE")
    view = store.open_store(data / card.name).test
    ids = tuple(map(str, view.column("id").tolist()))
    return MatrixFile(data / card.name, {"labels": view.labels_NC}, card.labels, ids, card.name)
