"""MSRN: labels and groups of labels attend to three layers of the trunk (Qu et al. 2021, arXiv 2106.11596).

Graph attention along the labels' co-occurrence graph turns word vectors into label embeddings, which are
pooled into groups. Each embedding attends to three stages of the trunk, with a softmax over positions in each
channel separately; one hidden layer on all attended features predicts all labels together.

Without `word_vectors` the labels' vectors are learned; they have the same size. The loss is the paper's: the
mean of the binary cross-entropy over images and labels, plus the group loss. SRN's loss is a sum over labels,
C times as large.

What the paper leaves open is done as in the authors' released code: a label attends to those that make it
likely, and to itself; graph attention uses which edges there are, not their weights, and adds the node's own
part; the convolutions before the first two layers train at the trunk's rate; the head's LeakyReLU has slope
0.01; crops lie at 13 places. Its learning rate falls once, after 30 epochs. When to stop is our choice: 40
epochs (its command line says 20, its loop 200, and it keeps the epoch that is best on the test set). Another
deviation: its crops are cut from the photograph as it is, ours from the square that the store has.

Cost with C = 80: 310.7 M parameters, of which 264.2 M are the weights of the head's first linear layer
((80 + 4) x 3 x 512 x 2048).

Legend: B images, C labels, G groups, E = C + G embeddings, D channels, H and W sides, P = H W positions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.training import NO_FILE, File, Labels, Range, Stage, Trunk
from methods import _words
from methods._graph import GraphAttention, Groups, distance, edges
from methods._recipe import Recipe

ORDER = (2021, 2)
Width = Annotated[int, Range(1, 65_536)]


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """The paper's settings: crops of (1, .9, .8, .7, .6), lr for the trunk, ten times that for new layers.

    epochs: 40 are our choice; the rate falls after 30.
    word_vectors: a file in GloVe's text format; without one vectors are learned. word_size: numbers in a
    vector. words: texts `label=word word`, for labels whose own words are not in that file.
    linear_width, graph_width: outputs of the layers before the embeddings, which have `width` numbers.
    group_ratio: the number of groups as a share of the labels, rounded down, at least one group.
    group_loss: factor on the group loss. hidden: neurons of the head's first layer.
    reduction: "sum" makes the loss C times as large, as SRN's learning rates need it under equal terms.
    """

    word_vectors: File = NO_FILE
    words: tuple[str, ...] = ()
    word_size: Width = 300
    linear_width: Width = 256
    graph_width: Width = 300
    width: Width = 512
    group_ratio: Annotated[float, Range(above=0, most=1)] = 0.05
    group_loss: Annotated[float, Range(0)] = 1e-4
    hidden: Width = 2048
    reduction: Literal["mean", "sum"] = "mean"
    input_size: Annotated[int, Range(64, 2048)] = 448  # the last stage's maps are halved: 2 positions or more
    crops: tuple[int, ...] = (256, 230, 205, 179, 154)
    max_distort: int | None = 2
    more_places: bool = True
    batch_size: int = 16
    lr: float = 0.01
    new_layers_lr: float = 10.0
    milestones: tuple[float, ...] = (30 / 40,)
    patience: int | None = None
    weight_decay: float = 1e-4
    epochs: int = 40

    def on_equal_terms(self, card: str) -> Self:
        """SRN's settings, and its reduction of the loss."""
        return replace(super().on_equal_terms(card), reduction="sum")


