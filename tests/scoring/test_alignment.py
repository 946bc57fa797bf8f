"""Predictions and ground truth are aligned by name and id; differing labels, images or truth are refused."""

import doctest
from dataclasses import replace

import numpy as np
import pytest

from bench.base.errors import InputError
from bench.base.protocol import Evaluation
from bench.data import cards
from bench.results.ground_truth import chosen_evaluation, load_with_truth
from bench.scoring import alignment, predictions
from bench.scoring.alignment import align_with
from bench.scoring.metrics import evaluate
from bench.scoring.predictions import Predictions

LOGITS = np.array([[0.5, -1.25, 3.0], [2.0, 0.0, -0.75], [1.0, 2.0, -3.0], [-1.0, -2.0, -4.0]])
LABELS = np.array([[1, 0, 1], [1, 1, 0], [0, 1, 1], [0, 0, 0]])
NAMES, IDS = np.array(["cat", "dog", "cow"]), np.array(["a", "b", "c", "d"])
CARD = """
title = "Pets"
summary = "s"
format = "f"
labels = ["cat", "dog", "cow"]
source = "s"
licence = "l"
train.images = 1
test.images = 4
[evaluation]
top3 = "forced"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for files, and a checkout whose only card is `pets`."""
    monkeypatch.setattr(cards, "CARDS", tmp_path / "cards")
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "pets.toml").write_text(CARD, encoding="utf-8")
    return tmp_path


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def same(subject, *, names=NAMES):
    assert subject.names == tuple(names)
    assert subject.logits_NC.tolist() == LOGITS.tolist()
    assert subject.labels_NC.tolist() == LABELS.tolist()


def test_one_file_may_hold_everything(folder):
    subject = load_with_truth(npz(folder / "p.npz", logits=LOGITS, labels=LABELS, label_names=NAMES, ids=IDS))
    same(subject)
    assert (subject.ids, subject.dataset, subject.notes) == (tuple(IDS), "", ())


