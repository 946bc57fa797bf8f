"""WARP: ResNet-101 under the weighted approximate-rank pairwise loss (Weston et al. 2011, Gong et al. 2014).

The papers draw negative labels until one violates the margin, and estimate the rank of a positive label from
the number of trials. Deviations: here the loss is the exact expected value over these draws, so nothing is
drawn. The loss orders the labels of an image and does not determine the level of their scores. A scale and a
shift, the same for all labels, are therefore fitted by the recipe's `loss` at the same time: they change
neither the order nor the trunk, and make probability 1/2 a useful threshold. Trunk and schedule are
ResNet-101's (Gong et al.: a smaller network, from scratch). Cost: ResNet-101's.

Legend: B images, C labels, R = C ranks; p the positive label of a pair, n its negative one.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.training import Labels, Stage, Trunk
from methods import resnet101
from methods._recipe import Recipe

ORDER = (2014, 1)
MARKS = {"other features": "on the trunk's features, the published row on those of its own publication"}


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """ResNet-101's settings; it has no fields besides those of all recipes."""


class Model(resnet101.Model):
    """y = exp(scale) s + shift, with ResNet-101's logits as the scores s that the loss orders."""

    def __init__(self, config: Config, labels: Labels, trunk: Trunk) -> None:
        super().__init__(config, labels, trunk)
        self.calibration = Calibration()

    def logits(self, images_BCHW: Tensor) -> Tensor:
        logits_BC: Tensor = self.calibration(self.main_logits(images_BCHW))
        return logits_BC


class Calibration(nn.Module):
    """exp(scale) s + shift, which keeps the order of the scores s for any scale and shift."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))

    def forward(self, scores_BC: Tensor) -> Tensor:
        return self.scale.exp() * scores_BC.float() + self.shift


def warp(scores_BC: Tensor, labels_BC: Tensor) -> Tensor:
    """E sum over p of L(floor(N / T)) (1 - s_p + s_n), summed over labels, divided by the batch.

    N: the number of the image's negative labels; V: of those that violate p's margin, s_n > s_p - 1. With
    draws with replacement the first violator n comes at trial T, which is geometric with probability V / N,
    and each of the V is equally likely. L(r) is the sum of 1 / j over j = 1..r, so more than N trials weigh
    nothing. The term 1 / j is part of L(floor(N / T)) wherever T <= floor(N / j), hence

        E L = sum over j of (1 - (1 - V / N)^floor(N / j)) / j.

    scores_BC are converted to float32; labels_BC: 1.0 positive, 0.0 negative, -1.0 not
    known, which is in no pair. V is a count without gradient.
    """
    scores_BC = scores_BC.float()
    hinges_Bpn = (1 - scores_BC[:, :, None] + scores_BC[:, None, :]).clamp(min=0)
    is_positive_BC, is_negative_BC = (labels_BC == 1).float(), (labels_BC == 0).float()
    hinges_Bpn = hinges_Bpn * (is_positive_BC[:, :, None] * is_negative_BC[:, None, :])
    violators_Bp = (hinges_Bpn > 0).sum(dim=2)
    weights_Bp = expected_weight(violators_Bp, (labels_BC == 0).sum(dim=1, keepdim=True))
    means_Bp = hinges_Bpn.sum(dim=2) / violators_Bp.clamp(min=1)
    return (weights_Bp * means_Bp).sum() / len(labels_BC)


def expected_weight(violators_Bp: Tensor, negatives_B1: Tensor) -> Tensor:
    """E L(floor(N / T)) for V violators among N negative labels; 0 where there is no violator.

    One violator among two: L(2) = 3/2 at the first trial (probability 1/2), L(1) = 1 at the second (1/4).

    >>> expected_weight(torch.tensor([[0, 1, 2]]), torch.tensor([[2]])).tolist()
    [[0.0, 1.0, 1.5]]
    """
    ranks_R = torch.arange(1, violators_Bp.shape[1] + 1, device=violators_Bp.device)
    trials_B1R = negatives_B1[..., None] // ranks_R
    missed_Bp1 = 1 - violators_Bp[..., None] / negatives_B1[..., None].clamp(min=1)
    return ((1 - missed_Bp1**trials_B1R) / ranks_R).sum(dim=2)


def main_loss(model: Model, images_BCHW: Tensor, labels_BC: Tensor) -> tuple[Tensor, Tensor]:
    """(WARP of the scores + the mean cross-entropy of y, y); the latter trains only scale and shift."""
    scores_BC = model.main_logits(images_BCHW)
    y_BC = model.calibration(scores_BC.detach())
    return warp(scores_BC, labels_BC) + model.criterion(y_BC, labels_BC) / labels_BC.shape[1], y_BC


def stages(config: Config) -> tuple[Stage, ...]:
    """One stage for all layers; under the equal budget a second one trains them on."""
    return config.with_budget(config.main_stage("classifier", "calibration", owner=__name__, loss=main_loss))


RECIPES = Config.recipes()