class Model(nn.Module):
    """Label embeddings and groups, their attention to three stages of the trunk, and the head."""

    def __init__(self, config: Config, labels: Labels, trunk: Trunk) -> None:
        super().__init__()
        self.config, self.trunk, self.criterion = config, trunk, config.criterion
        self.labels = LabelGraph(config, labels)
        groups = max(1, int(config.group_ratio * labels.number))
        self.groups = Groups(config.width, groups)
        self.convolutions = nn.ModuleList(EqualWidth(channels) for channels in trunk.widths[:-1])
        self.layers = nn.ModuleList(_narrow(channels, config.width) for channels in trunk.widths)
        attended = (labels.number + groups) * len(trunk.widths) * config.width
        self.hidden = nn.Linear(attended, config.hidden)
        self.classifier = nn.Linear(config.hidden, labels.number)

    def branches(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """(logits (B, C), the sum of the distances between the labels and their groups)."""
        labels_CD = self.labels()
        groups_GD, assignment_CG = self.groups(labels_CD, self.labels.edges_CC)
        embeddings_ED = torch.cat([labels_CD, groups_GD])
        *lower, last_BCHW = self.trunk.pyramid(images_BCHW)
        levels = [convolution(maps) for convolution, maps in zip(self.convolutions, lower, strict=True)]
        attended = [
            attend(layer(maps_BCHW), embeddings_ED)
            for layer, maps_BCHW in zip(self.layers, [*levels, last_BCHW], strict=True)
        ]
        hidden_BD = F.leaky_relu(self.hidden(torch.cat(attended, dim=2).flatten(1).tanh()), 0.01)
        return self.classifier(hidden_BD), distance(labels_CD, groups_GD, assignment_CG)

    def logits(self, images_BCHW: Tensor) -> Tensor:
        """The logits of the head."""
        return self.branches(images_BCHW)[0]

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return self.logits(images_BCHW)


class LabelGraph(nn.Module):
    """The label embeddings (C, D): word vectors, a linear layer, and two layers of graph attention."""

    edges_CC: Tensor

    def __init__(self, config: Config, labels: Labels) -> None:
        super().__init__()
        self.register_buffer("edges_CC", torch.from_numpy(edges(labels.cooccurrence_CC)))
        self.words = _words.embedding(
            labels.names, config.word_vectors, size=config.word_size, spelled=config.words
        )
        self.linear = nn.Linear(config.word_size, config.linear_width)
        self.attention1 = GraphAttention(config.linear_width, config.graph_width)
        self.attention2 = GraphAttention(config.graph_width, config.width)

    def forward(self) -> Tensor:
        hidden_CD = self.attention1(self.linear(self.words.weight), self.edges_CC)
        embeddings_CD: Tensor = self.attention2(hidden_CD, self.edges_CC)
        return embeddings_CD


class EqualWidth(nn.Conv2d):
    """A 1x1 convolution that keeps the number of channels; its weights begin as those of a ResNet."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 1)

    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")


def _narrow(channels: int, width: int) -> nn.Sequential:
    """Half the height and width, and `width` channels."""
    return nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(channels, width, 1))


def attend(features_BDHW: Tensor, embeddings_ED: Tensor) -> Tensor:
    """v_ed = sum over positions p of softmax_p(f_dp e_d) f_dp, (B, E, D), for each channel d separately.

    Computed as attention with one head of width 1 for each channel, which never stores the softmax (B, E, D,
    P).
    """
    keys_BDP1 = features_BDHW.flatten(2).unsqueeze(-1)
    queries_BDE1 = embeddings_ED.T.unsqueeze(-1).expand(features_BDHW.shape[0], -1, -1, -1)
    attended_BDE1 = F.scaled_dot_product_attention(queries_BDE1, keys_BDP1, keys_BDP1, scale=1.0)
    return attended_BDE1.squeeze(-1).transpose(1, 2)


def loss(model: Model, images_BCHW: Tensor, labels_BC: Tensor) -> tuple[Tensor, Tensor]:
    """(the mean of the recipe's loss + the weighted group loss, or C times both, logits)."""
    logits_BC, distances = model.branches(images_BCHW)
    criterion = replace(model.criterion, reduction="mean")
    total = criterion(logits_BC, labels_BC) + model.config.group_loss * distances
    return total * labels_BC.shape[1] if model.config.reduction == "sum" else total, logits_BC


def stages(config: Config) -> tuple[Stage, ...]:
    """One stage for all layers; under the equal budget a second one trains them on."""
    new_layers = ("labels", "groups", "layers", "hidden", "classifier")
    own_fields = tuple(name for name in vars(config) if name not in vars(Recipe()))
    rates = {"trunk": 1.0, "convolutions": 1.0, **dict.fromkeys(new_layers, config.new_layers_lr)}
    main = config.stage("main", rates, owner=__name__, epochs=config.epochs, loss=loss, settings=own_fields)
    return config.with_budget(main)


VOC: Mapping[str, Any] = {"group_ratio": 0.2, "words": _words.VOC_WORDS}

# `python -m bench.run --dataset coco --method msrn --word-vectors FILE`; the mAP is the paper's, the hours
# are estimates for one H200 and not measured. `--terms equal` trains with SRN's input size, crops, optimizer.
RECIPES = Config.recipes(
    coco={},  # 2 hours; expected mAP 83.4, on coco@unlabelled=dropped
    nuswide={},  # 4 hours; mAP 61.5 is on another split
    voc2007=VOC,  # 0.2 hours; mAP 96.0 needs a trunk pretrained on MS-COCO: --trunk-weights FILE
    voc2012=VOC,
    wider={"group_ratio": 0.2},
    demo={
        "lr": 0.2,  # for a trunk from scratch; chosen on the held-out images of seed 0
        "new_layers_lr": 1.0,
        "batch_size": 32,
        "patience": 4,
        "width": 64,
        "hidden": 256,
        "group_ratio": 0.2,
    },
)
