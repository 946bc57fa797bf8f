"""Labels that are not known: trained as negative, or ignored by training, validation and collections."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.base.errors import InputError
from bench.data import cards, preparation
from bench.data.cards import Split
from bench.data.store import Store
from bench.training import batches, method, stage_cache, validation
from bench.training.batches import InputTransform
from bench.training.stage_cache import StageContext
from methods import knn, linear_probe
from tests.conftest import small_recipe
from tests.methods.test_contract import METHODS, build, learn, state, trainings

PIXELS = InputTransform(mean=(0.5,) * 3, std=(0.2,) * 3, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def partly_known(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The small demo with half of its training labels known."""
    card = replace(cards.load_card("demo@known=0.5"), train=Split(160), test=Split(48))
    return preparation.prepare(card, data=tmp_path_factory.mktemp("data"))


@pytest.fixture
def known_context(partly_known: Store, tmp_path: Path) -> StageContext:
    return StageContext(partly_known, torch.device("cpu"), tmp_path / "stages")


def of(context: StageContext, name: str = "resnet101", **changes: Any) -> StageContext:
    return context.of(small_recipe(name, **changes))


def test_batches_have_1_0_and_minus_1_only_if_unknown_labels_are_ignored(known_context: StageContext):
    for answer, other in (("negative", 0.0), ("ignored", -1.0)):
        store = of(known_context, unspecified=answer).store
        (batch,) = batches.evaluation(store.held_out, batch_size=20, pixels=PIXELS)
        labels = torch.tensor(store.held_out.labels_NC)
        assert (labels == 0).any()
        expected = torch.where(labels == 1, 1.0, torch.where(labels == 0, other, 0.0))
        assert torch.equal(batch.labels_BC, expected)


@pytest.mark.parametrize("name", METHODS)
def test_an_ignored_entry_has_a_gradient_of_exactly_0_in_every_stage(name: str, context: StageContext):
    model, stages = build(name, context, budget="equal", **({"group_loss": 0.0} if name == "msrn" else {}))
    images, labels = torch.randn(4, 3, 64, 64), torch.randint(-1, 2, (4, 10)).float()
    for stage in trainings(stages):
        loss, logits_BC = stage.loss(model, images, labels)
        (gradient_BC,) = torch.autograd.grad(loss, logits_BC, allow_unused=True)
        if gradient_BC is not None:  # MCAR's loss is on the logits of both streams
            assert (gradient_BC[labels < 0] == 0).all()
            assert (gradient_BC[labels >= 0] != 0).any()
        nothing, _ = stage.loss(model, images, torch.full((4, 10), -1.0))
        nothing.backward()
        assert float(nothing.detach()) == 0
        assert all((p.grad == 0).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", ["resnet101", "warp", "knn", "linear_probe"])
def test_the_answer_changes_what_is_learned(name: str, known_context: StageContext):
    states = []
    for answer in ("negative", "ignored"):
        changes: dict[str, Any] = {"unspecified": answer} | (
            {} if name in ("resnet101", "warp") else {"features": "trunk"}
        )
        model, _ = learn(name, of(known_context, name, **changes), **changes)
        states.append(state(model))
    negative, ignored = states
    assert any(not torch.equal(tensor, negative[key]) for key, tensor in ignored.items())
    assert all(tensor.isfinite().all() for tensor in ignored.values())


def test_validation_leaves_them_out(known_context: StageContext):
    store = of(known_context, unspecified="ignored").store
    view = store.held_out
    logits_NC = np.random.default_rng(0).normal(size=view.labels_NC.shape).astype(np.float32)
    changed_NC = np.where(view.labels_NC == 0, 9.0, logits_NC).astype(np.float32)
    assert validation.held_out_map(logits_NC, view) == validation.held_out_map(changed_NC, view)
    plain = known_context.store.held_out
    assert validation.held_out_map(logits_NC, plain) != validation.held_out_map(changed_NC, plain)


def test_positives_and_their_cooccurrence_are_those_that_are_known(known_context: StageContext):
    for answer in ("negative", "ignored"):
        store = of(known_context, unspecified=answer).store
        positive_NC = (store.train.labels_NC[store.fitted] == 1).astype(int)
        assert np.array_equal(method.labels_of(store).cooccurrence_CC, positive_NC.T @ positive_NC)


def test_a_neighbour_does_not_vote_on_what_is_not_known_of_it(context: StageContext):
    model, _ = build("knn", context, features="trunk", neighbours=3, temperature=1e6)
    assert isinstance(model, knn.Model)
    labels = torch.tensor([[1.0, -1.0, -1.0], [0.0, 1.0, -1.0], [1.0, -1.0, -1.0]])
    images = torch.randn(1, 3, 64, 64)
    knn.keep(model, model.eval().pooled(images).expand(3, -1).detach(), labels)
    assert model.logits(images).sigmoid().tolist()[0] == pytest.approx([2 / 3, 1.0, 0.0], abs=1e-4)


def test_the_regression_is_that_on_the_known_images_of_each_label():
    random = torch.Generator().manual_seed(0)
    features = torch.randn(60, 4, generator=random, dtype=torch.float64)
    labels = torch.randint(0, 2, (60, 2), generator=random).double()
    labels[40:, 0] = -1.0
    weights, biases = linear_probe.fit(features, labels, 0.1)
    for label, known in ((0, slice(40)), (1, slice(60))):
        alone = linear_probe.fit(features[known], labels[known, label, None], 0.1)
        torch.testing.assert_close(weights[label], alone[0][0], rtol=0, atol=1e-5)
        torch.testing.assert_close(biases[label], alone[1][0], rtol=0, atol=1e-5)


def test_the_answer_is_part_of_every_stages_key(known_context: StageContext):
    for name in ("srn", "linear_probe"):
        module = method.load_method(name)
        one, other = (
            stage_cache.stage_keys(module, small_recipe(name, unspecified=answer), known_context, 0)
            for answer in ("negative", "ignored")
        )
        assert not set(one) & set(other)


def test_where_all_labels_are_known_there_is_nothing_to_ignore(context: StageContext):
    with pytest.raises(InputError, match="unspecified=ignored: demo has no labels that are not known, 0 me"):
        of(context, unspecified="ignored")


def test_a_collections_labels_come_back_as_they_were(known_context: StageContext):
    context = of(known_context, "knn", unspecified="ignored")
    changes = {"unspecified": "ignored", "features": "trunk"}
    first, _ = learn("knn", context, **changes)
    again, (facts,) = learn("knn", context, **changes)
    assert facts["reused"]
    assert torch.equal(again.get_buffer("labels_NC"), first.get_buffer("labels_NC"))
    assert (first.get_buffer("labels_NC") == -1).any()
