"""SRN: spatial regularization learned from weighted label attention maps (Zhu et al. 2017, section 3).

Attention maps A and confidence maps S, one of each for every label, are learned from image labels alone. f_sr
relates the weighted maps U = sigmoid(S) * A first across labels, then across positions; its logits are
averaged with ResNet-101's.

The paper's text and what its authors released differ; `variant` chooses all fields of one of them (VARIANTS).
The default is the text, with three parts of the release: two bottleneck blocks before both maps, because the
text's "about 6 million additional parameters" needs them (6.1 M with, 3.9 M without, C = 80); batch norm
before each ReLU, as every ReLU of the trunk has; mirrored images, which the release and its baselines have.

Legend: B images, C labels, D channels, H = W = the side of X (14 at 224).
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal, Self

import torch
from torch import Tensor, nn

from bench.training import Explanation, Labels, Range, Stage, Trunk
from methods import resnet101
from methods._layers import bottlenecks, convolution, rectifier
from methods._recipe import Recipe
from methods._recipe_parts import StageRate

ORDER = (2017, 5)
Variant = Literal["default", "text", "released"]
Width = Annotated[int, Range(1, 65_536)]
# Field -> its value in the paper's text, and in what its authors released or said of it. The text cites both
# kinds of ResNet-101. When the released solvers lower the rate is unknown: the milestones are ours.
VARIANTS: dict[str, tuple[Any, Any]] = {
    "attention_blocks": (0, 2),
    "branch_norms": (False, True),
    "confidence_hidden": (0, 512),
    "joint_loss": ("fused", "separate"),
    "max_distort": (None, 1),
    "mirror": (False, True),
    "patience": (2, None),
    "milestones": ((), (0.7, 0.9)),
    "held_out": (5, 0),
    "trunk": ("resnet101.tv_in1k", "resnetv2_101.a1h_in1k"),
}


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """The paper's settings.

    variant: "text" or "released" gives the fields in VARIANTS their values there, unless they are set too.
    attention_blocks: bottleneck blocks between X and both maps, in a pre-activation trunk pre-activation ones
    with norm and ReLU after them; attention_width: channels inside f_att.
    branch_norms: batch norm before each ReLU in f_att, conv1 and f_sr.
    confidence_hidden: channels of a hidden layer before S; 0: only "conv1", as in the text.
    weighted: the input of f_sr is U (Eq. 8), else A. relation_width: channels of conv2 and conv3.
    filters: kernels of conv4 for each channel of conv3. alpha: share of y_cls in the fused logits.
    joint_loss: "fused": L(y, fused logits) + L(y, y_att), as in the text; "separate": L(y, y_cls) +
    L(y, y_att) + L(y, y_sr). attention_lr, regularization_lr: as `main_lr` and `joint_lr`, of these stages.
    """

    variant: Variant = "default"
    attention_blocks: Annotated[int, Range(0, 100)] = 2
    attention_width: Width = 512
    branch_norms: bool = True
    confidence_hidden: Annotated[int, Range(0, 65_536)] = 0
    weighted: bool = True
    relation_width: Width = 512
    filters: Annotated[int, Range(1, 1000)] = 4
    alpha: Annotated[float, Range(0, 1)] = 0.5
    joint_loss: Literal["fused", "separate"] = "fused"
    attention_lr: StageRate = None
    regularization_lr: StageRate = None

    def as_variant(self, name: Variant) -> Self:
        """The recipe with the fields of a variant; a trunk that the card has trained from scratch stays."""
        kept = VARIANTS if name == "default" else ["trunk"] if self.from_scratch else []
        column = int(name == "released")
        values = {field: both[column] for field, both in VARIANTS.items() if field not in kept}
        return replace(self, **values, variant=name)

    def stage_lr(self, name: str) -> float:
        own = {"attention": self.attention_lr, "regularization": self.regularization_lr}
        return own[name] or self.lr if name in own else super().stage_lr(name)


class Model(resnet101.Model):
    """The main net, attention and spatial regularization on one trunk."""

    def __init__(self, config: Config, labels: Labels, trunk: Trunk) -> None:
        super().__init__(config, labels, trunk)
        self.config = config
        width, hidden, number = trunk.x_channels, config.attention_width, labels.number
        layers = partial(convolution, norm=config.branch_norms)
        self.attention_trunk = bottlenecks(width, config.attention_blocks, rectified=trunk.rectified)
        self.attention = nn.Sequential(
            *layers(width, hidden, 1), *layers(hidden, hidden, 3), nn.Conv2d(hidden, number, 1)
        )
        before = config.confidence_hidden or width
        first = layers(width, before, 1) if config.confidence_hidden else ()
        self.confidence = nn.Sequential(*first, nn.Conv2d(before, number, 1))
        self.regularization = Regularization(config, number, trunk.x_side(config.input_size))

    def maps(self, x_BDHW: Tensor) -> tuple[Tensor, Tensor]:
        """A = softmax of f_att(X) over positions (Eq. 4) and S = conv1(X), each (B, C, H, W)."""
        shared_BDHW = self.attention_trunk(x_BDHW)
        scores_BCHW = self.attention(shared_BDHW).float()
        attention_BCHW = scores_BCHW.flatten(2).softmax(dim=2).view_as(scores_BCHW)
        return attention_BCHW, self.confidence(shared_BDHW).float()

    def regularize(self, attention_BCHW: Tensor, confidence_BCHW: Tensor) -> Tensor:
        """y_sr = f_sr(U) with U = sigmoid(S) * A (Eq. 8 and 9), or f_sr(A)."""
        weighted_BCHW = confidence_BCHW.sigmoid() * attention_BCHW
        logits_BC: Tensor = self.regularization(weighted_BCHW if self.config.weighted else attention_BCHW)
        return logits_BC

    def attention_logits(self, images_BCHW: Tensor) -> Tensor:
        """y_att alone, without computing the fourth stage."""
        return pool(*self.maps(self.trunk.x(images_BCHW)))

    def regularization_logits(self, images_BCHW: Tensor) -> Tensor:
        """y_sr alone, without computing the fourth stage."""
        return self.regularize(*self.maps(self.trunk.x(images_BCHW)))

    def branches(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(y_cls, y_att, y_sr)."""
        x_BDHW, features_BCHW = self.trunk(images_BCHW)
        attention_BCHW, confidence_BCHW = self.maps(x_BDHW)
        y_att_BC = pool(attention_BCHW, confidence_BCHW)
        y_sr_BC = self.regularize(attention_BCHW, confidence_BCHW)
        return self.classify(features_BCHW), y_att_BC, y_sr_BC

    def logits(self, images_BCHW: Tensor) -> Tensor:
        """The fused logits."""
        y_cls_BC, _, y_sr_BC = self.branches(images_BCHW)
        return fuse(y_cls_BC, y_sr_BC, self.config.alpha)

    def explain(self, images_BCHW: Tensor) -> Explanation:
        """The branches, A and U, and the responses of conv4 (section 4.3)."""
        x_BDHW, features_BCHW = self.trunk(images_BCHW)
        attention_BCHW, confidence_BCHW = self.maps(x_BDHW)
        weighted_BCHW = confidence_BCHW.sigmoid() * attention_BCHW
        neurons_BK = self.regularization.neurons(weighted_BCHW if self.config.weighted else attention_BCHW)
        y_cls_BC, y_sr_BC = self.classify(features_BCHW), self.regularization.classifier(neurons_BK)
        branches = {"y_cls": y_cls_BC, "y_att": pool(attention_BCHW, confidence_BCHW), "y_sr": y_sr_BC}
        fused = {"y": fuse(y_cls_BC, y_sr_BC, self.config.alpha)}
        return Explanation(branches | fused, attention_BCHW, weighted_BCHW, neurons_BK)

    def influence(self, explanation: Explanation) -> Tensor:
        """How much y_sr falls if one label's map is set to 0, (B, C of the map, C of the logit)."""
        maps_BCHW = explanation.weighted_BCHW if self.config.weighted else explanation.attention_BCHW
        y_sr_without = []
        for label in range(maps_BCHW.shape[1]):
            remaining_BCHW = maps_BCHW.clone()
            remaining_BCHW[:, label] = 0
            y_sr_without.append(self.regularization(remaining_BCHW))
        return explanation.logits["y_sr"][:, None] - torch.stack(y_sr_without, dim=1)


