"""Compares fused norms with float64 and with the plain model, on a GPU or with Triton's interpreter.

`TRITON_INTERPRET=1 python -m tests.training.fused_norms` does both on the CPU; Triton reads the variable when
it is imported, so this is a process of its own.
"""

import copy
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.training import fused_blocks, trunk
from bench.training.fused_blocks import FusedBatchNorm

TOLERANCE = {
    torch.float32: 1e-5,
    torch.float16: 1e-3,
    torch.bfloat16: 8e-3,
}  # of ||result - float64|| / ||float64||


def difference(result: Tensor, reference: Tensor) -> float:
    result, reference = result.detach().double(), reference.detach().double()
    return float((result - reference).norm() / reference.norm())


def norm_of(channels: int, device: str, *, relu: bool) -> FusedBatchNorm:
    """A norm in the middle of its training."""
    norm: Any = nn.BatchNorm2d(channels, device=device)
    for tensor in (norm.weight, norm.running_var):
        nn.init.uniform_(tensor, 0.5, 2)
    for tensor in (norm.bias, norm.running_mean):
        nn.init.normal_(tensor)
    assert fused_blocks._fuse_norm(norm, relu=relu)
    return norm


def check_norm(
    shape: tuple[int, ...], dtype: torch.dtype, device: str, *, relu: bool, residual: bool
) -> None:
    """Output, gradients and statistics on random input whose mean is not 0 agree with float64."""
    norm = norm_of(shape[1], device, relu=relu)

    def random(mean: float = 0.0) -> Tensor:
        values = (2 * torch.randn(shape, device=device) + mean).to(dtype)
        return values.contiguous(memory_format=torch.channels_last).requires_grad_()

    given = [random(mean=3.0), *([random()] if residual else [])]
    gradient = random().detach()
    wide_norm = nn.BatchNorm2d(shape[1], device=device).double()
    wide_norm.load_state_dict(norm.state_dict())
    wide = [tensor.detach().double().requires_grad_() for tensor in given]
    expected = wide_norm(wide[0]) + (wide[1] if residual else 0)
    expected = F.relu(expected) if relu else expected
    expected.backward(gradient.double())
    result = norm(*given)
    result.backward(gradient)
    pairs = [(result, expected), *zip(map(grad, given), map(grad, wide), strict=True)]
    parameters = zip(norm.parameters(), wide_norm.parameters(), strict=True)
    pairs += [(grad(one), grad(other)) for one, other in parameters]
    pairs += list(zip(norm.buffers(), wide_norm.buffers(), strict=True))
    for one, other in pairs:
        assert difference(one, other) <= TOLERANCE[dtype], (shape, dtype, relu, residual)
    assert result.dtype == dtype


def grad(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad


def check_every_norm(device: str, shapes: list[tuple[int, ...]]) -> None:
    for shape, dtype in product(shapes, TOLERANCE):
        for relu, residual in ((True, False), (True, True), (False, False)):
            check_norm(shape, dtype, device, relu=relu, residual=residual)


def check_what_is_not_finite(device: str) -> None:
    """NaN passes through the ReLU, so that the loss shows it."""
    image = torch.randn(2, 4, 3, 3, device=device).contiguous(memory_format=torch.channels_last)
    image[0, 1, 1, 1] = torch.nan
    result = norm_of(4, device, relu=True)(image)
    assert result[:, 1].isnan().all()
    assert result[:, [0, 2, 3]].isfinite().all()


@torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
def check_trunk(name: str, device: str, *, fused: int, forks: int = 0) -> None:
    """A fused trunk computes what the plain one computes, in float32.

    fused: its fused norms. forks: those of them that give their result twice.
    """
    plain = trunk.load_trunk(name, from_scratch=True).to(device).to(memory_format=torch.channels_last)
    for parameter in plain.parameters():
        if parameter.ndim == 1:  # some norms' weights are 0 at first
            nn.init.uniform_(parameter, 0.5, 1.5)
    other = copy.deepcopy(plain)
    (fused_blocks.fuse_further if forks else fused_blocks.fuse)(other)
    assert sum(isinstance(m, FusedBatchNorm) and m.forks for m in other.modules()) == forks
    assert list(other.state_dict()) == list(plain.state_dict())
    assert sum(isinstance(module, FusedBatchNorm) for module in other.modules()) == fused
    images = torch.randn(3, 3, 64, 64, device=device).contiguous(memory_format=torch.channels_last)
    for model in (plain, other):
        model.features(images).square().mean().backward()
    for one, two in zip(plain.parameters(), other.parameters(), strict=True):
        assert difference(grad(two), grad(one)) < 1e-3
    for one, two in zip(plain.buffers(), other.buffers(), strict=True):
        assert torch.allclose(one, two, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        folded, unfolded = (model.eval().features(images) for model in (other, plain))
    assert difference(folded, unfolded) < 1e-4


def check_whole_maps(device: str) -> None:
    """A convolution of whole maps as a matrix product agrees with float64, and one of parts is left alone."""
    for groups, bias in ((6, True), (6, False)):
        conv: Any = nn.Conv2d(6, 24, 5, groups=groups, bias=bias, device=device)
        expected = copy.deepcopy(conv).double()
        fused_blocks.fuse_further(model := nn.Sequential(conv))
        assert type(model[0]) is fused_blocks.WholeMapConv2d
        for side in (5, 7):
            images = torch.randn(3, 6, side, side, device=device).contiguous(
                memory_format=torch.channels_last
            )
            for module, given in ((model, images), (expected, images.double())):
                module(given).square().sum().backward()
            assert difference(model(images), expected(images.double())) < 1e-3
            assert difference(grad(conv.weight), grad(expected.weight)) < 1e-3


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    check_trunk("resnet10_narrow", "cpu", fused=14)
    check_trunk("resnet18", "cpu", fused=20, forks=4)
    check_what_is_not_finite("cpu")
    check_whole_maps("cpu")
    check_every_norm("cpu", [(3, 20, 9, 7), (5, 130, 1, 1)])
