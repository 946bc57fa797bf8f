"""KNN: votes of the nearest training images on pooled features (Chua et al. 2009).

The search is exact: every image is compared with every training image, in blocks on the device. The features
are the pooled output of the trunk's fourth stage, either as pretrained or after ResNet-101's training, whose
stages are then shared with that method. Deviations: Chua et al. compare colours, textures and visual words;
the number and the weights of the neighbours are ours. Cost: one pass over the training images, 4 D bytes for
each of them (672 MB for MS-COCO), and N D multiplications to predict an image.

Legend: B images, N training images, n a block of them, k neighbours, C labels, D channels.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.training import Collection, Labels, Range, Stage, Trunk
from methods import resnet101
from methods._recipe import Recipe

ORDER = (2009, 1)
MARKS = {"other features": "on the trunk's features, the published row on those of its own publication"}
BLOCK = 16_384  # training images with which a batch is compared at a time
LEAST = 1e-6  # the probability of a label that none of the neighbours has


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """Settings of the vote.

    features: "trunk", as pretrained; "resnet101", after that method's training, with its recipe.
    neighbours: k. temperature: a neighbour of cosine similarity s votes with weight exp(s / temperature).
    """

    features: Literal["trunk", "resnet101"] = "trunk"
    neighbours: Annotated[int, Range(1)] = 50
    temperature: Annotated[float, Range(above=0)] = 0.07


class Model(resnet101.Model):
    """Predicts for each label the share of the neighbours' votes that it gets, as a logit.

    A neighbour whose label is not known does not vote on it.

    features_ND: of unit length; labels_NC: 1.0 positive, 0.0 negative, -1.0 not known; both are empty until
    collected.
    """

    features_ND: Tensor
    labels_NC: Tensor

    def __init__(self, config: Config, labels: Labels, trunk: Trunk) -> None:
        super().__init__(config, labels, trunk)
        self.config = config
        self.register_buffer("features_ND", torch.empty(0, trunk.channels), persistent=False)
        self.register_buffer("labels_NC", torch.empty(0, labels.number), persistent=False)

    def pooled(self, images_BCHW: Tensor) -> Tensor:
        """Features of unit length (B, D)."""
        return F.normalize(self.trunk.features(images_BCHW).mean(dim=(2, 3)).float(), dim=1)

    def logits(self, images_BCHW: Tensor) -> Tensor:
        """log(p / (1 - p)) with p = sum of w y over the k nearest images, w = softmax of s / temperature."""
        similarities_Bk, indices_Bk = nearest(
            self.pooled(images_BCHW), self.features_ND, self.config.neighbours
        )
        weights_Bk = (similarities_Bk / self.config.temperature).softmax(dim=1)
        labels_BkC = self.labels_NC[indices_Bk]
        positive_BC, unknown_BC = (
            (weights_Bk[:, :, None] * is_so_BkC).sum(dim=1) for is_so_BkC in (labels_BkC == 1, labels_BkC < 0)
        )
        shares_BC = positive_BC / (1 - unknown_BC).clamp(min=LEAST)
        return shares_BC.logit(eps=LEAST)


def nearest(rows_BD: Tensor, all_ND: Tensor, k: int, *, block: int = BLOCK) -> tuple[Tensor, Tensor]:
    """(products, indices), each (B, k), of the k rows with the highest scalar product, sorted; all if fewer.

    Computed in float32, whatever the precision of the network.
    """
    best_Bk = rows_BD.new_empty(rows_BD.shape[0], 0)
    indices_Bk = torch.empty(rows_BD.shape[0], 0, dtype=torch.int64, device=rows_BD.device)
    with torch.autocast(rows_BD.device.type, enabled=False):
        for start in range(0, len(all_ND), block):
            products_Bn = rows_BD @ all_ND[start : start + block].T
            block_best_Bk, block_indices_Bk = products_Bn.topk(min(k, products_Bn.shape[1]))
            candidates_Bm = torch.cat([best_Bk, block_best_Bk], dim=1)
            candidate_indices_Bm = torch.cat([indices_Bk, block_indices_Bk + start], dim=1)
            best_Bk, order_Bk = candidates_Bm.topk(min(k, candidates_Bm.shape[1]))
            indices_Bk = candidate_indices_Bm.gather(1, order_Bk)
    return best_Bk, indices_Bk


def row(model: Model, images_BCHW: Tensor) -> Tensor:
    """The numbers that are kept of each training image: its features (B, D)."""
    return model.pooled(images_BCHW)


def keep(model: Model, features_ND: Tensor, labels_NC: Tensor) -> None:
    """Give the model the training images that vote."""
    model.features_ND, model.labels_NC = features_ND, labels_NC


def stages(config: Config) -> tuple[Stage | Collection, ...]:
    """The pass over the training images; before it, for features of ResNet-101, that method's training."""
    collection = Collection(
        name="neighbours",
        owner=__name__,
        row=row,
        keep=keep,
        batch_size=config.batch_size,
        input_size=config.input_size,
        settings={"neighbours": config.neighbours, "temperature": config.temperature},
    )
    if config.features == "trunk":
        return (collection,)
    return (*config.with_budget(resnet101.main_stage(config)), collection)


RECIPES = Config.recipes(demo={"features": "resnet101"})
