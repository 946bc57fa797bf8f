"""Layers that methods share: a convolution with batch norm and ReLU."""

from torch import nn


def convolution(channels: int, out: int, size: int, *, norm: bool) -> tuple[nn.Module, ...]:
    """Convolution, batch norm if wanted, and ReLU; the size of the map stays."""
    convolution = nn.Conv2d(channels, out, size, padding=size // 2, bias=not norm)
    return convolution, *rectifier(out, norm=norm)


def rectifier(channels: int, *, norm: bool) -> tuple[nn.Module, ...]:
    """Batch norm if wanted, and ReLU."""
    return (nn.BatchNorm2d(channels), nn.ReLU()) if norm else (nn.ReLU(),)
