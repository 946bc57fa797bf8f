"""The suite's own predictions file: writing and reading it changes nothing; invalid files are refused."""

import json
import pickle

import numpy as np
import pytest
import safetensors.numpy

from bench.base.errors import InputError
from bench.scoring import predictions
from bench.scoring.predictions import SCHEMA, Predictions

LOGITS, LABELS = np.zeros((2, 3), np.float32), np.ones((2, 3), np.int8)


def save(path, *, logits=LOGITS, labels=LABELS, facts='{"ids": ["a", "b"]}', schema=SCHEMA):
    header = {"schema": schema} | ({} if facts is None else {"facts": facts})
    tensors = {"logits": logits, "labels": labels}
    safetensors.numpy.save_file({name: it for name, it in tensors.items() if it is not None}, path, header)


def test_it_comes_back_as_it_was(tmp_path):
    facts = {"dataset": "demo", "label_names": ["a", "b", "größer"], "ids": ["1", "2"]}
    predictions.write_predictions(tmp_path / "p", Predictions(LOGITS, LABELS, facts))
    found = predictions.read_predictions(tmp_path / "p")
    assert (found.logits_NC == LOGITS).all()
    assert (found.labels_NC == LABELS).all()
    assert found.facts == facts


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": "other"}, f"schema 'other', not '{SCHEMA}'"),
        ({"logits": None}, "File does not contain tensor logits"),
        (
            {"labels": LABELS[:, :2].copy()},
            r"logits have shape \(2, 3\), labels \(2, 2\); both must be N x C",
        ),
        ({"logits": LOGITS[0].copy(), "labels": LABELS[0].copy()}, r"logits have shape \(3,\)"),
        ({"facts": None}, "the facts in its header are not JSON"),
        ({"facts": "{"}, "the facts in its header are not JSON"),
        ({"facts": "[]"}, "the facts in its header are not a JSON object"),
        ({"facts": json.dumps({"ids": ["a"]})}, "ids in its header must be a list of 2"),
        ({"facts": json.dumps({"label_names": "abc"})}, "label_names in its header must be a list of 3"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_the_reason(changes, message, tmp_path):
    save(tmp_path / "p.safetensors", **changes)
    with pytest.raises(InputError, match=f"p.safetensors is not a predictions file: .*{message}"):
        predictions.read_predictions(tmp_path / "p.safetensors")


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


@pytest.mark.parametrize("content", [b"", b"x" * 100, pickle.dumps(Trap())])
def test_damage_is_refused_and_nothing_is_executed(content, tmp_path):
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(InputError, match="p is not a predictions file: "):
        predictions.read_predictions(tmp_path / "p")


def test_a_truncated_file_is_refused(tmp_path):
    save(tmp_path / "p")
    (tmp_path / "p").write_bytes((tmp_path / "p").read_bytes()[:-4])
    with pytest.raises(InputError, match="p is not a predictions file: "):
        predictions.read_predictions(tmp_path / "p")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere is not a predictions file: .*No such file"):
        predictions.read_predictions(tmp_path / "nowhere")
