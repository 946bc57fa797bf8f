"""The linear probe against scikit-learn's logistic regression on the same features."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from bench.base.errors import InputError
from bench.training import tensor_file
from bench.training.stage_cache import StageContext, input_transform
from methods import linear_probe
from tests.methods.test_contract import learn


def data(n: int = 120, d: int = 200, c: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """More channels than images, as where few images meet a pretrained trunk."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, d)) * rng.uniform(0.1, 5, d) + rng.normal(size=d)
    labels = (features @ rng.normal(size=(d, c)) + rng.normal(size=(n, c)) * 20 > 15) * 1.0
    return torch.from_numpy(features), torch.from_numpy(labels)


@pytest.mark.parametrize("strength", [1e-4, 1e-2, 1.0])
def test_the_solution_is_scikit_learns(strength: float):
    features, labels = data()
    features = (features - features.mean(0)) / features.std(0, correction=0)
    weight, bias = linear_probe.fit(features, labels, strength)
    for label in range(labels.shape[1]):
        solver = LogisticRegression(C=strength, tol=1e-8, max_iter=10_000)
        solver.fit(features.numpy(), labels[:, label].numpy())
        np.testing.assert_allclose(weight[label].numpy(), solver.coef_[0], atol=2e-5)
        np.testing.assert_allclose(float(bias[label]), solver.intercept_[0], atol=1e-4)


def test_a_label_that_does_not_vary_gets_its_share_alone():
    features, labels = data()
    labels[:, 1], labels[:, 2] = 0, 1
    weight, bias = linear_probe.fit(features, labels, 1e-2)
    assert not weight[1:3].any()
    assert bias[1:3].tolist() == pytest.approx([np.log(0.5 / 120.5), np.log(120.5 / 0.5)])
    assert weight[0].any()


def test_the_strength_is_that_of_the_lowest_loss_on_images_left_out():
    features, labels = data()
    strengths = (1.0, 1e-4, 1e-2)
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0)).numpy()
    losses = []
    for strength in strengths:
        total = 0.0
        for label in range(labels.shape[1]):
            x, y = features.numpy(), labels[:, label].numpy()
            solver = LogisticRegression(C=strength, tol=1e-6, max_iter=10_000).fit(
                x[order[24:]], y[order[24:]]
            )
            probabilities = solver.predict_proba(x[order[:24]])
            total -= np.log(probabilities[np.arange(24), y[order[:24]].astype(int)]).sum()
        losses.append(total)
    assert linear_probe.choose(features, labels, strengths) == strengths[int(np.argmin(losses))]
    assert linear_probe.choose(features, labels, (7.0,)) == 7.0


def test_the_trained_model_predicts_with_scikit_learns_probabilities(context: StageContext):
    model: Any = learn("linear_probe", context, features="trunk", strengths=(1e-2,))[0]
    store, pixels = context.store, input_transform(model, context)

    def features(view: Any, indices: Any) -> Any:
        images = torch.from_numpy(view.images(indices)).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            return linear_probe.row(model.eval(), pixels.normalise(images)).double().numpy()

    seen, new = features(store.train, store.fitted), features(store.test, np.arange(10))
    mean, std = seen.mean(0), seen.std(0)
    std[std == 0] = 1
    images = torch.from_numpy(store.test.images(np.arange(10))).permute(0, 3, 1, 2).float()
    logits = model.logits(pixels.normalise(images)).detach().numpy()
    for label in range(3):
        positive = store.train.labels_NC[store.fitted][:, label] == 1
        solver = LogisticRegression(C=1e-2, tol=1e-8, max_iter=10_000).fit((seen - mean) / std, positive)
        expected = solver.decision_function((new - mean) / std)
        np.testing.assert_allclose(logits[:, label], expected, atol=2e-4)


def test_its_result_is_the_state_without_the_images_features(context: StageContext):
    model, _ = learn("linear_probe", context, features="trunk")
    (file,) = context.folder.glob("*.safetensors")
    assert tensor_file.load(file)[0].keys() == model.state_dict().keys()


def test_an_empty_list_of_strengths_is_refused():
    with pytest.raises(InputError, match="strengths is empty; give at least one"):
        linear_probe.Config(strengths=())
