"""MCAR: the image and the regions of its most probable labels through one network (Gao and Zhou, TIP 2021).

Two streams share all weights (arXiv 2007.01755). The global stream is a trunk, pooling and a 1x1 convolution
to C labels. For each of the N most probable labels a box is found where its score map is high, without
parameters and gradients, for the whole batch at once. In the local stream these regions, cut from the image
and enlarged to its size (with aligned corners), go through the same network; the local logit of a label is
the highest one of all regions. The loss is BCE(global) + BCE(local), in the paper's reduction the mean over
images and labels, which is C times smaller than SRN's sum over labels. The prediction is the higher of both
logits.

Images are resized to a square, mirrored, and jittered by 0.3 in brightness, contrast and saturation, not in
hue. Which pooling a published row has is not said. The released demo script pairs the weights of MS-COCO,
ResNet-101 and 448 pixels with "gwp", the training script MobileNetV2 at 256 with "avg"; so "gwp" is the
default, and `pooling` the alternative. The authors keep the epoch that is best on the test set, here it is
the last one. In training each stream has its own batch statistics; in evaluation both use the same running
statistics, which costs accuracy where regions look unlike images: on the demo mAP is 91.3, and 94.6 with the
statistics of each evaluated batch (means of three seeds). Cost: 42.7 M parameters with C = 80, as ResNet-101;
1 + N passes, 156 GMAC for each image at 448 with N = 4.

Legend: B images, C labels, N regions, R = B N, S the image's side, h = w that of the feature map.
"""

import math
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.training import Labels, Range, Stage, Trunk
from methods import resnet101
from methods._recipe import Recipe

ORDER = (2021, 1)
Share = Annotated[float, Range(above=0, most=1)]  # of a side or a height
FLAT = 1e-6  # a marginal that varies by less than this share of its maximum varies only by rounding


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """The paper's settings; it also uses the input sizes 256 and 576. lr is that of the trunk.

    start: "trunk": train from the pretrained trunk; "resnet101": from the result of that method's training,
    for `joint_epochs` more. regions: N. pooling: "gwp" is the mean of "avg" and "max".
    cut: a box contains the positions that reach this height of a marginal scaled to 0..1.
    smallest: the least side of a box, as a share of the image's; fallback: the side where the cut removes
    nothing. reduction: of the losses over labels; under equal terms "sum", to which SRN's learning rates fit.
    """

    input_size: int = 448
    crops: tuple[int, ...] = ()
    jitter: float = 0.3
    batch_size: int = 16
    lr: float = 1e-3
    new_layers_lr: float = 10.0
    patience: int | None = None
    milestones: tuple[float, ...] = (30 / 60, 50 / 60)
    weight_decay: float = 1e-4
    epochs: int = 60
    start: Literal["trunk", "resnet101"] = "trunk"
    regions: Annotated[int, Range(1, 1000)] = 4
    pooling: Literal["avg", "max", "gwp"] = "gwp"
    cut: Share = 0.5
    smallest: Share = 0.125
    fallback: Share = 0.75
    reduction: Literal["mean", "sum"] = "mean"

    def on_equal_terms(self, card: str) -> Self:
        """SRN's settings, and its reduction of the loss."""
        return replace(super().on_equal_terms(card), reduction="sum")


