"""Training batch norm, with an addition and a ReLU after it if asked for, as Triton kernels.

    y = relu(weight * (x - mean) / sqrt(var + eps) + bias + residual)

x is float16 or bfloat16 and channels-last in memory, so a matrix of M = B * H * W rows and C channels; sums
and statistics are float32. Training is bound by memory traffic, and torch's own kernels pass over the data
once for each of norm, addition and ReLU. Here the forward pass reads x twice and writes y once; the backward
pass reads x and the gradient twice and writes the gradient of x once. Every sum has a fixed order: results
repeat bit for bit.

Legend: M rows, C channels, P partial sums of a channel.
"""

from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 4096  # elements that a program handles at a time, in `WARPS` warps
WARPS = 8
CHANNELS = 64  # of a tile at most: 128 bytes of a row
PROGRAMS = 4  # for each multiprocessor
FINISH_ROWS, FINISH_CHANNELS = 128, 16  # of a tile in the kernels that add partial sums up


@triton.jit
def _tile(pointer, tile, c, C, BLOCK_M: tl.constexpr):
    """The addresses of a tile's elements."""
    rows = (tile * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
    return pointer + rows[:, None] * C + c[None, :]


@triton.jit
def _inside(tile, c, M, C, BLOCK_M: tl.constexpr):
    """Which elements of a tile exist."""
    rows = tile * BLOCK_M + tl.arange(0, BLOCK_M)
    return (rows < M)[:, None] & (c < C)[None, :]


@triton.jit
def _row(pointer, c, C):
    """A value for each channel of a tile, (1, BLOCK_C)."""
    return tl.load(pointer + c, c < C, 0.0)[None, :]


@triton.jit
def _sum_x(x, sums, M, C, BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr):
    """Partial sums of x - k and (x - k)^2; k is the first value of the channel, so that nothing cancels."""
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    part, parts = tl.program_id(1), tl.num_programs(1)
    k = _row(x, c, C).to(tl.float32)
    first = tl.zeros((BLOCK_M, BLOCK_C), tl.float32)
    second = tl.zeros((BLOCK_M, BLOCK_C), tl.float32)
    for tile in range(part, tl.cdiv(M, BLOCK_M), parts):
        inside = _inside(tile, c, M, C, BLOCK_M)
        value = tl.load(_tile(x, tile, c, C, BLOCK_M), inside, 0.0).to(tl.float32)
        value = tl.where(inside, value - k, 0.0)
        first += value
        second += value * value
    tl.store(sums + part * C + c, tl.sum(first, 0), c < C)
    tl.store(sums + (parts + part) * C + c, tl.sum(second, 0), c < C)


@triton.jit
def _total(sums, parts, c, C, ROWS: tl.constexpr):
    """The sum of a channel's partial sums."""
    total = tl.zeros((ROWS, c.shape[0]), tl.float32)
    for start in range(0, parts, ROWS):
        rows = start + tl.arange(0, ROWS)
        total += tl.load(
            sums + rows[:, None] * C + c[None, :], (rows < parts)[:, None] & (c < C)[None, :], 0.0
        )
    return tl.sum(total, 0)


@triton.jit
def _finish_statistics(
    x, sums, mean, invstd, running_mean, running_var, batches, momentum, eps, M, C, parts,
    ROWS: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Mean and 1 / sqrt(var + eps) of each channel; updates the running statistics as torch does."""
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    shift = _total(sums, parts, c, C, ROWS) / M
    var = _total(sums + parts * C, parts, c, C, ROWS) / M - shift * shift
    var = tl.where(var < 0.0, 0.0, var)  # NaN stays NaN
    middle = tl.load(x + c, c < C, 0.0).to(tl.float32) + shift
    tl.store(mean + c, middle, c < C)
    tl.store(invstd + c, 1.0 / tl.sqrt(var + eps), c < C)
    old_mean, old_var = tl.load(running_mean + c, c < C, 0.0), tl.load(running_var + c, c < C, 0.0)
    tl.store(running_mean + c, (1 - momentum) * old_mean + momentum * middle, c < C)
    unbiased_var = var * (M / (M - 1))
    tl.store(running_var + c, (1 - momentum) * old_var + momentum * unbiased_var, c < C)
    if tl.program_id(0) == 0:
        tl.store(batches, tl.load(batches) + 1)


@triton.jit
def _apply(
    x, residual, y, mean, invstd, weight, bias, M, C,
    RELU: tl.constexpr, RESIDUAL: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """y. The tiles come in reverse order: what the pass before read last is still in the cache."""
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    centre, scale, shift = _row(mean, c, C), _row(weight, c, C) * _row(invstd, c, C), _row(bias, c, C)
    tiles = tl.cdiv(M, BLOCK_M)
    for number in range(tl.program_id(1), tiles, tl.num_programs(1)):
        tile = tiles - 1 - number
        inside = _inside(tile, c, M, C, BLOCK_M)
        value = tl.load(_tile(x, tile, c, C, BLOCK_M), inside, 0.0).to(tl.float32)
        value = (value - centre) * scale + shift
        if RESIDUAL:
            value += tl.load(_tile(residual, tile, c, C, BLOCK_M), inside, 0.0).to(tl.float32)
        if RELU:
            value = tl.where(value < 0.0, 0.0, value)  # NaN stays NaN
        tl.store(_tile(y, tile, c, C, BLOCK_M), value.to(y.dtype.element_ty), inside)


@triton.jit
def _sum_gradient(
    x, y, dy, dy2, dresidual, sums, mean, invstd, weight, bias, M, C,
    RELU: tl.constexpr, RESIDUAL: tl.constexpr, TWICE: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Partial sums of g and g (x - mean) invstd, where g is dy where the ReLU let y through, else 0.

    TWICE: y has two users, dy + dy2 is its gradient. With a residual g is also its gradient, and is written;
    without, y is not needed: its sign follows from x.
    """
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    part, parts = tl.program_id(1), tl.num_programs(1)
    centre, spread = _row(mean, c, C), _row(invstd, c, C)
    scale, shift = _row(weight, c, C) * spread, _row(bias, c, C)
    first = tl.zeros((BLOCK_M, BLOCK_C), tl.float32)
    second = tl.zeros((BLOCK_M, BLOCK_C), tl.float32)
    for tile in range(part, tl.cdiv(M, BLOCK_M), parts):
        inside = _inside(tile, c, M, C, BLOCK_M)
        value = tl.load(_tile(x, tile, c, C, BLOCK_M), inside, 0.0).to(tl.float32)
        g = tl.load(_tile(dy, tile, c, C, BLOCK_M), inside, 0.0).to(tl.float32)
        if TWICE:
            g += tl.load(_tile(dy2, tile, c, C, BLOCK_M), inside, 0.0).to(tl.float32)
        if RESIDUAL:
            if RELU:
                g = tl.where(tl.load(_tile(y, tile, c, C, BLOCK_M), inside, 0.0) > 0, g, 0.0)
            tl.store(_tile(dresidual, tile, c, C, BLOCK_M), g.to(dresidual.dtype.element_ty), inside)
        elif RELU:
            g = tl.where((value - centre) * scale + shift > 0, g, 0.0)
        first += g
        second += g * (value - centre) * spread
    tl.store(sums + part * C + c, tl.sum(first, 0), c < C)
    tl.store(sums + (parts + part) * C + c, tl.sum(second, 0), c < C)


@triton.jit
def _finish_gradient(sums, dweight, dbias, C, parts, ROWS: tl.constexpr, BLOCK_C: tl.constexpr):
    """The gradients of weight and bias."""
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    tl.store(dbias + c, _total(sums, parts, c, C, ROWS), c < C)
    tl.store(dweight + c, _total(sums + parts * C, parts, c, C, ROWS), c < C)


@triton.jit
def _gradient(
    x, dy, dx, mean, invstd, weight, bias, dweight, dbias, M, C,
    RELU: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """dx = weight invstd (g - dbias / M - (x - mean) invstd dweight / M); tiles in reverse order."""
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    centre, spread = _row(mean, c, C), _row(invstd, c, C)
    scale, shift = _row(weight, c, C) * spread, _row(bias, c, C)
    slope, offset = _row(dweight, c, C) * spread / M, _row(dbias, c, C) / M
    tiles = tl.cdiv(M, BLOCK_M)
    for number in range(tl.program_id(1), tiles, tl.num_programs(1)):
        tile = tiles - 1 - number
        inside = _inside(tile, c, M, C, BLOCK_M)
        value = tl.load(_tile(x, tile, c, C, BLOCK_M), inside, 0.0).to(tl.float32)
        g = tl.load(_tile(dy, tile, c, C, BLOCK_M), inside, 0.0).to(tl.float32)
        if RELU:
            g = tl.where((value - centre) * scale + shift > 0, g, 0.0)
        value = scale * (g - offset - (value - centre) * slope)
        tl.store(_tile(dx, tile, c, C, BLOCK_M), value.to(dx.dtype.element_ty), inside)


class FusedNorm(torch.autograd.Function):
    """(x, residual or None, weight, bias, norm) -> y; updates the statistics of the norm in place.

    norm: an nn.BatchNorm2d in training, with an attribute `relu`. M has to be above 1.
    With `norm.forks` and a residual the result is (y, y) for two users: their gradients are added in here.
    """

    @staticmethod
    def forward(ctx, x, residual, weight, bias, norm):
        x = x.contiguous(memory_format=torch.channels_last)
        if residual is not None:
            residual = residual.contiguous(memory_format=torch.channels_last)
        shape, grid, sizes, sums = _layout(x)
        mean, invstd = torch.empty((2, shape[1]), device=x.device)
        y = torch.empty_like(x)
        _sum_x[grid](x, sums, *shape, **sizes)
        _finish_statistics[_finish_grid(shape)](
            *(x, sums, mean, invstd, norm.running_mean, norm.running_var, norm.num_batches_tracked),
            *(norm.momentum, norm.eps, *shape, grid[1], FINISH_ROWS, FINISH_CHANNELS),
        )
        relu = norm.relu
        flags = {"RELU": relu, "RESIDUAL": residual is not None}
        _apply[grid](x, residual, y, mean, invstd, weight, bias, *shape, **flags, **sizes)
        ctx.save_for_backward(x, y if relu and residual is not None else None, mean, invstd, weight, bias)
        ctx.flags = flags
        return (y, y.detach()) if norm.forks and residual is not None else y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, y, mean, invstd, weight, bias = ctx.saved_tensors
        dy, *dy2 = (gradient.contiguous(memory_format=torch.channels_last) for gradient in gradients)
        shape, grid, sizes, sums = _layout(x)
        has_residual = ctx.flags["RESIDUAL"]
        dresidual = torch.empty_like(x) if has_residual else None
        dweight, dbias = torch.empty((2, shape[1]), device=x.device)
        known = (mean, invstd, weight, bias)
        given = (x, y, dy, dy2[0] if dy2 else None, dresidual, sums, *known, *shape)
        _sum_gradient[grid](*given, **ctx.flags, TWICE=bool(dy2), **sizes)
        _finish_gradient[_finish_grid(shape)](
            sums, dweight, dbias, shape[1], grid[1], FINISH_ROWS, FINISH_CHANNELS
        )
        g, masks = (dresidual, False) if has_residual else (dy, ctx.flags["RELU"])
        dx = torch.empty_like(x)
        _gradient[grid](x, g, dx, *known, dweight, dbias, *shape, RELU=masks, **sizes)
        return dx, dresidual, dweight, dbias, None


def _layout(x: Tensor) -> tuple[tuple[int, int], tuple[int, int], dict[str, int], Tensor]:
    """(M and C, the grid of programs, the sizes of a tile, memory for two partial sums of every channel)."""
    channels = x.shape[1]
    rows = x.numel() // channels
    block = min(CHANNELS, triton.next_power_of_2(channels))
    sizes = {"BLOCK_M": TILE // block, "BLOCK_C": block, "num_warps": WARPS}
    blocks = triton.cdiv(channels, block)
    parts = max(1, min(triton.cdiv(rows, TILE // block), PROGRAMS * _multiprocessors(x.device) // blocks))
    return (rows, channels), (blocks, parts), sizes, torch.empty((2, parts, channels), device=x.device)


def _finish_grid(shape: tuple[int, int]) -> tuple[int]:
    return (triton.cdiv(shape[1], FINISH_CHANNELS),)


@cache
def _multiprocessors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 2
