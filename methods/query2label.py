"""Query2Label: the embedding of each label attends to the trunk's last map (Liu et al. 2021).

The features F of P positions and sine positions s pass one layer of a transformer's encoder, which gives the
memory M. The label embeddings E are the queries of two decoder layers (arXiv 2107.10834; `AttentionLayer` has
the equations of a layer):
M = layer(r = F, q = F + s, k = F + s, v = F) and Q_i = layer(r = Q_i-1, q = Q_i-1 + E, k = M + s, v = M) from
Q_0 = 0. Label k has the logit y_k = w_k . LN(Q_2)_k + b_k. Where the trunk does not have D channels, a 1x1
convolution comes first.

The settings are those of the authors' released code. What it leaves open, or does otherwise:
- Labels do not attend to each other, as by its default; `label_attention` lets them, in each decoder layer.
- Its commands for ResNet-101 have batches of 64 on one GPU and of 128 on two, at the same rate: 128 here.
- Dropout of 0.1 in all layers: none here. What is drawn for an image depends on seed, stage, epoch and image
  alone, so that a resumed run equals an uninterrupted one; torch draws dropout from a global state.
- It keeps a ResNet's batch norms as pretrained, and all weights before its second stage; here only the
  statistics of batch norms are kept (`batch_norm`).
- Its loss is 1000 times the mean over labels, without a margin; here the sum over labels. AdamW's steps are
  the same for any factor, up to its epsilon.
- By its options it cuts out a square of half the side, but its code does not pass the size on, and cuts
  almost nothing. Half the side here.
- It keeps the epoch that is best on the test set, of raw or averaged weights, and stops soon after. Here all
  80 epochs are trained, and the held-out images choose one of the averages.
Cost with ResNet-101 at 448, C = 80: 193.9 M parameters, 51.3 GMAC an image (ResNet-101 alone: 42.7 M, 31.2).

Legend: B images, C labels, D `width`, E = D / 2, H and W sides of the map, S one of them, P = H W positions.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from bench.training import BatchNorm, InputError, Labels, Opt, Range, Select, Stage, Trunk, Weights
from methods import resnet101
from methods._attention import Attention, AttentionLayer, check_heads
from methods._recipe import Recipe

ORDER = (2021, 5)
TEMPERATURE = 10_000.0  # of the sine positions, as in Vaswani et al. 2017


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """The release's settings for ResNet-101 at 448; it trains at 576 too.

    width: D, of embeddings and layers; heads of every attention must divide it. feedforward: neurons of a
    layer's hidden layer. encoder_layers, decoder_layers: how many. label_attention: the labels attend to each
    other in every decoder layer. lr: of all layers, the trunk's included.
    """

    width: Annotated[int, Range(4, 65_536)] = 2048
    heads: Annotated[int, Range(1, 1024)] = 4
    feedforward: Annotated[int, Range(1, 65_536)] = 8192
    encoder_layers: Annotated[int, Range(0, 100)] = 1
    decoder_layers: Annotated[int, Range(1, 100)] = 2
    label_attention: bool = False
    loss: Literal["bce", "asymmetric", "focal"] = "asymmetric"
    gamma_neg: Annotated[float, Range(0)] = 2.0
    margin: Annotated[float, Range(0, below=1)] = 0.0
    opt: Opt = "adamw"
    lr: Annotated[float, Range(above=0)] = 1e-4
    weight_decay: Annotated[float, Range(0)] = 1e-2
    sched: Literal["plateau", "step", "onecycle", "cosine"] = "onecycle"
    rise: Annotated[float, Range(above=0, below=1)] = 0.2
    cycle_momentum: bool = True
    epochs: Annotated[int, Range(1, 100_000)] = 80
    batch_size: Annotated[int, Range(1, 65_536)] = 128
    batch_norm: BatchNorm = "frozen"
    ema: Annotated[float, Range(0, below=1)] = 0.9997
    weights: Weights = "averaged"
    select: Select = "best"
    input_size: Annotated[int, Range(32, 2048)] = 448
    crops: Annotated[tuple[int, ...], Range(16, 256)] = ()
    mirror: bool = False
    cutout: Annotated[float, Range(0, 1)] = 0.5
    randaugment: Annotated[int, Range(0, 14)] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.width, self.heads)
        if self.width % 4:
            raise InputError(
                f"width={self.width} is not a multiple of 4, as sine and cosine of two coordinates need;"
                f" change it, as in --set width={self.width // 4 * 4}"
            )
        if self.batch_norm == "frozen" and self.from_scratch:
            raise InputError(
                "batch_norm=frozen keeps the statistics of a pretrained trunk, but this one starts from"
                " scratch; add --set batch_norm=local"
            )


class Model(resnet101.Model):
    """The trunk, the encoder, the decoder, and a linear layer of its own for each label."""

    def __init__(self, config: Config, labels: Labels, trunk: Trunk) -> None:
        super().__init__(config, labels, trunk)
        self.encoder = Encoder(config, trunk.channels)
        self.decoder = Decoder(config, labels.number)
        self.classifier = LabelwiseLinear(config.width, labels.number)

    def classify(self, features_BCHW: Tensor) -> Tensor:
        """The logits from the trunk's last map."""
        logits_BC: Tensor = self.classifier(self.decoder(*self.encoder(features_BCHW)))
        return logits_BC


