"""A predictions file beside the ground truth of its data set: from a file, from itself, or from the store."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from bench.base.cli import Parser, add_data, add_dataset
from bench.base.errors import InputError
from bench.base.paths import DATA
from bench.base.protocol import Evaluation, Top3, Unspecified
from bench.data import cards, store
from bench.data.cards import Card
from bench.scoring.alignment import AlignedPredictions, align
from bench.scoring.prediction_files import MatrixFile, read_matrix_file


def load_with_truth(
    path: Path,
    *,
    labels: Path | None = None,
    dataset: str | None = None,
    probabilities: bool = False,
    data: Path = DATA,
) -> AlignedPredictions:
    """The predictions in a file, beside their ground truth.

    That is in the file `labels`, else in the predictions file itself, else in the prepared store of the data
    set. `dataset` also gives the labels' names and order; a file of the suite names its data set itself.
    `probabilities`: the file holds p, not logits; ln(p / (1 - p)) is scored. InputError names file, row and
    column of what is no number, no label or no probability, and every name or id without a counterpart.
    """
    given = read_matrix_file(path, "logits")
    card = _card(given, dataset)
    truth = _truth(given, labels, card, data)
    subject = align(given, truth, card.labels if card else (), probabilities=probabilities)
    if card is None:
        return subject
    return replace(subject, dataset=card.name, title=card.title, evaluation=card.evaluation)


def add_options(parser: Parser) -> None:
    """What every command asks that scores a file: where the ground truth is, and how it is to be read."""
    parser.add_argument("--labels", type=Path, metavar="FILE", help="the ground truth, if it is elsewhere")
    add_dataset(parser, cards.names(), required=False)
    parser.add_argument("--top3", choices=("none", *get_args(Top3)), help="default: as the data set's paper")
    choices = get_args(Unspecified)
    parser.add_argument("--unspecified", choices=("none", *choices), help="what F1 makes of labels 0")
    add_data(parser)


def chosen_evaluation(
    subject: AlignedPredictions, *, top3: str | None, unspecified: str | None
) -> Evaluation:
    """How to score the subject: as its data set's paper does, but for what the user chose; "none": not so."""
    chosen = {"top3": top3, "unspecified": unspecified}
    changes: dict[str, Any] = {name: None if it == "none" else it for name, it in chosen.items() if it}
    return replace(subject.evaluation, **changes)


def _card(given: MatrixFile, dataset: str | None) -> Card | None:
    """The card of the data set that is named, by the user or by the file."""
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
        raise InputError(f"{given.path} holds no labels; give them with --labels FILE, or name the --dataset")
    if card.evaluation.result_files:
        raise InputError(f"{card.title}: its owner keeps the test labels; give yours with --labels FILE")
    view = store.open_store(data / card.name).test
    ids = tuple(map(str, view.column("id").tolist()))
    return MatrixFile(data / card.name, {"labels": view.labels_NC}, card.labels, ids, card.name)
