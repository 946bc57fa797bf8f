"""Distributes one training over several processes with torch's DistributedDataParallel, under torchrun.

Every process trains on its share of each global batch, with the images and crops that a single process would
take. Its gradient is weighted so that the mean over processes is the gradient of the global batch, also where
the shares differ in size. For evaluation each process takes whole batches in turn, so that no image is padded
or counted twice. A single process skips all communication.

Legend: B images of a global batch, b of a process's share; N processes.
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
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from bench.base.errors import InputError
from bench.training import device
from bench.training.stages import Stage

T = TypeVar("T")
TIME_TO_MEET = timedelta(minutes=1)
TIMEOUT = timedelta(hours=12)  # a process may have to wait while another one trains a stage that it needs


@dataclass(frozen=True)
class Processes:
    """The processes of one training, seen from one of them: its number `rank`, and their number `size`."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    @property
    def exchange(self) -> bool:
        """Whether values are exchanged: not by a single process."""
        return self.size > 1

    def share(self, images: int) -> slice:
        """The part of a global batch of so many images that is this process's; parts differ by one at most.

        >>> [range(32)[Processes(rank, 3).share(32)] for rank in range(3)]
        [range(0, 10), range(10, 21), range(21, 32)]
        """
        return slice(images * self.rank // self.size, images * (self.rank + 1) // self.size)

    def deal(self, items: Sequence[T]) -> Sequence[T]:
        """The items of this process when they are given to the processes in turn: every `size`-th one."""
        return items[self.rank :: self.size]

    def gather(self, own_items: list[T]) -> list[T]:
        """The items of all processes, in the order that they had before `deal`."""
        if not self.exchange:
            return own_items
        parts: list[list[T]] = [[] for _ in range(self.size)]
        dist.all_gather_object(parts, own_items)
        return [parts[k % self.size][k // self.size] for k in range(sum(map(len, parts)))]

    def broadcast(self, value: T) -> T:
        """The value of the first process, returned on every process."""
        if not self.exchange:
            return value
        values: list[Any] = [value]
        dist.broadcast_object_list(values, src=0)
        first_value: T = values[0]
        return first_value

    def maximum(self, number: int) -> int:
        """The highest of the processes' numbers, exchanged between CPUs so that no GPU waits."""
        if not self.exchange:
            return number
        highest = torch.tensor(number)
        dist.all_reduce(highest, dist.ReduceOp.MAX)
        return int(highest)

    def all(self, fact: bool) -> bool:
        """Whether the fact holds on every process."""
        return not self.maximum(int(not fact))

    def raise_together(self, fault: str) -> None:
        """InputError on all processes if any of them has a fault (empty: none); each machine says it once."""
        if faults := list(dict.fromkeys(filter(None, self.gather([fault])))):
            if os.environ.get("LOCAL_RANK", "0") == "0":
                raise InputError("\n".join(faults))
            raise SystemExit(2)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over the processes; it stays on the device."""
        if self.exchange:
            dist.all_reduce(value, dist.ReduceOp.SUM)
            value /= self.size
        return value

    def broadcast_buffers(self, model: nn.Module) -> None:
        """Give every process the first one's buffers: under `local` batch norm their statistics differ."""
        if self.exchange:
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """A context that the first process passes through before the others enter it."""
        if self.is_main:
            yield
        if self.exchange:
            dist.barrier()
        if not self.is_main:
            yield


SINGLE_PROCESS = Processes()


class StageLoss(nn.Module):
    """A stage's loss as a module, so that it can be distributed and compiled, whichever parts it calls.

    forward = loss(b images) N b / B. The mean of its gradient over the N processes is the gradient of the
    loss of all B images.
    """

    weight: float

    def __init__(self, model: nn.Module, stage: Stage, processes: Processes) -> None:
        super().__init__()
        self.model, self.loss = model, stage.loss
        share = processes.share(stage.batch_size)
        self.weight = processes.size * (share.stop - share.start) / stage.batch_size

    def forward(self, images_bCHW: Tensor, labels_bC: Tensor) -> Tensor:
        loss, _ = self.loss(self.model, images_bCHW, labels_bC)
        return loss * self.weight


def build_stage_loss(
    model: nn.Module, stage: Stage, processes: Processes, *, compiled: bool = False
) -> nn.Module:
    """The stage's loss as a module, compiled if asked for, and distributed over the processes.

    Raises InputError where there are more processes than images in a batch.
    """
    if stage.batch_size < processes.size:
        raise InputError(
            f"{processes.size} processes cannot share a batch of {stage.batch_size} images:"
            " start fewer processes (--nproc-per-node) or raise batch_size"
        )
    loss: Any = StageLoss(model, stage, processes)
    if compiled:
        # After eight graphs of one function torch silently stops compiling it; a reset starts the count anew.
        torch.compiler.reset()
        loss = torch.compile(loss)
    if processes.exchange:
        loss = DistributedDataParallel(loss, broadcast_buffers=False, gradient_as_bucket_view=True)
    return cast("nn.Module", loss)


def synchronise_statistics(model: nn.Module, target: torch.device, processes: Processes) -> None:
    """Replace the batch norm layers by torch's SyncBatchNorm, whose statistics are those of the global batch.

    Does nothing for a single process. Raises InputError on the CPU, for which torch has no SyncBatchNorm.
    """
    if processes.size > 1:
        if target.type != "cuda":
            raise InputError("batch_norm=sync on several processes needs GPUs; set it to local or frozen")
        if not any(isinstance(module, nn.SyncBatchNorm) for module in model.modules()):
            convert_sync_batchnorm(model)  # a second conversion would drop the activation of timm's norms


def is_distributed() -> bool:
    """Whether torchrun started this process."""
    return dist.is_torchelastic_launched()


@contextmanager
def process_group(name: str, *, threads: int = 1) -> Iterator[tuple[Processes, torch.device]]:
    """Join the processes that torchrun started, or be the only one; gives (processes, this one's device).

    threads: of each process, on the CPU.

    Raises InputError where a machine has fewer GPUs than processes, and where they do not meet in a minute.
    """
    if not is_distributed():
        only = device.choose(name)
        if only.type == "cpu":
            device.set_threads(threads)
        yield SINGLE_PROCESS, only
        return
    target = _own_device(device.choose(name))
    if target.type == "cpu":
        device.set_threads(threads)
    # Values on the CPU are exchanged by gloo, so that processes can agree on them without making GPUs wait.
    backend = "cpu:gloo,cuda:nccl" if target.type == "cuda" else "gloo"
    store, rank, size = _meet()
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size()), target
    finally:
        dist.destroy_process_group()


def _meet() -> tuple[Any, int, int]:
    """(the store by which the processes find each other, this one's rank, their number).

    InputError where they do not meet within a minute; once they have, waiting may take as long as a stage.
    """
    address = f"{os.environ.get('MASTER_ADDR')}, port {os.environ.get('MASTER_PORT')}"
    remedy = "start torchrun with --standalone, or with the --master-addr and --master-port of a free port"
    if os.environ.get("MASTER_PORT") == "0":
        raise InputError(f"the processes cannot meet at {address}; {remedy}")
    try:
        store, rank, size = next(rendezvous("env://", timeout=TIME_TO_MEET))
    except (dist.DistError, ValueError, OSError) as error:
        seconds = round(TIME_TO_MEET.total_seconds())
        raise InputError(f"the processes did not meet at {address} in {seconds} seconds; {remedy}") from error
    store.set_timeout(TIMEOUT)
    return store, rank, size


def _own_device(target: torch.device) -> torch.device:
    """The GPU with this process's number on this machine; the CPU is returned as it is."""
    local_rank = int(os.environ["LOCAL_RANK"])
    if target.type == "cuda":
        if local_rank >= (gpus := torch.cuda.device_count()):
            raise InputError(
                f"torchrun started more processes than this machine has GPUs: use --nproc-per-node={gpus}"
            )
        target = torch.device("cuda", local_rank)
        torch.cuda.set_device(target)
    return target
