"""Linear probe: logistic regression for each label on the features of a frozen trunk.

The row to look at first: what a method gains by training the trunk shows only against it. Each training image
passes the trunk once; its features are the mean over positions, each channel scaled to mean 0 and variance 1
over the training images. The regression has an L2 penalty of one strength for all labels: the one of
`strengths` with the lowest cross-entropy on a fifth of the training images, drawn at random and left out of
the fit; the fit is then repeated on all of them. The scale is folded into the weights, so the trained model
is ResNet-101's. Solved by L-BFGS in float64, to scikit-learn's solution (`LogisticRegression`).
Cost: one pass over the training images, and seconds for a thousand of them, on a CPU.

Legend: B images, N training images, C labels, D channels.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.training import Collection, InputError, Labels, Range, Stage, Trunk
from methods import resnet101
from methods._recipe import Recipe

ORDER = (2017, 0)
SOLVER: dict[str, Any] = {"max_iter": 1000, "history_size": 20, "line_search_fn": "strong_wolfe"}
SOLVER |= {"tolerance_grad": 1e-6, "tolerance_change": 1e-12}
FOLDS = 5  # one of them chooses the strength


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """Settings of the regression.

    features: "trunk", as pretrained; "resnet101", after that method's training, with its recipe.
    strengths: scikit-learn's `C`, the factor on the sum of the loss over images beside |w|^2 / 2.
    """

    features: Literal["trunk", "resnet101"] = "trunk"
    strengths: Annotated[tuple[float, ...], Range(above=0)] = (1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.strengths:
            raise InputError("strengths is empty; give at least one, as in --strengths 0.001,0.01")


class Model(resnet101.Model):
    """ResNet-101's linear layer, fitted on the features that its trunk has."""

    def __init__(self, config: Config, labels: Labels, trunk: Trunk) -> None:
        super().__init__(config, labels, trunk)
        self.config = config


def row(model: Model, images_BCHW: Tensor) -> Tensor:
    """The features of each image, (B, D)."""
    return model.trunk.features(images_BCHW).mean(dim=(2, 3))


def keep(model: Model, features_ND: Tensor, labels_NC: Tensor) -> None:
    """Choose the strength and fit the linear layer."""
    features_ND, labels_NC = features_ND.double(), labels_NC.double()
    mean_D, std_D = features_ND.mean(dim=0), features_ND.std(dim=0, correction=0)
    scale_D = torch.where(std_D > 0, std_D, 1)
    scaled_ND = (features_ND - mean_D) / scale_D
    # A rotation changes neither penalty nor solution; uncorrelated channels take a tenth of the steps.
    axes_DD = torch.linalg.eigh(scaled_ND.T @ scaled_ND).eigenvectors
    rotated_ND = scaled_ND @ axes_DD
    strength = choose(rotated_ND, labels_NC, model.config.strengths)
    weight_CD, bias_C = fit(rotated_ND, labels_NC, strength)
    weight_CD = weight_CD @ axes_DD.T
    with torch.no_grad():
        model.classifier.weight.copy_(weight_CD / scale_D)
        model.classifier.bias.copy_(bias_C - weight_CD @ (mean_D / scale_D))


def choose(features_ND: Tensor, labels_NC: Tensor, strengths: tuple[float, ...]) -> float:
    """The strength whose fit has the lowest cross-entropy on images that it has not seen."""
    if len(strengths) == 1:
        return strengths[0]
    number = len(features_ND)
    order_N = torch.randperm(number, generator=torch.Generator().manual_seed(0)).to(features_ND.device)
    held_out, fitted = order_N[: number // FOLDS], order_N[number // FOLDS :]
    losses = {}
    for strength in sorted(strengths):
        weight_CD, bias_C = fit(features_ND[fitted], labels_NC[fitted], strength)
        logits_BC = F.linear(features_ND[held_out], weight_CD, bias_C)
        targets_BC = labels_NC[held_out]
        is_known_BC = (targets_BC >= 0).to(targets_BC.dtype)
        losses[strength] = float(
            F.binary_cross_entropy_with_logits(logits_BC, targets_BC.clamp(min=0), weight=is_known_BC)
        )
    return min(losses, key=lambda strength: losses[strength])


def fit(features_ND: Tensor, labels_NC: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """(w (C, D), b (C)) with the least |w|^2 / 2 + strength * sum over images of -log p(y | w x + b).

    The sum is over the images whose label is known (not -1). A label that all of them have, or none, gets
    w = 0 and the b of half an image more of each kind.
    """
    number, is_known_NC = len(labels_NC), (labels_NC >= 0).to(labels_NC.dtype)
    labels_NC, known_C = labels_NC.clamp(min=0), is_known_NC.sum(dim=0)
    positives_C = labels_NC.sum(dim=0)
    varies_C = (positives_C > 0) & (positives_C < known_C)
    bias_C = ((positives_C + 0.5) / (known_C - positives_C + 0.5)).log()
    weight_CD = features_ND.new_zeros(labels_NC.shape[1], features_ND.shape[1])
    share_C, weight_C = positives_C[varies_C] / known_C[varies_C], known_C[varies_C] / number
    curvature_C1, square_D = (share_C * (1 - share_C) * weight_C)[:, None], features_ND.square().sum(dim=0)
    unit_CD = (number / (curvature_C1 * square_D + 1 / strength)).sqrt()  # steps are taken in these units
    u, b = weight_CD[varies_C].requires_grad_(), bias_C[varies_C].requires_grad_()
    optimizer = torch.optim.LBFGS([u, b], **SOLVER)

    def objective() -> float:
        with torch.enable_grad():
            optimizer.zero_grad()
            w = u * unit_CD
            logits_NC = F.linear(features_ND, w, b)
            loss = F.binary_cross_entropy_with_logits(
                logits_NC, labels_NC[:, varies_C], weight=is_known_NC[:, varies_C], reduction="sum"
            )
            total = loss / number + w.square().sum() / (2 * strength * number)
            total.backward()
        return float(total.detach())

    if varies_C.any():
        optimizer.step(objective)
    weight_CD[varies_C], bias_C[varies_C] = u.detach() * unit_CD, b.detach()
    return weight_CD, bias_C


def stages(config: Config) -> tuple[Stage | Collection, ...]:
    """The pass over the training images; before it, for features of ResNet-101, that method's training."""
    collection = Collection(
        name="regression",
        owner=__name__,
        row=row,
        keep=keep,
        batch_size=config.batch_size,
        input_size=config.input_size,
        settings={"strengths": config.strengths},
        stores="state",
    )
    if config.features == "trunk":
        return (collection,)
    return (*config.with_budget(resnet101.main_stage(config)), collection)


RECIPES = Config.recipes(demo={"features": "resnet101"})
