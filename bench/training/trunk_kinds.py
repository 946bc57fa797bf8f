"""The kinds of trunks: what methods can ask of a network of timm's.

X is the output of the stage at stride 16, the third one of a ResNet (Caffe's "res4b22_relu"): B x 1024 x 14
x 14 for ResNet-101 at 224. Deviation from the paper: the default `resnet101.tv_in1k` is a post-activation
ResNet (the authors' is pre-activation: `resnetv2_101`, whose X is not rectified). timm's ResNets have the
stride of a bottleneck in its 3x3 convolution; where the authors' have it is unknown, probably there too.
"""

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from timm.layers.norm import LayerNorm2d, RmsNorm, RmsNorm2d
from torch import Tensor, nn

from bench.base.errors import InputError

REDUCTION = 16  # input pixels per position of X, along one side
PATCHES = 14  # pixels per position of X in a ViT with patches of that side


class Trunk(nn.Module):
    """What a method can ask of a network, whatever its kind.

    mean, std: of its pretraining. channels: those of the features. scales: stride -> channels of the last
    stage that has it. rectified: whether X and the features are outputs of a ReLU; if not, blocks after them
    begin with a norm of their own.
    """

    channels: int
    rectified: bool

    def __init__(self, network: Any, name: str) -> None:
        super().__init__()
        self.name = name
        self.mean, self.std = tuple(network.pretrained_cfg["mean"]), tuple(network.pretrained_cfg["std"])
        self.scales: dict[int, int] = {stage["reduction"]: stage["num_chs"] for stage in network.feature_info}

    @property
    def x_stride(self) -> int:
        """The stride of X; InputError if no stage has it."""
        if self.scales.keys() == {PATCHES}:
            return PATCHES
        if REDUCTION not in self.scales:
            raise self._lacks(f"stride {REDUCTION}")
        return REDUCTION

    @property
    def x_channels(self) -> int:
        """The channels of X; InputError if the trunk has no X."""
        return self.scales[self.x_stride]

    @property
    def widths(self) -> tuple[int, int, int]:
        """The channels of the three maps of `pyramid`; InputError if the trunk does not have three."""
        if not {REDUCTION // 2, REDUCTION, REDUCTION * 2} <= self.scales.keys():
            raise self._lacks("three strides 8, 16 and 32")
        return self.scales[REDUCTION // 2], self.scales[REDUCTION], self.channels

    def _lacks(self, needed: str) -> InputError:
        own = ", ".join(map(str, sorted(self.scales)))
        return InputError(
            f"trunk {self.name} has maps at stride {own}; this method needs {needed}:"
            " choose another trunk, as in --trunk resnet101.tv_in1k"
        )

    @property
    def end(self) -> nn.Module:
        """The norm at the network's end, if it can be applied after further blocks; else the identity."""
        return nn.Identity()

    def x_side(self, input_size: int) -> int:
        """The height and width of X for images of that side."""
        return math.ceil(input_size / REDUCTION)

    def x(self, images_BCHW: Tensor) -> Tensor:
        """X alone, without computing later stages."""
        raise NotImplementedError

    def features(self, images_BCHW: Tensor) -> Tensor:
        """The last map, rectified or normalised as the network ends."""
        return cast("Tensor", self(images_BCHW)[1])

    def before_end(self, images_BCHW: Tensor) -> Tensor:
        """The last map, without `end`."""
        return self.features(images_BCHW)

    def forward(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """(X, features), each computed once."""
        raise NotImplementedError

    def pyramid(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The maps at stride 8 and 16 and the features; as many channels as `widths`, each side half the one
        before: B x 512 x 56 x 56, B x 1024 x 28 x 28, B x 2048 x 14 x 14 for ResNet-101 at 448.
        """
        raise NotImplementedError


class ResNetTrunk(Trunk):
    """A ResNet in two parts: `middle` from the image to the third stage, `last` from there to the end."""

    def __init__(self, network: Any, name: str) -> None:
        super().__init__(network, name)
        self.channels = network.feature_info[-1]["num_chs"]
        self.rectified = hasattr(network, "layer4")
        if self.rectified:
            stem = (network.conv1, network.bn1, network.act1, network.maxpool)
            self.middle = nn.Sequential(*stem, network.layer1, network.layer2, network.layer3)
            self.last = network.layer4
        else:
            self.middle = nn.Sequential(network.stem, *network.stages[:-1])
            self.last = nn.Sequential(network.stages[-1], network.norm)

    @property
    def end(self) -> nn.Module:
        """The norm with ReLU of a pre-activation ResNet."""
        return nn.Identity() if self.rectified else cast("nn.Module", self.last[1])

    def before_end(self, images_BCHW: Tensor) -> Tensor:
        last = self.last if self.rectified else self.last[0]
        return cast("Tensor", last(self.middle(images_BCHW)))

    def features(self, images_BCHW: Tensor) -> Tensor:
        return cast("Tensor", self.last(self.middle(images_BCHW)))

    def x(self, images_BCHW: Tensor) -> Tensor:
        return cast("Tensor", self.middle(images_BCHW))

    def forward(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        x_BCHW = self.middle(images_BCHW)
        return x_BCHW, self.last(x_BCHW)

    def pyramid(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        second_BCHW = self.middle[:-1](images_BCHW)
        x_BCHW = self.middle[-1](second_BCHW)
        return second_BCHW, x_BCHW, self.last(x_BCHW)


class NetworkTrunk(Trunk):
    """Any other network, through timm's `forward_intermediates`.

    Maps before the last are the stages' own outputs, neither rectified nor normalised. A norm that the
    network has after its pooling (ConvNeXt, some ViTs) is applied at each position instead. The maps of a
    transformer are its patches' tokens; the only map of a plain ViT is both X and the features.
    """

    def __init__(self, network: Any, name: str) -> None:
        super().__init__(network, name)
        self.rectified = type(network).__name__ == "TResNet"
        self.norm = _norm_after_pooling(network)
        for unused in {*_heads(network), "attn_pool"} & {child for child, _ in network.named_children()}:
            setattr(network, unused, nn.Identity())
        self.network = network
        strides = [stage["reduction"] for stage in network.feature_info]
        self.stages = {stride: index for index, stride in enumerate(strides)}  # the last stage with a stride
        self.final = len(strides) - 1
        self.channels = int(network.num_features)

    def check(self, input_size: int) -> None:
        """Raises InputError unless an image of that side gives a map of `channels` features."""
        own, patch = self.network.pretrained_cfg["input_size"][-1], min(self.scales)
        if self.network.pretrained_cfg.get("fixed_input_size") and input_size % patch:
            reason = f"it is not a multiple of {patch}, the side of its patches"
            raise size_refused(self.name, input_size, reason)
        try:
            shape = self._of_black_image(self.features, input_size).shape
        except (RuntimeError, AssertionError, ValueError) as error:
            raise size_refused(self.name, input_size, f"{error}; its own size is {own}") from error
        if len(shape) != 4 or shape[1] != self.channels:
            raise InputError(f"trunk {self.name} gives no map of features: choose another, such as resnet50")

    @torch.no_grad()
    def _of_black_image(self, function: Callable[[Tensor], Tensor], input_size: int) -> Tensor:
        """What a function of this trunk gives for a black image."""
        device, was_training = next(self.parameters()).device, self.training
        self.eval()
        output = function(torch.zeros(1, 3, input_size, input_size, device=device))
        self.train(was_training)
        return output

    def x_side(self, input_size: int) -> int:
        return int(self._of_black_image(self.x, input_size).shape[-1])

    def x(self, images_BCHW: Tensor) -> Tensor:
        stage = self.stages[self.x_stride]
        if stage == self.final:
            return self.features(images_BCHW)
        early = {"stop_early": True, "intermediates_only": True}
        return cast("Tensor", self.network.forward_intermediates(images_BCHW, indices=[stage], **early)[0])

    def features(self, images_BCHW: Tensor) -> Tensor:
        return self._maps(images_BCHW)[-1]

    def forward(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        x_BCHW, features_BCHW = self._maps(images_BCHW, self.x_stride)
        return x_BCHW, features_BCHW

    def pyramid(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        _ = self.widths  # refuses a trunk without these maps
        second_BCHW, x_BCHW, features_BCHW = self._maps(images_BCHW, REDUCTION // 2, REDUCTION)
        return second_BCHW, x_BCHW, features_BCHW

    def _maps(self, images_BCHW: Tensor, *strides: int) -> list[Tensor]:
        """The map at each stride, then the features."""
        wanted = [self.stages[stride] for stride in strides]
        early = [stage for stage in wanted if stage != self.final]
        output, maps = self.network.forward_intermediates(
            images_BCHW, indices=[*early, self.final], norm=True
        )
        # Tokens of a transformer: timm has dropped the prefix and restored the grid in the intermediate map.
        last_BCHW = maps[-1] if output.ndim == 3 else output
        if output.ndim == 4 and getattr(self.network, "output_fmt", None) == "NHWC":
            last_BCHW = output.permute(0, 3, 1, 2)
        if self.norm is not None:
            last_BCHW = _normalise(self.norm, last_BCHW)
        return [*maps[:-1], *[last_BCHW] * (len(wanted) - len(early)), last_BCHW]


def _norm_after_pooling(network: Any) -> nn.Module | None:
    """The norm that the network has between its pooling and its classifier."""
    for norm in (getattr(network, "fc_norm", None), getattr(getattr(network, "head", None), "norm", None)):
        if isinstance(norm, nn.LayerNorm | RmsNorm):
            return norm
    return None


def _normalise(norm: nn.Module, map_BCHW: Tensor) -> Tensor:
    """The norm over channels, at each position."""
    if isinstance(norm, LayerNorm2d | RmsNorm2d):
        return cast("Tensor", norm(map_BCHW))
    return cast("Tensor", norm(map_BCHW.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


def _heads(network: Any) -> set[str]:
    """The modules that hold the classifier."""
    names = network.pretrained_cfg.get("classifier") or ()
    return {name.partition(".")[0] for name in ([names] if isinstance(names, str) else names)}


def size_refused(name: str, input_size: int, reason: str) -> InputError:
    text = " ".join(reason.split())[:200]
    return InputError(f"trunk {name} cannot take images of {input_size} pixels: {text}; change --input-size")
