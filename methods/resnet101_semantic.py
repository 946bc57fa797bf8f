"""ResNet-101-semantic: linear layers on features and first logits (Zhu et al. 2017, section 4.1).

A baseline that can relate labels, but not positions. All layers are trained together from the ImageNet trunk,
on the final logits alone; the paper does not say whether the first logits were trained before.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from bench.training import Labels, Range, Stage, Trunk
from methods import resnet101
from methods._recipe import Recipe

ORDER = (2017, 3)


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """The paper's settings; hidden: the neurons of the two hidden layers."""

    hidden: Annotated[int, Range(1, 65_536)] = 2048


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

    def classify(self, features_BCHW: Tensor) -> Tensor:
        pooled_BD = features_BCHW.mean(dim=(2, 3))
        logits_BC: Tensor = self.relations(torch.cat([self.classifier(pooled_BD), pooled_BD], dim=1))
        return logits_BC


class _Hidden(nn.Linear):
    """A linear layer with the initial weights for a ReLU after it (He et al. 2015)."""

    def reset_parameters(self) -> None:
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        nn.init.zeros_(self.bias)


def stages(config: Config) -> tuple[Stage, ...]:
    """One stage for all layers; under the equal budget a second one trains them on."""
    new_layers, loss = ("classifier", "relations"), resnet101.main_loss
    main = config.main_stage(*new_layers, owner=__name__, loss=loss, settings=("hidden",))
    return config.with_budget(main)


RECIPES = Config.recipes(demo={"hidden": 256})
