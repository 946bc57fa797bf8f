"""Batch norm with the statistics of groups of the batch, as several GPUs with a share each have them.

Legend: B images of a batch, D channels, H = W positions along a side.
"""

import copy

from torch import Tensor, cat, nn

from bench.base.errors import InputError


def use_groups(model: nn.Module, size: int, *, images: int) -> None:
    """Give every batch norm layer in training the statistics of `size` consecutive images at a time.

    The running statistics are those of the first group, as of the first of several GPUs: Caffe and this suite
    store that one's. In evaluation mode nothing changes. images: those of a batch on this process; InputError
    if they are no whole number of groups.
    """
    if images % size:
        raise InputError(
            f"batch_norm=groups: the {images} images of a batch on each process cannot be divided into groups"
            f" of {size}; change norm_group, batch_size or the number of processes"
        )
    for module in model.modules():
        if hasattr(module, "running_mean"):
            module.forward = _GroupedForward(module, size)


class _GroupedForward:
    """The forward of a batch norm layer, in groups while it is in training."""

    def __init__(self, module: nn.Module, size: int) -> None:
        self.module, self.size = module, size
        # The layer for all groups but the first: it has the same parameters and updates no statistics.
        self.untracked = copy.copy(module)
        self.untracked.train()
        self.untracked.__dict__.pop("forward", None)
        self.untracked.track_running_stats = False  # type: ignore[assignment]

    def __call__(self, images_BDHW: Tensor) -> Tensor:
        forward = type(self.module).forward
        if not self.module.training:
            whole: Tensor = forward(self.module, images_BDHW)
            return whole
        first, *others = images_BDHW.split(self.size)
        return cat([forward(self.module, first), *(forward(self.untracked, other) for other in others)])
