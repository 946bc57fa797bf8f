"""ResNet-107: ResNet-101 with two more bottleneck blocks at its end (Zhu et al. 2017, section 4.1).

A baseline that the paper calls of SRN's size: two blocks of three convolutions, 2048 -> 512 -> 512 -> 2048,
add 8.9 M parameters, where SRN adds 6.1 M. In a pre-activation trunk they are pre-activation blocks, before
its last norm. They are the identity at first; all layers are trained together from the ImageNet trunk.
"""

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor, nn

from bench.training import Labels, Range, Stage, Trunk
from methods import resnet101
from methods._layers import bottlenecks
from methods._recipe import Recipe

ORDER = (2017, 2)


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """The paper's settings; extra_blocks: the bottleneck blocks after the fourth stage."""

    extra_blocks: Annotated[int, Range(0, 100)] = 2


class Model(resnet101.Model):
    """ResNet-101 with `blocks` between the fourth stage and the pooling."""

    def __init__(self, config: Config, labels: Labels, trunk: Trunk) -> None:
        super().__init__(config, labels, trunk)
        ends_itself = not isinstance(trunk.end, nn.Identity)
        self.blocks = bottlenecks(
            trunk.channels, config.extra_blocks, rectified=trunk.rectified, norm=not ends_itself
        )

    def main_logits(self, images_BCHW: Tensor) -> Tensor:
        """y_cls, with the new blocks before the norm at the end of a pre-activation trunk."""
        features_BCHW = self.trunk.end(self.blocks(self.trunk.before_end(images_BCHW)))
        return self.classify(features_BCHW)


def stages(config: Config) -> tuple[Stage, ...]:
    """One stage for all layers; under the equal budget a second one trains them on."""
    new_layers, loss = ("blocks", "classifier"), resnet101.main_loss
    main = config.main_stage(*new_layers, owner=__name__, loss=loss, settings=("extra_blocks",))
    return config.with_budget(main)


RECIPES = Config.recipes()