class Encoder(nn.Module):
    """From the trunk's last map to (M, s), the memory (B, P, D) and the positions (P, D)."""

    def __init__(self, config: Config, channels: int) -> None:
        super().__init__()
        width = config.width
        self.projection = nn.Identity() if channels == width else nn.Conv2d(channels, width, 1)
        self.layers = nn.ModuleList(
            AttentionLayer(width, config.heads, config.feedforward, xavier=True)
            for _ in range(config.encoder_layers)
        )

    def forward(self, features_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        features_BDHW = self.projection(features_BCHW)
        positions_PD = sine_positions(features_BDHW)
        memory_BPD = features_BDHW.flatten(2).transpose(1, 2)
        for layer in self.layers:
            placed_BPD = memory_BPD + positions_PD
            memory_BPD = layer(memory_BPD, placed_BPD, placed_BPD, memory_BPD)
        return memory_BPD, positions_PD


class Decoder(nn.Module):
    """From the memory to the normed vector of each label (B, C, D)."""

    def __init__(self, config: Config, labels: int) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(labels, config.width)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, memory_BPD: Tensor, positions_PD: Tensor) -> Tensor:
        embeddings_CD, keys_BPD = self.embeddings.weight, memory_BPD + positions_PD
        labels_BCD = torch.zeros_like(embeddings_CD).expand(memory_BPD.shape[0], -1, -1)
        for layer in self.layers:
            labels_BCD = layer(labels_BCD, embeddings_CD, keys_BPD, memory_BPD)
        normed_BCD: Tensor = self.norm(labels_BCD)
        return normed_BCD


class DecoderLayer(AttentionLayer):
    """An `AttentionLayer` from the labels to the memory, if wanted after an attention among the labels."""

    def __init__(self, config: Config) -> None:
        super().__init__(config.width, config.heads, config.feedforward, xavier=True)
        self.is_first_among_labels = config.label_attention
        if config.label_attention:
            self.label_attention = Attention(config.width, config.heads, xavier=True)
            self.label_norm = nn.LayerNorm(config.width)

    def forward(
        self, labels_BCD: Tensor, embeddings_CD: Tensor, keys_BPD: Tensor, memory_BPD: Tensor
    ) -> Tensor:
        if self.is_first_among_labels:
            query_BCD = labels_BCD + embeddings_CD
            attended_BCD, _ = self.label_attention(query_BCD, query_BCD, labels_BCD)
            labels_BCD = self.label_norm(labels_BCD + attended_BCD)
        return super().forward(labels_BCD, labels_BCD + embeddings_CD, keys_BPD, memory_BPD)


class LabelwiseLinear(nn.Linear):
    """y_k = w_k . x_k + b_k: each label's vector has weights of its own, (C, D)."""

    def forward(self, labels_BCD: Tensor) -> Tensor:
        return (labels_BCD * self.weight).sum(dim=2) + self.bias


def sine_positions(map_BDHW: Tensor) -> Tensor:
    """s (P, D): the first E = D / 2 numbers of a position encode its row, the others its column.

    Row y of H, from 1, is the angle t = 2 pi y / H. Number j is sin(t / L_j) for an even j, cos(t / L_j) for
    an odd one, with L_j = 10000^(2 floor(j / 2) / E). Columns likewise. In float32, or in the map's float64.
    """
    _, width, rows, columns = map_BDHW.shape
    dtype = torch.promote_types(map_BDHW.dtype, torch.float32)
    number_E = torch.arange(width // 2, device=map_BDHW.device)
    lengths_E = TEMPERATURE ** (2 * (number_E // 2).to(dtype) / (width // 2))

    def along(side: int) -> Tensor:
        turns_S = torch.arange(1, side + 1, device=map_BDHW.device).to(dtype) / (side + 1e-6)
        angles_SE = 2 * math.pi * turns_S[:, None] / lengths_E
        return torch.where(number_E % 2 == 0, angles_SE.sin(), angles_SE.cos())

    rows_HWE = along(rows)[:, None].expand(-1, columns, -1)
    columns_HWE = along(columns).expand(rows, -1, -1)
    return torch.cat([rows_HWE, columns_HWE], dim=2).flatten(0, 1)


def stages(config: Config) -> tuple[Stage, ...]:
    """One stage for all layers; under the equal budget a second one trains them on."""
    own_fields = tuple(name for name in vars(config) if name not in vars(Recipe()))
    new_layers = ("encoder", "decoder", "classifier")
    main = config.main_stage(*new_layers, owner=__name__, loss=resnet101.main_loss, settings=own_fields)
    return config.with_budget(main)


DEMO: dict[str, Any] = {
    "width": 96,
    "feedforward": 192,
    "lr": 1e-2,  # for a trunk from scratch
    "new_layers_lr": 0.02,  # 2e-4; at 5e-4 the held-out loss is higher
    "batch_size": 96,
    "batch_norm": "local",
    "ema": 0.0,  # too few steps for 0.9997
    "weights": "raw",
    "select": "last",
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
    "select": "last",
}

# `python -m bench.run --dataset coco --method query2label`: expected mAP 84.9, in the profile q2l; the hours
# are not measured.
RECIPES = Config.recipes(**{"demo": DEMO, "voc2007-bus-car-cat-train": PHOTOS})
