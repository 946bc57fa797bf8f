"""ResNet-101-GMP: ResNet-101 with global max pooling, the baseline of ML-GCN (Chen et al. 2019, its README).

The paper compares with average pooling. Its authors then found that much of the gain was the pooling's, and
trained the baseline again with max pooling: on MS-COCO 77.3 with the mean, 81.9 with the maximum, 83.0 for
ML-GCN. How is not said; here as ML-GCN is trained, whose recipe this is (see methods/ml_gcn.py).
Cost: 42.7 M parameters with C = 80, as ResNet-101; 31 GMAC for each image at 448.
"""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from bench.training import Stage
from methods import resnet101
from methods._recipe import Recipe

ORDER = (2019, 1)


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """ML-GCN's training. lr is the trunk's rate; the new layers have ten times that.

    reduction: the mean over labels, as torch's multi-label soft margin loss; under equal terms SRN's sum.
    """

    input_size: int = 448
    crops: tuple[int, ...] = (256, 224, 192, 169, 128)  # 1, 0.875, 0.75, 0.66, 0.5 of the image's side
    max_distort: int | None = 2
    more_places: bool = True
    batch_size: int = 16
    lr: float = 0.01
    new_layers_lr: float = 10.0
    milestones: tuple[float, ...] = (40 / 100, 80 / 100)
    patience: int | None = None
    weight_decay: float = 1e-4
    clip_norm: float = 10.0
    epochs: int = 100
    reduction: Literal["sum", "mean"] = "mean"


class Model(resnet101.Model):
    """y = W max(F) + b: fourth stage, maximum over positions, linear."""

    def classify(self, features_BCHW: Tensor) -> Tensor:
        """The logits of the fourth stage's output."""
        logits_BC: Tensor = self.classifier(features_BCHW.amax(dim=(2, 3)))
        return logits_BC


def stages(config: Config) -> tuple[Stage, ...]:
    """One stage for all layers; under the equal budget a second one trains them on."""
    return config.with_budget(config.main_stage("classifier", owner=__name__, loss=resnet101.main_loss))


PHOTOGRAPHS = "voc2007-bus-car-cat-train"
ON_PHOTOGRAPHS: dict[str, Any] = {"lr": 0.01}  # the paper's, for a mean over labels
ON_DEMO: dict[str, Any] = {
    "lr": 0.5,  # for a trunk from scratch and a mean over ten labels
    "new_layers_lr": 1.0,
    "batch_size": 32,
}
RECIPES = Config.recipes(**{"demo": ON_DEMO, PHOTOGRAPHS: ON_PHOTOGRAPHS})
