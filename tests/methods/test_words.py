"""Word vectors: a label has the mean of its words' vectors; a missing word or damaged line is an error."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.base.errors import InputError
from bench.data import cards
from bench.training import method, stage_cache
from bench.training.method import File, Labels
from bench.training.stage_cache import StageContext
from methods import _words, msrn
from tests.conftest import small_recipe

GLOVE = """the 9 9 9
traffic 1 2 3
light 3 4 -5e-1
cat .5 0 1
cat 7 7 7
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "glove.3d.txt").write_text(GLOVE, encoding="utf-8")
    return tmp_path / "glove.3d.txt"


def test_a_labels_vector_is_the_mean_of_its_words_and_the_first_line_of_a_word_counts(file: Path):
    vectors = _words.vectors(file, ["Cat", "traffic light"], size=3)
    torch.testing.assert_close(vectors, torch.tensor([[0.5, 0, 1], [2, 3, 1.25]]))


def test_a_label_can_be_spelled_in_words_of_the_file(file: Path):
    vectors = _words.vectors(file, ["cat", "stoplight"], size=3, spelled=["stoplight=traffic light"])
    torch.testing.assert_close(vectors[1], torch.tensor([2, 3, 1.25]))


def test_labels_are_taken_apart_at_blanks_signs_and_capitals():
    labels = ["hair drier", "T-shirt", "longHair", "traffic_light", "tvmonitor"]
    words = _words.words_of(labels, ["tvmonitor=tv monitor"])
    expected = ["hair drier", "t shirt", "long hair", "traffic light", "tv monitor"]
    assert [" ".join(words_of_label) for words_of_label in words.values()] == expected


def test_vocs_recipe_spells_the_labels_that_are_two_words_in_one():
    recipe = msrn.RECIPES["voc2007"]
    words = _words.words_of(cards.load_card("voc2007").labels, recipe.words)
    assert {
        label: words_of_label for label, words_of_label in words.items() if words_of_label != [label]
    } == {
        "diningtable": ["dining", "table"],
        "pottedplant": ["potted", "plant"],
        "tvmonitor": ["tv", "monitor"],
    }


def test_lines_of_other_words_are_not_looked_at_and_none_behind_the_last_that_is_needed(tmp_path: Path):
    file = tmp_path / "glove.txt"
    file.write_bytes(b"4 3\nat name 1 2\n\xff\xfe \xff\n\ncat 1 2 3\ndog is damaged\n")
    assert _words.read(file, {"cat"}, size=3) == {"cat": [1, 2, 3]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "dog 1 2",
            "glove.3d.txt, line 6, 'dog': 2 numbers, not 3; set --word-size to the number in each line",
        ),
        ("dog 1 2 3 4", "line 6, 'dog': 4 numbers, not 3"),
        ("dog 1 x 3", "line 6, 'dog': not a word and its numbers .*x"),
        ("dog 1 nan 3", "line 6, 'dog': its numbers are not finite"),
    ],
)
def test_a_damaged_line_is_named(file: Path, line: str, message: str):
    file.write_text(f"{GLOVE}{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match=message):
        _words.vectors(file, ["cat", "dog"], size=3)


def test_labels_with_a_word_that_is_not_there_are_named_with_the_remedy(file: Path):
    remedy = "--words 'traffic sign=WORD WORD'"
    with pytest.raises(InputError, match=f"glove.3d.txt has no vector for: traffic sign, \\?\\?; .*{remedy}"):
        _words.vectors(file, ["cat", "traffic sign", "??"], size=3)


@pytest.mark.parametrize(
    ("spelled", "message"),
    [("cat", "words=cat: give it as LABEL=WORD WORD"), ("cow=cat", "unknown label of words 'cow'; .*: cat")],
)
def test_a_spelling_that_cannot_be_used_is_named(file: Path, spelled: str, message: str):
    with pytest.raises(InputError, match=message):
        _words.vectors(file, ["cat"], size=3, spelled=[spelled])


def test_a_models_word_vectors_are_the_files_and_stay_as_they_are(file: Path):
    """They are drawn by no seed and trained by no stage."""
    recipe = small_recipe("msrn", word_vectors=File(str(file)), word_size=3)
    labels = Labels(("cat", "traffic light"), np.ones((2, 2), dtype=np.int64))
    model = method.build(method.load_method("msrn"), recipe, labels, 0)
    expected = _words.vectors(file, labels.names, size=3)
    assert torch.equal(model.get_buffer("labels.words.weight"), expected)
    learned = method.build(method.load_method("msrn"), small_recipe("msrn", word_size=3), labels, 0)
    assert learned.get_parameter("labels.words.weight").shape == expected.shape


def test_learned_vectors_start_as_spread_as_asked_for_else_as_torchs():
    drawn = []
    for layer in (_words.LearnedVectors(40, 300, 0.38), _words.embedding(["cat"] * 40, File(), size=300)):
        torch.manual_seed(0)
        layer.reset_parameters()  # type: ignore[operator]
        drawn.append(layer.weight.detach())
    torch.manual_seed(0)
    assert torch.equal(drawn[1], torch.nn.Embedding(40, 300).weight)
    torch.testing.assert_close(drawn[0], 0.38 * drawn[1])


def test_other_vectors_are_another_stage(file: Path, context: StageContext):
    def keys() -> list[str]:
        recipe = small_recipe("msrn", word_vectors=File(str(file)))
        return stage_cache.stage_keys(method.load_method("msrn"), recipe, context, 0)

    before = keys()
    file.write_text(GLOVE + "dog 1 2 3\n", encoding="utf-8")
    assert keys() != before


def test_spellings_are_set_from_text():
    config = method.recipe(method.load_method("msrn"), "demo", {"words": "one=first one,two=second"})
    assert config.words == ("one=first one", "two=second")