class Regularization(nn.Module):
    """f_sr: conv2 and conv3 (1x1) relate labels, conv4 relates positions, a linear layer follows (Fig. 4).

    conv4 has `filters` kernels for each channel of conv3; they see that channel alone and are as large as the
    map.
    """

    def __init__(self, config: Config, labels: int, side: int) -> None:
        super().__init__()
        width, norm = config.relation_width, config.branch_norms
        self.conv2 = nn.Sequential(*convolution(labels, width, 1, norm=norm))
        self.conv3 = nn.Sequential(*convolution(width, width, 1, norm=norm))
        conv4 = nn.Conv2d(width, width * config.filters, side, groups=width, bias=not norm)
        self.conv4 = nn.Sequential(conv4, *rectifier(width * config.filters, norm=norm))
        self.classifier = nn.Linear(width * config.filters, labels)

    def neurons(self, maps_BCHW: Tensor) -> Tensor:
        """The responses of conv4, (B, width * filters)."""
        responses_BK11: Tensor = self.conv4(self.conv3(self.conv2(maps_BCHW)))
        return responses_BK11.flatten(1)

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        logits_BC: Tensor = self.classifier(self.neurons(maps_BCHW))
        return logits_BC


def pool(attention_BCHW: Tensor, confidence_BCHW: Tensor) -> Tensor:
    """y_att = sum over positions of A * S, (B, C) (Eq. 7, which equals Eq. 6)."""
    return (attention_BCHW * confidence_BCHW).sum(dim=(2, 3))


