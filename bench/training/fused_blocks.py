"""Puts the kernels of `fused_norm` into a model: batch norm, and the addition and ReLU after it, in one call.

The modules' classes change, their parameters, buffers and names do not: checkpoints and results fit both.
Residual blocks that need no gradient (in evaluation, or frozen) have their norms folded into the convolutions
before them, with the weights of the moment.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from timm.layers.norm_act import BatchNormAct2d
from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn
from torch.nn import functional as F

from bench.base.errors import InputError
from bench.training.fused_norm import FusedNorm

NOTHING = (type(None), nn.Identity)


class FusedBatchNorm(nn.BatchNorm2d):
    """Batch norm, then the residual is added if there is one, then a ReLU follows if `relu` is set.

    forks: in training the result is given twice, see `FusedNorm`.
    """

    relu: bool
    forks = False

    def forward(self, input: Tensor, residual: Tensor | None = None) -> Any:  # noqa: A002 (nn.BatchNorm2d's name)
        if residual is not None:
            residual = residual.to(input.dtype)
        if self.training and input.numel() > input.shape[1]:
            return FusedNorm.apply(input, residual, self.weight, self.bias, self)
        y: Tensor = super().forward(input)  # of a single value for each channel: raises torch's error
        y = y if residual is None else y + residual
        return y.relu() if self.relu else y


class FusedBottleneck(Bottleneck):
    """timm's bottleneck block without its extras."""

    last_norm = "bn3"

    def forward(self, x: Any) -> Any:
        x, shortcut = x if isinstance(x, tuple) else (x, x)
        shortcut = shortcut if self.downsample is None else self.downsample(shortcut)
        x = convolve(self.conv2, self.bn2, convolve(self.conv1, self.bn1, x))
        return convolve(self.conv3, self.bn3, x, shortcut)


class FusedBasicBlock(BasicBlock):
    """timm's basic block without its extras."""

    last_norm = "bn2"

    def forward(self, x: Any) -> Any:
        x, shortcut = x if isinstance(x, tuple) else (x, x)
        shortcut = shortcut if self.downsample is None else self.downsample(shortcut)
        return convolve(self.conv2, self.bn2, convolve(self.conv1, self.bn1, x), shortcut)


class WholeMapConv2d(nn.Conv2d):
    """A convolution of each channel by itself: where its kernels are as large as the map, a matrix product.

    SRN's conv4 is one; cuDNN's grouped convolutions take several times as long.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (nn.Conv2d's name)
        if input.shape[2:] != self.kernel_size:
            return super().forward(input)
        weight_KFP = self.weight.view(self.in_channels, -1, input[0, 0].numel())
        y_BKF = torch.einsum("bkp,kfp->bkf", input.flatten(2), weight_KFP)
        y_BC11 = y_BKF.reshape(len(input), -1, 1, 1)
        return y_BC11 if self.bias is None else y_BC11 + self.bias.view(-1, 1, 1).to(y_BC11.dtype)


BLOCKS: dict[type[nn.Module], tuple[type[nn.Module], tuple[str, ...]]] = {
    Bottleneck: (FusedBottleneck, ("bn1", "bn2", "bn3")),
    BasicBlock: (FusedBasicBlock, ("bn1", "bn2")),
}


def fuse_for(kinds: Sequence[str], model: nn.Module, *, processes: int) -> None:
    """Fuse a model's norms; kinds: `batch_norm` of each of its stages.

    InputError for a kind whose statistics are not those of the images that a process has.
    """
    if "groups" in kinds or (processes > 1 and "sync" in kinds):
        raise InputError(
            "--fused-norms knows only batch_norm=local and frozen: use --no-fused-norms, or"
            " --set batch_norm=local"
        )
    fuse(model)


def fuse(model: nn.Module) -> None:
    """Fuse all batch norms of a model that are torch's or timm's own; other modules stay as they are."""
    for module in list(model.modules()):
        if isinstance(module, nn.Sequential):
            for number in range(len(module) - 1):
                if type(module[number + 1]) is nn.ReLU and _fuse_norm(module[number], relu=True):
                    module[number + 1] = nn.Identity()
        if type(module) in BLOCKS and _is_plain_block(module):
            fused, norms = BLOCKS[type(module)]
            if all(_fuse_norm(getattr(module, norm), relu=True) for norm in norms):
                module.__class__ = fused
        if type(module) is BatchNormAct2d:
            _fuse_norm(module, relu=True)
    for module in model.modules():
        _fuse_norm(module, relu=False)


def fuse_further(model: nn.Module) -> None:
    """`fuse`, and what has not been measured yet: forks of residual blocks, convolutions of whole maps."""
    fuse(model)
    blocks = (FusedBottleneck, FusedBasicBlock)
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            for block, following in pairwise(module):
                if isinstance(block, blocks) and isinstance(following, blocks):
                    getattr(block, block.last_norm).forks = True
        if type(module) is nn.Conv2d and module.groups == module.in_channels > 1 and not any(module.padding):
            module.__class__ = WholeMapConv2d


def _fuse_norm(norm: Any, *, relu: bool) -> bool:
    """Fuse a norm, if it is one that the kernels can compute; returns whether it is."""
    # timm's norm with an activation: any other one than ReLU, such as ReLU6, is computed as before.
    is_timms = type(norm) is BatchNormAct2d and type(norm.drop) is nn.Identity
    act = nn.ReLU if relu else nn.Identity
    if type(norm) is not nn.BatchNorm2d and not (is_timms and type(norm.act) is act):
        return False
    if norm.weight is None or norm.running_mean is None or norm.momentum is None:
        return False
    norm.__class__ = FusedBatchNorm
    norm.relu = relu
    return True


def _is_plain_block(block: Any) -> bool:
    """Whether a block has neither attention nor drop path, and rectifies with ReLU."""
    extras = (block.se, block.drop_path, block.drop_block, block.aa)
    return isinstance(block.act1, nn.ReLU) and all(isinstance(extra, NOTHING) for extra in extras)


def convolve(conv: Any, norm: Any, x: Tensor, residual: Tensor | None = None) -> Any:
    """norm(conv(x), residual), twice if the norm forks.

    Where nothing needs a gradient, the norm is folded into the convolution.
    """
    known = (x, conv.weight, norm.weight, residual)
    if norm.training or (torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in known)):
        return norm(conv(x), residual)
    device = x.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    weight, bias = (conv.weight * scale.view(-1, 1, 1, 1)).to(dtype), norm.bias - norm.running_mean * scale
    return _convolve_and_rectify(conv, x.to(dtype), weight, bias.to(dtype), residual)


def _convolve_and_rectify(
    conv: Any, x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None
) -> Tensor:
    """relu(x * weight + bias + residual), on a GPU in one kernel of cuDNN's."""
    sizes = (conv.stride, conv.padding, conv.dilation, conv.groups)
    if not x.is_cuda:
        y = F.conv2d(x, weight, bias, *sizes)
        return (y if residual is None else y + residual).relu()
    if residual is None:
        return torch.cudnn_convolution_relu(x, weight, bias, *sizes)
    return torch.cudnn_convolution_add_relu(x, weight, residual.to(x.dtype), 1, bias, *sizes)
