"""MSRN: labels and groups of labels attend to three layers of the trunk (Qu et al. 2021, arXiv 2106.11596).

Along a graph of the labels' co-occurrence word vectors become label embeddings, which are pooled into groups.
For each embedding a softmax over positions, in each channel apart, picks out of three stages of the trunk
what belongs to it; one hidden layer over all that was picked decides on all labels together.

Without `word_vectors` the labels' vectors are learned, of the same size. The loss is the paper's: the binary
cross-entropy's mean over images and labels, and the group loss; SRN's sums over labels, C times as much.

Where the paper is silent: graph attention asks only where the label graph has edges, so that their weights
play no part; the group loss measures from the embeddings that attend; the head's LeakyReLU has the slope 0.2
of the graph's. The schedule is unknown: 20 epochs (its authors' code says 20 in one place, 200 in another),
the rate divided by 10 after 0.4 and 0.8 of them, the shares of ML-GCN (Chen et al. 2019), on which it builds.

Cost with C = 80: 310.7 M parameters, of which 264.2 M are the weights of the head's first linear layer
((80 + 4) x 3 x 512 x 2048).

Legend: B images, C labels, G groups, E = C + G embeddings, D channels, H and W sides, P = H W positions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.training import NO_FILE, File, Labels, Stage, Trunk
from methods import _words
from methods._graph import GraphAttention, Groups, adjacency, distance
from methods._recipe import Recipe

ORDER = (2021, 2)


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """The paper's settings: 0.01 for the trunk, ten times that for all else, crops of (1, .9, .8, .7, .6).

    word_vectors: GloVe's text format; none: vectors are learned. word_size: numbers of a word's vector.
    words: `label=word word`, for labels whose own words are not in that file.
    linear_width, graph_width: of the layers before the embeddings, which have `width` numbers.
    group_ratio: groups are this share of the labels, rounded down, at least one.
    group_loss: factor on the group loss. hidden: neurons of the head's first layer.
    reduction: "sum" is the loss C times as large, as SRN's learning rates on equal terms are for.
    """

    word_vectors: File = NO_FILE
    words: tuple[str, ...] = ()
    word_size: int = 300
    linear_width: int = 256
    graph_width: int = 300
    width: int = 512
    group_ratio: float = 0.05
    group_loss: float = 1e-4
    hidden: int = 2048
    reduction: Literal["mean", "sum"] = "mean"
    input_size: int = 448
    crops: tuple[int, ...] = (256, 230, 205, 179, 154)
    batch_size: int = 16
    lr: float = 0.01
    new_layers_lr: float = 10.0
    milestones: tuple[float, ...] = (0.4, 0.8)
    patience: int | None = None
    weight_decay: float = 1e-4
    epochs: int = 20

    def on_equal_terms(self, card: str) -> Self:
        """SRN's settings, and its reduction of the loss."""
        return replace(super().on_equal_terms(card), reduction="sum")