def fuse(y_cls_BC: Tensor, y_sr_BC: Tensor, alpha: float) -> Tensor:
    """y = alpha y_cls + (1 - alpha) y_sr, on logits (section 3.4)."""
    return alpha * y_cls_BC + (1 - alpha) * y_sr_BC


def attention_loss(model: Model, images_BCHW: Tensor, labels_BC: Tensor) -> tuple[Tensor, Tensor]:
    """(L(y, y_att), y_att)."""
    y_att_BC = model.attention_logits(images_BCHW)
    return model.criterion(y_att_BC, labels_BC), y_att_BC


def regularization_loss(model: Model, images_BCHW: Tensor, labels_BC: Tensor) -> tuple[Tensor, Tensor]:
    """(L(y, y_sr), y_sr)."""
    y_sr_BC = model.regularization_logits(images_BCHW)
    return model.criterion(y_sr_BC, labels_BC), y_sr_BC


def joint_loss(model: Model, images_BCHW: Tensor, labels_BC: Tensor) -> tuple[Tensor, Tensor]:
    """(L(y, fused logits) + L(y, y_att) (Eq. 10), or the sum of the three branches' losses; fused logits)."""
    y_cls_BC, y_att_BC, y_sr_BC = model.branches(images_BCHW)
    fused_BC = fuse(y_cls_BC, y_sr_BC, model.config.alpha)
    if model.config.joint_loss == "separate":
        final = model.criterion(y_cls_BC, labels_BC) + model.criterion(y_sr_BC, labels_BC)
    else:
        final = model.criterion(fused_BC, labels_BC)
    return final + model.criterion(y_att_BC, labels_BC), fused_BC


def stages(config: Config) -> tuple[Stage, ...]:
    """The main net, then attention, then regularization, then all layers together (section 3.4)."""
    new = config.new_layers_lr
    attention = config.stage(
        "attention",
        {"attention_trunk": new, "attention": new, "confidence": new},
        owner=__name__,
        epochs=config.attention_epochs,
        loss=attention_loss,
        settings=("attention_blocks", "attention_width", "branch_norms", "confidence_hidden"),
    )
    regularization = config.stage(
        "regularization",
        {"regularization": new},
        owner=__name__,
        epochs=config.regularization_epochs,
        loss=regularization_loss,
        settings=("weighted", "relation_width", "filters"),
    )
    joint = config.stage(
        "joint",
        {"": 1.0},
        owner=__name__,
        epochs=config.joint_epochs,
        loss=joint_loss,
        settings=("alpha", "joint_loss"),
    )
    return resnet101.main_stage(config), attention, regularization, joint


BASELINE = "resnet101"  # the method over which the paper shows the gain of every class (Fig. 7)
RECIPES = Config.recipes(demo={"attention_width": 128, "relation_width": 128})