def test_labels_are_matched_by_name_and_images_by_id_not_by_position(folder):
    columns, rows = [2, 0, 1], [3, 1, 0, 2]
    given = npz(folder / "p.npz", logits=LOGITS, label_names=NAMES, ids=IDS)
    mixed = LABELS[rows][:, columns]
    truth = npz(folder / "t.npz", labels=mixed, label_names=NAMES[columns], ids=IDS[rows])
    same(load_with_truth(given, labels=truth))
    lines = [",".join(["id", *NAMES[columns]])]
    lines += [",".join(map(str, [name, *row])) for name, row in zip(IDS[rows], mixed, strict=True)]
    (folder / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    same(load_with_truth(given, labels=folder / "t.csv"))


def test_ids_on_one_side_alone_are_said(folder):
    given = npz(folder / "p.npz", logits=LOGITS, label_names=NAMES, ids=IDS)
    (note,) = load_with_truth(given, labels=npz(folder / "t.npz", labels=LABELS)).notes
    assert note == "p.npz has ids of images, t.npz has none: images are taken in the order of the files."


@pytest.mark.parametrize(
    ("labels", "unspecified", "message"),
    [
        (
            LABELS,
            "negative",
            "t.npz: labels are 1 and 0 and none is -1, .* write negatives as -1, or, .* none",
        ),
        (LABELS, "excluded", "t.npz: labels are 1 and 0 and none is -1"),
        (LABELS * 0, "none", "t.npz: no label is 1, so there is nothing to find; write positives as 1"),
        (LABELS * 0 + 1, "none", "t.npz: every label is 1, .*; write negatives as 0"),
        (LABELS * 0 + 1, "negative", "t.npz: every label is 1, .*; write negatives as -1"),
    ],
)
def test_labels_of_which_one_kind_is_absent_are_refused(labels, unspecified, message, folder):
    given = npz(folder / "p.npz", logits=LOGITS)
    subject = load_with_truth(given, labels=npz(folder / "t.npz", labels=labels))
    with pytest.raises(InputError, match=message):
        chosen_evaluation(subject, top3=None, unspecified=unspecified)


def test_a_label_without_a_negative_is_said(folder):
    subject = load_with_truth(npz(folder / "p.npz", logits=LOGITS, labels=changed(LABELS, slice(None), 1, 1)))
    (remark,) = alignment.label_remarks(subject, Evaluation())
    assert remark == "Labels without a negative, 1 of 3: column 1; their AP is 100 for any prediction."


def test_without_names_and_ids_position_counts(folder):
    np.savetxt(folder / "p.txt", LOGITS, fmt="%.6f")
    np.savetxt(folder / "t.txt", LABELS, fmt="%d")
    same(
        load_with_truth(folder / "p.txt", labels=folder / "t.txt"), names=["column 0", "column 1", "column 2"]
    )


def test_labels_beside_the_predictions_take_precedence_over_those_within(folder):
    given = npz(folder / "p.npz", logits=LOGITS, labels=1 - LABELS)
    subject = load_with_truth(given, labels=npz(folder / "t.npz", labels=LABELS))
    assert subject.labels_NC.tolist() == LABELS.tolist()


def test_the_card_gives_names_and_order_and_how_to_score(folder):
    columns = [1, 2, 0]
    path = npz(
        folder / "p.npz", logits=LOGITS[:, columns], labels=LABELS[:, columns], label_names=NAMES[columns]
    )
    subject = load_with_truth(path, dataset="pets")
    same(subject)
    assert subject.dataset
    assert chosen_evaluation(subject, top3=None, unspecified=None) == Evaluation(top3="forced")
    assert chosen_evaluation(subject, top3="none", unspecified="none") == Evaluation()
    assert (
        chosen_evaluation(replace(subject, evaluation=Evaluation()), top3=None, unspecified=None)
        == Evaluation()
    )


@pytest.mark.parametrize("named", ["pets", "of-another-checkout"])
def test_the_suites_own_file_names_its_data_set_itself(named, folder):
    facts = {"dataset": named, "label_names": NAMES.tolist(), "ids": IDS.tolist()}
    kept = Predictions(LOGITS.astype(np.float32), LABELS.astype(np.int8), facts)
    predictions.write_predictions(folder / "p.safetensors", kept)
    subject = load_with_truth(folder / "p.safetensors")
    same(subject)
    assert subject.dataset == ("pets" if named == "pets" else "")


def test_the_truth_of_a_prepared_data_set_is_found_in_its_store(store, tmp_path):
    view = store.test
    ids = view.column("id")
    logits = np.arange(view.labels_NC.size).reshape(view.labels_NC.shape)
    path = npz(tmp_path / "p.npz", logits=logits[::-1], ids=ids[::-1].astype(str))
    subject = load_with_truth(path, dataset="demo", data=store.folder.parent)
    assert (subject.labels_NC == view.labels_NC[::-1]).all()
    assert subject.ids == tuple(ids[::-1])
    bare = load_with_truth(npz(tmp_path / "q.npz", logits=logits), dataset="demo", data=store.folder.parent)
    assert (bare.labels_NC == view.labels_NC).all()


def test_probabilities_are_scored_as_their_logits_even_0_and_1(folder):
    p = 1 / (1 + np.exp(-LOGITS))
    p[3] = [0.0, 1.0, np.nextafter(1, 0)]
    subject = load_with_truth(npz(folder / "p.npz", logits=p, labels=LABELS), probabilities=True)
    assert np.allclose(subject.logits_NC[:3], LOGITS[:3])
    assert subject.logits_NC[3, 0] < np.log(5e-324)
    assert subject.logits_NC[3, 1] > subject.logits_NC[3, 2] > 36
    assert subject.notes == ()


def test_probabilities_are_decided_as_they_were_written(folder):
    """Exactly 0.6 is not less than mcar's threshold of 0.6."""
    (folder / "p.txt").write_text("0.6\n0.599999\n", encoding="utf-8")
    (folder / "t.txt").write_text("1\n1\n", encoding="utf-8")
    subject = load_with_truth(folder / "p.txt", labels=folder / "t.txt", probabilities=True)
    assert evaluate(subject.logits_NC, subject.labels_NC, profile="mcar")["R-O"] == 50


def test_values_that_might_be_probabilities_are_logits_all_the_same_but_a_note_says_so(folder):
    subject = load_with_truth(npz(folder / "p.npz", logits=np.abs(LOGITS) / 5, labels=LABELS))
    assert subject.logits_NC.tolist() == (np.abs(LOGITS) / 5).tolist()
    assert subject.notes == ("All values lie from 0 to 1; if they are probabilities, add --probabilities.",)


def changed(matrix, row, column, value):
    copy = matrix.astype(float)
    copy[row, column] = value
    return copy


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        (
            {"logits": changed(LOGITS, 2, 1, np.nan)},
            {},
            r"p.npz: row 2, column 1 \(dog\), .* nan is not a finite",
        ),
        (
            {"logits": changed(LOGITS, 0, 2, np.inf)},
            {},
            r"p.npz: row 0, column 2 \(cow\), .* inf is not a finite",
        ),
        ({}, {"probabilities": True}, r"row 0, column 1 \(dog\).*-1.25 is not a probability, from 0 to 1"),
        (
            {"logits": changed(abs(LOGITS) / 9, 3, 0, np.nan)},
            {"probabilities": True},
            r"row 3, column 0 \(cat\).*nan is not a probability",
        ),
        (
            {"labels": changed(LABELS, 1, 0, 2)},
            {},
            r"row 1, column 0 \(cat\).*2.0 is not a label: 1, 0 or -1",
        ),
        ({"labels": LABELS[:3]}, {}, "p.npz has logits of 4 images, .*p.npz labels of 3"),
        (
            {"label_names": ["cat", "dgo", "cow"]},
            {"dataset": "pets"},
            r"label_names\[1\]: unknown label 'dgo'; ch",
        ),
        ({}, {"dataset": "zoo"}, "unknown data set 'zoo'; choose from: pets"),
    ],
)
def test_what_cannot_be_scored_is_named_by_row_and_column(arrays, options, message, folder):
    everything = {"logits": LOGITS, "labels": LABELS, "label_names": NAMES}
    npz(folder / "p.npz", **(everything | arrays))
    with pytest.raises(InputError, match=message):
        load_with_truth(folder / "p.npz", **options)


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        ({"labels": LABELS[:, :2]}, "t.npz: labels have 2 columns for 3 labels"),
        ({"labels": LABELS[:, :2], "label_names": NAMES[:2]}, "t.npz: no labels of: cow"),
        (
            {"labels": LABELS, "label_names": ["cat", "dog", "pig"]},
            r"t.npz: label_names\[2\]: unknown label 'pig'; choose from: cat, dog, cow",
        ),
        ({"labels": LABELS[:3]}, "p.npz has logits of 4 images, .*t.npz labels of 3"),
        (
            {"labels": LABELS[:3], "ids": IDS[:3]},
            "p.npz: 1 images are not in the other file, .*:\n  d",
        ),
        (
            {"labels": LABELS, "ids": list("abce")},
            "p.npz: 1 images are not in the other file, .*:\n  d",
        ),
        (
            {"labels": np.r_[LABELS, LABELS[:1]], "ids": list("abcde")},
            "t.npz: 1 images are not in the other file, .*:\n  e",
        ),
        (
            {"labels": LABELS, "ids": list("abca")},
            r"t.npz: rows 0 and 3 \(counted from 0\) have the same id 'a'",
        ),
    ],
)
def test_a_ground_truth_of_other_labels_or_images_is_refused(truth, message, folder):
    given = npz(folder / "p.npz", logits=LOGITS, label_names=NAMES, ids=IDS)
    with pytest.raises(InputError, match=message):
        load_with_truth(given, labels=npz(folder / "t.npz", **truth))


