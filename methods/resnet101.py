"""ResNet-101: the trunk, global average pooling and one linear layer (Zhu et al. 2017, section 4.1).

Its training is also the first stage of SRN and SRN-att, which use its result.
Cost: 42.7 M parameters with C = 80, 7.8 GMAC for each image at 224.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from bench.training import Labels, Stage, Trunk
from methods._recipe import Recipe

ORDER = (2017, 1)


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """The paper's settings; it has no fields besides those of all recipes."""


class Model(nn.Module):
    """y_cls = f_cls(X): fourth stage, mean over positions, linear (Eq. 1 and 2)."""

    def __init__(self, config: Recipe, labels: Labels, trunk: Trunk) -> None:
        super().__init__()
        self.trunk, self.criterion = trunk, config.criterion
        self.classifier = nn.Linear(trunk.channels, labels.number)

    def classify(self, features_BCHW: Tensor) -> Tensor:
        """y_cls from the output of the fourth stage."""
        logits_BC: Tensor = self.classifier(features_BCHW.mean(dim=(2, 3)))
        return logits_BC

    def main_logits(self, images_BCHW: Tensor) -> Tensor:
        """y_cls."""
        return self.classify(self.trunk.features(images_BCHW))

    def logits(self, images_BCHW: Tensor) -> Tensor:
        """y_cls is the prediction."""
        return self.main_logits(images_BCHW)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return self.logits(images_BCHW)


def main_loss(model: Model, images_BCHW: Tensor, labels_BC: Tensor) -> tuple[Tensor, Tensor]:
    """(L(y, y_cls), y_cls)."""
    y_cls_BC = model.main_logits(images_BCHW)
    return model.criterion(y_cls_BC, labels_BC), y_cls_BC


def main_stage(config: Recipe) -> Stage:
    """Train f_cnn and f_cls, starting from the pretrained trunk (section 3.4, first step)."""
    return config.main_stage("classifier", owner=__name__, loss=main_loss)


def stages(config: Config) -> tuple[Stage, ...]:
    """One stage; under the equal budget a second one trains all layers on."""
    return config.with_budget(main_stage(config))


RECIPES = Config.recipes()
