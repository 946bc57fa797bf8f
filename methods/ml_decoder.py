"""ML-Decoder: fixed queries, each for a group of labels, attend to the trunk's last map (Ridnik et al. 2021).

G = min(100, C) queries N, drawn once and never trained, attend to the embedded features E = ReLU(W F + b) of
P positions in one layer (arXiv 2111.12933; `AttentionLayer` has its equations), not to each other:
h = LN(2 N), H = layer(r = h, q = h, k = E, v = E). Each of them gives the logits of f = ceil(C / G) labels:
y_k = w_k . H_g + b_k with g = floor(k / f). Where f does not divide C, the last group has fewer labels; where
G > ceil(C / f), as for C = 120, the queries after it have none, as in the release.

The settings are those of the authors' released code. What is done otherwise here:
- Dropout of 0.1 in the layer: none here. What is drawn for an image depends on seed, stage, epoch and image
  alone, so that a resumed run equals an uninterrupted one; torch draws dropout from a global state. (2 N: the
  release adds N to N after dropout.)
- Its loss is a sum over labels and images, here divided by the images of the batch, 56. So is the weight
  decay, 1e-4, which Adam has in the gradient: the steps are the same, up to Adam's epsilon.
- Its trunk is TResNet-L, trained with this head before, on images without mean and scale. Here it is the
  trunk of all methods; `--trunk tresnet_l.miil_in1k_448` has ImageNet weights.
- It keeps the epoch that is best on the test set, of raw or averaged weights. Here the last averaged weights.
Cost with ResNet-101 at 448, C = 80: 49.7 M parameters, 32.1 GMAC an image (ResNet-101 alone: 42.7 M, 31.2).
With C = 10,000 the head has 14.8 M parameters, 7.6 M more than with 80. For 16 images at 448, one thread of a
CPU takes 0.39 s for it (80 labels: 0.36 s) and 1.11 s for a training step (0.96 s), with 315 MiB more memory
(287 MiB). One linear layer on pooled features has 20.5 M parameters, and takes 0.03 s and 0.21 s, 410 MiB.

Legend: B images, C labels, D `width`, G groups, f labels of a group, P positions of the map.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from bench.training import Labels, Opt, Range, Stage, Trunk, Weights
from methods import resnet101
from methods._attention import AttentionLayer, check_heads
from methods._recipe import Recipe

ORDER = (2021, 6)


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """The release's settings for MS-COCO.

    groups: G, at most: no more than labels. width: D; heads must divide it. feedforward: neurons of the
    layer's hidden layer. lr: of all layers, the trunk's included.
    """

    groups: Annotated[int, Range(1, 100_000)] = 100
    width: Annotated[int, Range(4, 65_536)] = 768
    heads: Annotated[int, Range(1, 1024)] = 8
    feedforward: Annotated[int, Range(1, 65_536)] = 2048
    loss: Literal["bce", "asymmetric", "focal"] = "asymmetric"
    opt: Opt = "adam"
    lr: Annotated[float, Range(above=0)] = 1e-4
    weight_decay: Annotated[float, Range(0)] = 1e-4 / 56
    decay_norms: bool = False
    sched: Literal["plateau", "step", "onecycle", "cosine"] = "onecycle"
    rise: Annotated[float, Range(above=0, below=1)] = 0.2
    cycle_momentum: bool = True
    epochs: Annotated[int, Range(1, 100_000)] = 40
    batch_size: Annotated[int, Range(1, 65_536)] = 56
    ema: Annotated[float, Range(0, below=1)] = 0.9997
    weights: Weights = "averaged"
    input_size: Annotated[int, Range(32, 2048)] = 448
    crops: Annotated[tuple[int, ...], Range(16, 256)] = ()
    mirror: bool = False
    cutout: Annotated[float, Range(0, 1)] = 0.5
    randaugment: Annotated[int, Range(0, 14)] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.width, self.heads)


class Model(resnet101.Model):
    """The trunk, the embedding of its features, the decoder, and the group-wise linear layer."""

    def __init__(self, config: Config, labels: Labels, trunk: Trunk) -> None:
        super().__init__(config, labels, trunk)
        groups = min(config.groups, labels.number)
        self.embedding = nn.Linear(trunk.channels, config.width)
        self.decoder = Decoder(config, groups)
        self.classifier = GroupLinear(groups, config.width, labels.number)  # type: ignore[assignment]

    def classify(self, features_BCHW: Tensor) -> Tensor:
        """The logits from the trunk's last map."""
        embedded_BPD = self.embedding(features_BCHW.flatten(2).transpose(1, 2)).relu()
        logits_BC: Tensor = self.classifier(self.decoder(embedded_BPD))
        return logits_BC