class Model(nn.Module):
    """Label embeddings and groups, semantic attention on three layers, and the head."""

    def __init__(self, config: Config, labels: Labels, trunk: Trunk) -> None:
        super().__init__()
        self.config, self.trunk = config, trunk
        self.labels = LabelGraph(config, labels)
        groups = max(1, int(config.group_ratio * labels.number))
        self.groups = Groups(config.width, groups)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, channels, 1), _narrowing(channels, config.width))
            for channels in trunk.widths[:-1]
        )
        self.layers.append(_narrowing(trunk.channels, config.width))
        seen = (labels.number + groups) * len(trunk.widths) * config.width
        self.hidden = nn.Linear(seen, config.hidden)
        self.classifier = nn.Linear(config.hidden, labels.number)

    def branches(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """(logits (B, C), distances of the labels to their groups, summed)."""
        labels_CD = self.labels()
        groups_GD, assignment_CG = self.groups(labels_CD, self.labels.edges_CC)
        embeddings_ED = torch.cat([labels_CD, groups_GD])
        picked = [
            attend(layer(features_BCHW), embeddings_ED)
            for layer, features_BCHW in zip(self.layers, self.trunk.pyramid(images_BCHW), strict=True)
        ]
        hidden_BD = F.leaky_relu(self.hidden(torch.cat(picked, dim=2).flatten(1).tanh()), 0.2)
        return self.classifier(hidden_BD), distance(labels_CD, groups_GD, assignment_CG)

    def logits(self, images_BCHW: Tensor) -> Tensor:
        """The head's logits are the prediction."""
        return self.branches(images_BCHW)[0]

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return self.logits(images_BCHW)


class Given(nn.Module):
    """Word vectors (C, W) that stay as they are, under the name of those that are learned."""

    weight: Tensor

    def __init__(self, weight_CW: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight_CW)


class LabelGraph(nn.Module):
    """Word vectors -> linear -> graph attention -> graph attention: the labels' embeddings (C, D)."""

    edges_CC: Tensor

    def __init__(self, config: Config, labels: Labels) -> None:
        super().__init__()
        self.register_buffer("edges_CC", torch.from_numpy(adjacency(labels.cooccurrence_CC) > 0))
        self.words: nn.Embedding | Given = nn.Embedding(labels.number, config.word_size)
        if config.word_vectors:
            file = Path(config.word_vectors.path)
            given_CW = _words.vectors(file, labels.names, size=config.word_size, spelled=config.words)
            self.words = Given(given_CW)
        self.linear = nn.Linear(config.word_size, config.linear_width)
        self.attention1 = GraphAttention(config.linear_width, config.graph_width)
        self.attention2 = GraphAttention(config.graph_width, config.width)

    def forward(self) -> Tensor:
        hidden_CD = self.attention1(self.linear(self.words.weight), self.edges_CC)
        embeddings_CD: Tensor = self.attention2(hidden_CD, self.edges_CC)
        return embeddings_CD


def _narrowing(channels: int, width: int) -> nn.Sequential:
    """Half the side, and `width` channels."""
    return nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(channels, width, 1))


def attend(features_BDHW: Tensor, embeddings_ED: Tensor) -> Tensor:
    """v_ed = sum over positions p of softmax_p(f_dp e_d) f_dp, (B, E, D), in each channel d apart.

    Written as attention with a head of width 1 for each channel, so that no weights (B, E, D, P) are kept.
    """
    keys_BDP1 = features_BDHW.flatten(2).unsqueeze(-1)
    queries_BDE1 = embeddings_ED.T.unsqueeze(-1).expand(features_BDHW.shape[0], -1, -1, -1)
    found_BDE1 = F.scaled_dot_product_attention(queries_BDE1, keys_BDP1, keys_BDP1, scale=1.0)
    return found_BDE1.squeeze(-1).transpose(1, 2)


def loss(model: Model, images_BCHW: Tensor, labels_BC: Tensor) -> tuple[Tensor, Tensor]:
    """The mean over images and labels of the binary cross-entropy, and the group loss; or C times both.

    And the logits.
    """
    logits_BC, apart = model.branches(images_BCHW)
    entropy = F.binary_cross_entropy_with_logits(logits_BC.float(), labels_BC)
    total = entropy + model.config.group_loss * apart
    return total * labels_BC.shape[1] if model.config.reduction == "sum" else total, logits_BC


def stages(config: Config) -> tuple[Stage, ...]:
    """One stage over everything; under the equal budget a second one."""
    new = ("labels", "groups", "layers", "hidden", "classifier")
    only = config.stage(
        "main",
        {"trunk": 1.0, **dict.fromkeys(new, config.new_layers_lr)},
        owner=__name__,
        epochs=config.epochs,
        loss=loss,
        settings=tuple(name for name in vars(config) if name not in vars(Recipe())),
    )
    return config.with_budget(only)


VOC: Mapping[str, Any] = {
    "group_ratio": 0.2,
    "words": ("diningtable=dining table", "pottedplant=potted plant", "tvmonitor=tv monitor"),
}

# `python -m bench.run --dataset coco --method msrn --word-vectors FILE`; the mAP is the paper's, the hours on
# one H200 are estimates, not measured. `--terms equal` trains it with SRN's input, crops and optimizer.
RECIPES = Config.recipes(
    coco={},  # 1 hour; expected mAP 83.4
    nuswide={},  # 2 hours; expected mAP 61.5
    voc2007=VOC,  # 0.1 hours; mAP 96.0 is of a network trained on MS-COCO before: `--trunk-weights` takes one
    voc2012=VOC,
    wider={"group_ratio": 0.2},
    demo={
        "lr": 0.2,  # from scratch, with a mean of ten labels: chosen on the held-out images of seed 0
        "new_layers_lr": 1.0,
        "batch_size": 32,
        "patience": 4,
        "width": 64,
        "hidden": 256,
        "group_ratio": 0.2,
    },
)