def test_lines_and_columns_of_text_are_named_as_an_editor_counts(folder):
    (folder / "p.txt").write_text("1 2 3\n4 nan 6\n", encoding="utf-8")
    (folder / "p.csv").write_text("id,cat,dog\nx,1,2\ny,3,-inf\n", encoding="utf-8")
    for name, place in (("p.txt", "line 2, column 2"), ("p.csv", r"line 3, column 3 \(dog\)")):
        with pytest.raises(InputError, match=f"{name}: {place}: .* is not a finite logit"):
            load_with_truth(folder / name, labels=folder / name)


def test_without_a_ground_truth_it_is_said_how_to_give_it(folder):
    given = npz(folder / "p.npz", logits=LOGITS)
    with pytest.raises(InputError, match="p.npz holds no labels; add --labels FILE, or --dataset NAME"):
        load_with_truth(given)
    with pytest.raises(
        InputError, match="holds no prepared data; run: python -m bench.prepare --dataset pets"
    ):
        load_with_truth(given, dataset="pets", data=folder)
    (folder / "cards" / "pets.toml").write_text(CARD + 'result_files = "{label}.txt"\n', encoding="utf-8")
    with pytest.raises(
        InputError, match="Pets: its owner keeps the test labels; add your own with --labels FILE"
    ):
        load_with_truth(given, dataset="pets", data=folder)


def test_predictions_for_another_data_set_are_refused(folder):
    kept = Predictions(LOGITS.astype(np.float32), LABELS.astype(np.int8), {"dataset": "coco"})
    predictions.write_predictions(folder / "p.safetensors", kept)
    with pytest.raises(InputError, match="holds predictions for 'coco', not for 'pets'"):
        load_with_truth(folder / "p.safetensors", dataset="pets")


def test_a_second_file_is_brought_into_the_order_of_the_first(folder):
    columns, rows = [2, 0, 1], [3, 1, 0, 2]
    first = load_with_truth(npz(folder / "a.npz", logits=LOGITS, labels=LABELS, label_names=NAMES, ids=IDS))
    arrays = {"logits": (LOGITS + 1)[rows][:, columns], "labels": LABELS[rows][:, columns]}
    path = npz(folder / "b.npz", **arrays, label_names=NAMES[columns], ids=IDS[rows])
    second = align_with(first, load_with_truth(path))
    assert (second.logits_NC == LOGITS + 1).all()
    assert (second.labels_NC == LABELS).all()
    assert (second.names, second.ids, second.path) == (first.names, first.ids, path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"labels": changed(LABELS, 1, 2, 1)},
            "b.npz: another ground truth: label 'cow' of image 'b' is 1, in .*a.npz 0",
        ),
        ({"label_names": ["cat", "dog", "pig"]}, r"b.npz: label_names\[2\]: unknown label 'pig'"),
        (
            {"ids": list("abcx")},
            "a.npz: 1 images are not in the other file, .*:\n  d",
        ),
    ],
)
def test_a_second_file_of_other_images_labels_or_truth_is_refused(arrays, message, folder):
    everything = {"logits": LOGITS, "labels": LABELS, "label_names": NAMES, "ids": IDS}
    first = load_with_truth(npz(folder / "a.npz", **everything))
    second = load_with_truth(npz(folder / "b.npz", **(everything | arrays)))
    with pytest.raises(InputError, match=message):
        align_with(first, second)


def test_examples_of_the_docstrings():
    assert doctest.testmod(alignment) == (0, 1)
