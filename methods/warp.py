"""WARP: ResNet-101 under the weighted approximate-rank pairwise loss (Weston et al. 2011, Gong et al. 2014).

The papers draw negative labels until one violates the margin, and estimate a positive label's rank from the
number of trials. Deviations: here the loss is the exact expectation over these draws, so that nothing is
drawn. It orders the labels of an image and leaves their level open, so a scale and a shift, the same for all
labels, are fitted beside it by cross-entropy: they change no order and not the trunk, and make probability
1/2 a threshold. Trunk and schedule are ResNet-101's (Gong et al.: a smaller net, from scratch).
Cost: ResNet-101's.

Legend: B images, C labels, R = C ranks; p the positive label of a pair, n its negative one.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.training import Labels, Stage, Trunk
from methods import resnet101
from methods._recipe import Recipe, bce

ORDER = (2014, 1)
MARKS = {"other features": "on the trunk's features, the published row on those of its own publication"}


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """ResNet-101's settings; the fields are those of all recipes."""


class Model(resnet101.Model):
    """y = exp(scale) s + shift, with ResNet-101's logits as the scores s that the loss orders."""

    def __init__(self, config: Config, labels: Labels, trunk: Trunk) -> None:
        super().__init__(config, labels, trunk)
        self.calibration = Calibration()

    def logits(self, images_BCHW: Tensor) -> Tensor:
        logits_BC: Tensor = self.calibration(self.main_logits(images_BCHW))
        return logits_BC


class Calibration(nn.Module):
    """exp(scale) s + shift: whatever the two are, the order of the scores stays."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))

    def forward(self, scores_BC: Tensor) -> Tensor:
        return self.scale.exp() * scores_BC.float() + self.shift


def warp(scores_BC: Tensor, labels_BC: Tensor) -> Tensor:
    """E sum over p of L(floor(N / T)) (1 - s_p + s_n), summed over labels, divided by the batch.

    N: the image's negative labels; V: those that violate p's margin, s_n > s_p - 1. Drawn with replacement,
    the first violator n comes at trial T, geometric with V / N, and is each of the V alike; L(r) is the sum
    of 1 / j over j = 1..r, so that more than N trials weigh nothing. L(floor(N / T)) has 1 / j in it wherever
    T <= floor(N / j), hence

        E L = sum over j of (1 - (1 - V / N)^floor(N / j)) / j.

    scores_BC are taken in float32; labels_BC: 1.0 where positive, else 0.0. V, a count, has no gradient.
    """
    scores_BC = scores_BC.float()
    hinges_Bpn = (1 - scores_BC[:, :, None] + scores_BC[:, None, :]).clamp(min=0)
    hinges_Bpn = hinges_Bpn * (labels_BC[:, :, None] * (1 - labels_BC[:, None, :]))
    violators_Bp = (hinges_Bpn > 0).sum(dim=2)
    weights_Bp = expected_weight(violators_Bp, (labels_BC == 0).sum(dim=1, keepdim=True))
    means_Bp = hinges_Bpn.sum(dim=2) / violators_Bp.clamp(min=1)
    return (weights_Bp * means_Bp).sum() / len(labels_BC)


def expected_weight(violators_Bp: Tensor, negatives_B1: Tensor) -> Tensor:
    """E L(floor(N / T)) for V violators among N of the C labels; 0 where there is none.

    One violator in two: L(2) = 3/2 if it comes first, which has probability 1/2, L(1) = 1 if second, 1/4.

    >>> expected_weight(torch.tensor([[0, 1, 2]]), torch.tensor([[2]])).tolist()
    [[0.0, 1.0, 1.5]]
    """
    ranks_R = torch.arange(1, violators_Bp.shape[1] + 1, device=violators_Bp.device)
    trials_B1R = negatives_B1[..., None] // ranks_R
    missed_Bp1 = 1 - violators_Bp[..., None] / negatives_B1[..., None].clamp(min=1)
    return ((1 - missed_Bp1**trials_B1R) / ranks_R).sum(dim=2)


def main_loss(model: Model, images_BCHW: Tensor, labels_BC: Tensor) -> tuple[Tensor, Tensor]:
    """WARP on the scores, and for scale and shift alone the cross-entropy of y, a mean over labels; and y."""
    scores_BC = model.main_logits(images_BCHW)
    y_BC = model.calibration(scores_BC.detach())
    return warp(scores_BC, labels_BC) + bce(y_BC, labels_BC) / labels_BC.shape[1], y_BC


def stages(config: Config) -> tuple[Stage, ...]:
    """One stage over everything; under the equal budget a second one."""
    new = config.new_layers_lr
    only = config.stage(
        "main",
        {"trunk": 1.0, "classifier": new, "calibration": new},
        owner=__name__,
        epochs=config.epochs,
        loss=main_loss,
    )
    return config.with_budget(only)


RECIPES = Config.recipes()
