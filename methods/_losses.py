"""Losses of logits and labels: cross-entropy, asymmetric and focal; computed in float32.

Labels are 1.0 positive, 0.0 negative, -1.0 not known: such an entry adds nothing, and its gradient is exactly
0. Each loss is a sum over the known labels divided by the number of images B ("sum"), and by C too ("mean").

Legend: B images, C labels; p = sigmoid(x) of the logits x.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Reduction = Literal["sum", "mean"]


@dataclass(frozen=True)
class Criterion:
    """The loss that a recipe chooses; its fields are those of `methods._recipe_parts.LossFields`."""

    loss: Literal["bce", "asymmetric", "focal"] = "bce"
    reduction: Reduction = "sum"
    gamma_pos: float = 0.0
    gamma_neg: float = 4.0
    margin: float = 0.05
    focal_gamma: float = 2.0

    def __call__(self, logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
        """The loss, a scalar."""
        if self.loss == "bce":
            return bce(logits_BC, labels_BC, reduction=self.reduction)
        if self.loss == "focal":
            terms_BC = focal(logits_BC, labels_BC, gamma=self.focal_gamma)
        else:
            gammas = {"gamma_pos": self.gamma_pos, "gamma_neg": self.gamma_neg}
            terms_BC = asymmetric(logits_BC, labels_BC, margin=self.margin, **gammas)
        total = torch.where(labels_BC >= 0, terms_BC, 0).sum()
        return total / (labels_BC.numel() if self.reduction == "mean" else len(labels_BC))


def bce(logits_BC: Tensor, labels_BC: Tensor, *, reduction: Reduction = "sum") -> Tensor:
    """L(y, y^) = -sum over labels of y log s(y^) + (1 - y) log(1 - s(y^)), the mean over images (Eq. 10).

    This is Caffe's SigmoidCrossEntropyLoss; PyTorch's mean reduction is C times smaller. The minus sign is
    missing in the paper's Eq. 10.
    """
    known_BC = (labels_BC >= 0).float()
    total = F.binary_cross_entropy_with_logits(
        logits_BC.float(), labels_BC.clamp(min=0), weight=known_BC, reduction=reduction
    )
    return total / len(labels_BC) if reduction == "sum" else total


def asymmetric(
    logits_BC: Tensor, labels_BC: Tensor, *, gamma_pos: float, gamma_neg: float, margin: float
) -> Tensor:
    """-y (1 - p)^g+ log p - (1 - y) p_m^g- log(1 - p_m), (B, C), with p_m = max(p - margin, 0).

    The focusing weights (1 - p)^g+ and p_m^g- carry no gradient (Ridnik et al. 2021, and their code).
    """
    logits_BC = logits_BC.float()
    shifted_BC = (logits_BC.sigmoid() - margin).clamp(min=0)
    with torch.no_grad():
        positive_weight_BC = (-logits_BC).sigmoid() ** gamma_pos
        negative_weight_BC = shifted_BC**gamma_neg
    # 1 - p_m = min(sigmoid(-x) + margin, 1), which keeps its digits where p is almost 1.
    negative_BC = ((-logits_BC).sigmoid() + margin).clamp(max=1).clamp(min=torch.finfo().tiny).log()
    terms_BC = positive_weight_BC * F.logsigmoid(logits_BC)
    return -torch.where(labels_BC == 1, terms_BC, negative_weight_BC * negative_BC)


def focal(logits_BC: Tensor, labels_BC: Tensor, *, gamma: float) -> Tensor:
    """-(1 - q)^gamma log q, (B, C), q = p where y = 1, else 1 - p (Lin et al. 2017, without alpha)."""
    signed_BC = torch.where(labels_BC == 1, logits_BC.float(), -logits_BC.float())
    return -((-signed_BC).sigmoid() ** gamma) * F.logsigmoid(signed_BC)