class Model(resnet101.Model):
    """One network for both streams: ResNet-101, whose linear layer serves as the 1x1 convolution."""

    def __init__(self, config: Config, labels: Labels, trunk: Trunk) -> None:
        super().__init__(config, labels, trunk)
        self.config = config

    def pooled_logits(self, features_BDhw: Tensor) -> Tensor:
        """The logits (B, C) of the pooled features."""
        mean_BD, highest_BD = features_BDhw.mean(dim=(2, 3)), features_BDhw.amax(dim=(2, 3))
        pooled = {"avg": mean_BD, "max": highest_BD, "gwp": (mean_BD + highest_BD) / 2}
        logits_BC: Tensor = self.classifier(pooled[self.config.pooling])
        return logits_BC

    def streams(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """The logits (B, C) of the whole image, and for each label the highest logit of its regions."""
        features_BDhw = self.trunk.features(images_BCHW)
        global_BC = self.pooled_logits(features_BDhw)
        crops_RCHW = self.regions(images_BCHW, features_BDhw, global_BC)
        local_RC = self.pooled_logits(self.trunk.features(crops_RCHW))
        return global_BC, local_RC.unflatten(0, (len(images_BCHW), -1)).amax(dim=1)

    @torch.no_grad()
    def regions(self, images_BCHW: Tensor, features_BDhw: Tensor, global_BC: Tensor) -> Tensor:
        """The regions of the N most probable labels of every image, enlarged to its size: (B N, 3, S, S)."""
        kernel_CD11 = self.classifier.weight[:, :, None, None]
        scores_BChw = F.conv2d(features_BDhw, kernel_CD11, self.classifier.bias).float().sigmoid()
        top_BN = global_BC.topk(min(self.config.regions, global_BC.shape[1])).indices
        maps_BNhw = scores_BChw.take_along_dim(top_BN[:, :, None, None], dim=1)
        starts_BN2, lengths_BN2 = find_boxes(maps_BNhw, images_BCHW.shape[-1], self.config)
        return cut_out(images_BCHW, starts_BN2, lengths_BN2)

    def logits(self, images_BCHW: Tensor) -> Tensor:
        """The higher of both streams' logits."""
        return torch.maximum(*self.streams(images_BCHW))


def find_boxes(maps_BNhw: Tensor, side: int, config: Config) -> tuple[Tensor, Tensor]:
    """(starts, lengths) of the box of each map in pixels of the image, (B, N, 2): horizontal, vertical.

    The map is enlarged to the image's side; its marginals are the maxima over rows and over columns.
    """
    large_BNSS = F.interpolate(maps_BNhw, size=(side, side), mode="bilinear", align_corners=True)
    marginals_BN2S = torch.stack([large_BNSS.amax(dim=2), large_BNSS.amax(dim=3)], dim=2)
    return segments(marginals_BN2S, config)


def segments(marginals: Tensor, config: Config) -> tuple[Tensor, Tensor]:
    """(start, length), in pixels, of the segment that is kept of each marginal (..., S).

    A segment is a run of pixels that reach the height `cut` between minimum and maximum. The one with the
    maximum is kept; of several the longest, of equally long ones the first. A segment that is too short grows
    on both sides, within the image; if all pixels reach the cut, a segment in the middle is taken instead.
    """
    side = marginals.shape[-1]
    low, high = marginals.aminmax(dim=-1, keepdim=True)
    inside = (marginals - low >= config.cut * (high - low)) | (high - low <= FLAT * high)
    positions_S = torch.arange(side, device=marginals.device)
    # For every pixel the last one outside before it, and the first one outside after it: (..., S).
    before = torch.where(inside, -1, positions_S).cummax(dim=-1).values
    after = torch.where(inside, side, positions_S).flip(-1).cummin(dim=-1).values.flip(-1)
    lengths = after - before - 1
    peak = torch.where(marginals == high, lengths, 0).argmax(dim=-1, keepdim=True)
    start, length = (values.gather(-1, peak).squeeze(-1) for values in (before + 1, lengths))

    is_whole, fallback = length == side, round(config.fallback * side)
    start = torch.where(is_whole, (side - fallback) // 2, start)
    length = torch.where(is_whole, fallback, length)
    grown = length.clamp(min=math.ceil(config.smallest * side))
    return (start - (grown - length) // 2).clamp(min=0).minimum(side - grown), grown


def cut_out(images_BCHW: Tensor, starts_BN2: Tensor, lengths_BN2: Tensor) -> Tensor:
    """Every box resized to the image's side, bilinear with aligned corners: (B N, 3, S, S), channels last."""
    side = images_BCHW.shape[-1]
    steps_S = torch.linspace(0, 1, side, device=images_BCHW.device)
    pixels_BN2S = starts_BN2[..., None] + (lengths_BN2 - 1)[..., None] * steps_S
    # -1 and 1 are the centres of the outer pixels.
    x_BNS, y_BNS = (pixels_BN2S * 2 / (side - 1) - 1).unbind(dim=2)
    columns_BNSS, rows_BNSS = torch.broadcast_tensors(x_BNS[:, :, None, :], y_BNS[:, :, :, None])
    # T = N S: the regions of an image are sampled as one tall image, so that no image is copied N times.
    grid_BTS2 = torch.stack([columns_BNSS, rows_BNSS], dim=-1).flatten(1, 2)
    tall_BCTS = F.grid_sample(
        images_BCHW, grid_BTS2, mode="bilinear", padding_mode="border", align_corners=True
    )
    crops_RCHW: Tensor = tall_BCTS.unflatten(2, (-1, side)).transpose(1, 2).flatten(0, 1)
    return crops_RCHW.contiguous(memory_format=torch.channels_last)


def loss(model: Model, images_BCHW: Tensor, labels_BC: Tensor) -> tuple[Tensor, Tensor]:
    """(BCE(global) + BCE(local), the higher of both streams' logits).

    Each BCE is a mean over images, and over labels the mean or the sum.
    """
    global_BC, local_BC = model.streams(images_BCHW)
    criterion = replace(model.criterion, reduction="sum")
    total = criterion(global_BC, labels_BC) + criterion(local_BC, labels_BC)
    scale = labels_BC.shape[1] if model.config.reduction == "mean" else 1
    return total / scale, torch.maximum(global_BC, local_BC)


def stages(config: Config) -> tuple[Stage, ...]:
    """One stage for all layers, which the equal budget trains on; or after ResNet-101's a stage "regions"."""
    settings = ("regions", "pooling", "cut", "smallest", "fallback")
    if config.start == "trunk":
        main = config.main_stage("classifier", owner=__name__, loss=loss, settings=settings)
        return config.with_budget(main)
    regions = config.stage(
        "regions",
        {"trunk": 1.0, "classifier": config.new_layers_lr},
        owner=__name__,
        epochs=config.joint_epochs if config.budget == "paper" else config.further_epochs,
        loss=loss,
        settings=settings,
    )
    return resnet101.main_stage(config), regions


# `python -m bench.run --dataset voc2007@difficult=positive-in-training --method mcar`: expected mAP 94.8
# (voc2012, the same option: 94.3; coco@unlabelled=dropped: 83.8); the hours are not measured. nuswide and
# wider have the same schedule, and no published mAP. `--set input_size=256` is for the paper's other table.
RECIPES = Config.recipes(
    demo={
        "start": "resnet101",  # the demo's trunk is not pretrained
        "pooling": "avg",  # as in ResNet-101's training
        "jitter": 0.0,  # the demo's images are grey
        "reduction": "sum",  # the demo's learning rate is for a sum
        "new_layers_lr": 1.0,
        "patience": 4,
        "weight_decay": 5e-4,
        "batch_size": 96,
    }
)
