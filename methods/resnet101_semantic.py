"""ResNet-101-semantic: linear layers on features and first logits (Zhu et al. 2017, section 4.1).

A baseline that can relate labels, but not positions. The first logits are ResNet-101's, as section 4.1 says
("initial label confidences by ResNet-101"): its training comes first and is shared, then all layers are
trained on the final logits. `start = "imagenet"` trains all layers together from the ImageNet trunk instead,
as ResNet-107 is trained; the C numbers of the first logits then need not be confidences.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from bench.training import Labels, Range, Stage, Trunk
from methods import resnet101
from methods._recipe import Recipe

ORDER = (2017, 3)


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """The paper's settings; hidden: the neurons of the two hidden layers.

    start: "resnet101": from the result of that method's training, for `joint_epochs` more, or under the equal
    budget for as many as SRN's other stages take; "imagenet": from the trunk, in one stage of `epochs`.
    """

    hidden: Annotated[int, Range(1, 65_536)] = 2048
    start: Literal["resnet101", "imagenet"] = "resnet101"


class Model(resnet101.Model):
    """y = FC(ReLU(FC(ReLU(FC([y_cls; pooled features]))))): two layers of 2048, then C."""

    def __init__(self, config: Config, labels: Labels, trunk: Trunk) -> None:
        super().__init__(config, labels, trunk)
        self.relations = nn.Sequential(
            _Hidden(labels.number + trunk.channels, config.hidden),
            nn.ReLU(),
            _Hidden(config.hidden, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, labels.number),
        )

    def relate(self, features_BCHW: Tensor) -> Tensor:
        """y from the output of the fourth stage."""
        first_BC, pooled_BD = self.classify(features_BCHW), features_BCHW.mean(dim=(2, 3))
        logits_BC: Tensor = self.relations(torch.cat([first_BC, pooled_BD], dim=1))
        return logits_BC

    def logits(self, images_BCHW: Tensor) -> Tensor:
        """y; y_cls, the first logits, are ResNet-101's."""
        return self.relate(self.trunk.features(images_BCHW))


class _Hidden(nn.Linear):
    """A linear layer with the initial weights for a ReLU after it (He et al. 2015)."""

    def reset_parameters(self) -> None:
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        nn.init.zeros_(self.bias)


def loss(model: Model, images_BCHW: Tensor, labels_BC: Tensor) -> tuple[Tensor, Tensor]:
    """(L(y, final logits), final logits)."""
    logits_BC = model.logits(images_BCHW)
    return model.criterion(logits_BC, labels_BC), logits_BC


def stages(config: Config) -> tuple[Stage, ...]:
    """ResNet-101's stage and one that trains all layers; or that alone, which the equal budget trains on."""
    if config.start == "imagenet":
        new_layers = ("classifier", "relations")
        main = config.main_stage(*new_layers, owner=__name__, loss=loss, settings=("hidden",))
        return config.with_budget(main)
    joint = config.stage(
        "joint",
        {"": 1.0, "relations": config.new_layers_lr},
        owner=__name__,
        epochs=config.joint_epochs if config.budget == "paper" else config.further_epochs,
        loss=loss,
        settings=("hidden",),
    )
    return resnet101.main_stage(config), joint


RECIPES = Config.recipes(demo={"hidden": 256})
