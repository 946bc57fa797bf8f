"""Layers that methods share: a convolution with batch norm and ReLU, and bottleneck blocks."""

from timm.layers.create_conv2d import create_conv2d
from timm.layers.norm_act import BatchNormAct2d
from timm.models.resnet import Bottleneck
from timm.models.resnetv2 import PreActBottleneck
from torch import nn


def convolution(channels: int, out: int, size: int, *, norm: bool) -> tuple[nn.Module, ...]:
    """Convolution, batch norm if wanted, and ReLU; the size of the map stays."""
    convolution = nn.Conv2d(channels, out, size, padding=size // 2, bias=not norm)
    return convolution, *rectifier(out, norm=norm)


def rectifier(channels: int, *, norm: bool) -> tuple[nn.Module, ...]:
    """Batch norm if wanted, and ReLU."""
    return (nn.BatchNorm2d(channels), nn.ReLU()) if norm else (nn.ReLU(),)


def bottlenecks(width: int, number: int, *, rectified: bool, norm: bool = True) -> nn.Sequential:
    """New blocks of three convolutions, width -> width / 4 -> width / 4 -> width; the identity at first.

    After a map that is not rectified they are pre-activation blocks (He et al. 2016), on the map as it is;
    with `norm`, batch norm and ReLU follow the last one.
    """
    if rectified:
        return nn.Sequential(*(Bottleneck(width, width // 4) for _ in range(number)))
    blocks = (
        PreActBottleneck(width, conv_layer=create_conv2d, norm_layer=BatchNormAct2d) for _ in range(number)
    )
    return nn.Sequential(*blocks, *([BatchNormAct2d(width)] if norm else []))