class Decoder(nn.Module):
    """From the embedded features to the vector of each query (B, G, D)."""

    def __init__(self, config: Config, groups: int) -> None:
        super().__init__()
        self.queries = FixedQueries(groups, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.layer = AttentionLayer(config.width, config.heads, config.feedforward, xavier=False)

    def forward(self, embedded_BPD: Tensor) -> Tensor:
        queries_GD = self.norm(2 * self.queries.queries_GD)
        queries_BGD = queries_GD.expand(embedded_BPD.shape[0], -1, -1)
        output_BGD: Tensor = self.layer(queries_BGD, queries_BGD, embedded_BPD, embedded_BPD)
        return output_BGD


class FixedQueries(nn.Module):
    """Queries (G, D), normally distributed, that no stage trains: they are a buffer."""

    queries_GD: Tensor

    def __init__(self, groups: int, width: int) -> None:
        super().__init__()
        self.register_buffer("queries_GD", torch.empty(groups, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.queries_GD)


class GroupLinear(nn.Module):
    """y_k = w_k . x_g + b_k, with g = floor(k / f): weights (G, D, f), bias (C)."""

    def __init__(self, groups: int, width: int, labels: int) -> None:
        super().__init__()
        self.labels = labels
        self.weight = nn.Parameter(torch.empty(groups, width, -(-labels // groups)))
        self.bias = nn.Parameter(torch.empty(labels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """By Xavier's rule, normal, with D f inputs and G f outputs, as torch counts them; as the release."""
        nn.init.xavier_normal_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, groups_BGD: Tensor) -> Tensor:
        logits_BGf = torch.einsum("bgd,gdf->bgf", groups_BGD, self.weight)
        return logits_BGf.flatten(1)[:, : self.labels] + self.bias


def stages(config: Config) -> tuple[Stage, ...]:
    """One stage for all layers; under the equal budget a second one trains them on."""
    own_fields = tuple(name for name in vars(config) if name not in vars(Recipe()))
    new_layers = ("embedding", "decoder", "classifier")
    main = config.main_stage(*new_layers, owner=__name__, loss=resnet101.main_loss, settings=own_fields)
    return config.with_budget(main)


DEMO: dict[str, Any] = {
    "width": 96,
    "feedforward": 192,
    "lr": 1e-2,  # for a trunk from scratch
    "new_layers_lr": 0.05,
    "batch_size": 96,
    "ema": 0.0,  # too few steps for 0.9997
    "weights": "raw",
    "cutout": 0.0,  # it would hide digits that the labels still name
    "randaugment": 0,
}
PHOTOS: dict[str, Any] = {  # not tuned
    "width": 256,
    "feedforward": 512,
    "lr": 1e-4,
    "new_layers_lr": 1.0,
    "input_size": 224,
    "ema": 0.99,  # 28 steps in an epoch
}

# `python -m bench.run --dataset coco --method ml_decoder --trunk tresnet_l.miil_in1k_448`: the release has
# mAP 90.1, with a trunk that was trained with this head before; the hours are not measured.
RECIPES = Config.recipes(**{"demo": DEMO, "voc2007-bus-car-cat-train": PHOTOS})
