"""One training on several processes: torch's DistributedDataParallel under torchrun; or on one, with no cost.

Every process learns from its share of each global batch, with the images and crops that one process would
take, and its gradient is weighted so that the mean over processes is that of the global batch, however the
batch divides. For evaluation whole batches are dealt, so that nothing is padded or counted twice.

Legend: B images of a global batch, b of a process's share.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bench.base.errors import InputError
from bench.training import device
from bench.training.stages import Stage

T = TypeVar("T")
PATIENCE = timedelta(hours=12)  # one process may wait for another that learns the stage it needs


@dataclass(frozen=True)
class Processes:
    """The processes of one training, seen from one of them."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and speaks."""
        return self.rank == 0

    def share(self, images: int) -> slice:
        """The process's part of a global batch; parts differ by one image at most.

        >>> [range(32)[Processes(rank, 3).share(32)] for rank in range(3)]
        [range(0, 10), range(10, 21), range(21, 32)]
        """
        return slice(images * self.rank // self.size, images * (self.rank + 1) // self.size)

    def deal(self, whole: Sequence[T]) -> Sequence[T]:
        """The items that fall to this process when they are dealt one by one."""
        return whole[self.rank :: self.size]

    def gather(self, dealt: list[T]) -> list[T]:
        """Every process's items in the order in which they were dealt."""
        if self.size == 1:
            return dealt
        parts: list[list[T]] = [[] for _ in range(self.size)]
        dist.all_gather_object(parts, dealt)
        return [parts[k % self.size][k // self.size] for k in range(sum(map(len, parts)))]

    def broadcast(self, value: T) -> T:
        """The first process's value, for all."""
        if self.size == 1:
            return value
        values: list[Any] = [value]
        dist.broadcast_object_list(values, src=0)
        found: T = values[0]
        return found

    def maximum(self, number: int) -> int:
        """The highest of the processes' numbers, by way of their CPUs: no GPU waits for it."""
        if self.size == 1:
            return number
        highest = torch.tensor(number)
        dist.all_reduce(highest, dist.ReduceOp.MAX)
        return int(highest)

    def mean(self, value: Tensor) -> Tensor:
        """The mean over processes, on the device."""
        if self.size > 1:
            dist.all_reduce(value, dist.ReduceOp.SUM)
            value /= self.size
        return value

    def same_statistics(self, model: nn.Module) -> None:
        """Give every process the first one's buffers: under `local` batch norm each gathers its own."""
        if self.size > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """The first process goes through the block before the others do."""
        if self.is_main:
            yield
        if self.size > 1:
            dist.barrier()
        if not self.is_main:
            yield


SINGLE_PROCESS = Processes()


class Objective(nn.Module):
    """A stage's loss as a module: what may be distributed and compiled, whatever of the model the loss calls.

    forward = loss(b images) N b / B; the mean of its gradient over N processes is that of the B images' loss.
    """

    weight: float

    def __init__(self, model: nn.Module, stage: Stage, processes: Processes) -> None:
        super().__init__()
        self.model, self.loss = model, stage.loss
        own = processes.share(stage.batch_size)
        self.weight = processes.size * (own.stop - own.start) / stage.batch_size

    def forward(self, images_bCHW: Tensor, labels_bC: Tensor) -> Tensor:
        loss, _ = self.loss(self.model, images_bCHW, labels_bC)
        return loss * self.weight


def objective(model: nn.Module, stage: Stage, processes: Processes, *, compiled: bool = False) -> nn.Module:
    """The stage's loss, compiled where asked, distributed over the processes; InputError where impossible."""
    if stage.batch_size < processes.size:
        raise InputError(
            f"{processes.size} processes cannot share a batch of {stage.batch_size}: start fewer processes"
        )
    alone: Any = Objective(model, stage, processes)
    if compiled:
        torch.compiler.reset()  # at a function's ninth graph torch would go on without compiling, unsaid
        alone = torch.compile(alone)
    if processes.size > 1:
        alone = DistributedDataParallel(alone, broadcast_buffers=False, gradient_as_bucket_view=True)
    return cast("nn.Module", alone)


def synchronise_statistics(model: nn.Module, on: torch.device, processes: Processes) -> None:
    """Batch norm over the global batch: torch's SyncBatchNorm, which needs GPUs, takes the layers' places."""
    if processes.size > 1:
        if on.type != "cuda":
            raise InputError("batch_norm=sync on several processes needs GPUs; choose local or frozen")
        if not any(isinstance(module, nn.SyncBatchNorm) for module in model.modules()):
            convert_sync_batchnorm(model)  # twice, it would take a norm's own activation away


@contextmanager
def process_group(name: str) -> Iterator[tuple[Processes, torch.device]]:
    """(the processes that torchrun started, this process's device); alone where torchrun did not start it.

    Raises InputError where a machine has fewer GPUs than processes.
    """
    if not dist.is_torchelastic_launched():
        yield SINGLE_PROCESS, device.choose(name)
        return
    on = _own_device(device.choose(name))
    # CPU tensors have a way of their own, on which processes agree without making their GPUs wait.
    dist.init_process_group("cpu:gloo,cuda:nccl" if on.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size()), on
    finally:
        dist.destroy_process_group()


def _own_device(on: torch.device) -> torch.device:
    local = int(os.environ["LOCAL_RANK"])
    if on.type == "cuda":
        if local >= torch.cuda.device_count():
            there = torch.cuda.device_count()
            raise InputError(f"torchrun started more processes than GPUs: --nproc-per-node={there} at most")
        on = torch.device("cuda", local)
        torch.cuda.set_device(on)
    return on
