"""The device there is, its precision, and what makes it fast."""

import ctypes
import platform
import resource
from contextlib import suppress
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.base.errors import InputError

Sent = tuple[list[Tensor], torch.cuda.Event | None]


def choose(name: str = "auto") -> torch.device:
    """`auto`: the GPU where there is one, else the CPU."""
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as fault:
        raise InputError(f"device {name!r} cannot be used: {str(fault).splitlines()[0]}") from fault
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    else:
        keep_memory()
    return device


def precision(device: torch.device) -> torch.dtype:
    """The type of matrix products: bfloat16 on a GPU, float32 on the CPU."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def autocast(device: torch.device) -> torch.autocast:
    """The one context for every forward pass; on the CPU it does nothing."""
    reduced = precision(device) is not torch.float32
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=reduced)


def at_once(device: torch.device, side: int) -> int:
    """How many images of that side are predicted at a time: on a GPU more, as it would wait for Python.

    >>> [at_once(torch.device("cuda"), side) for side in (224, 448)]
    [256, 64]
    """
    return 96 if device.type == "cpu" else max(1, 256 * 224**2 // side**2)


def hardware(device: torch.device, processes: int = 1) -> str:
    """What a record says it was made on, as `4 x NVIDIA H200` where several processes shared the work."""
    one = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else platform.processor() or platform.machine()
    )
    return one if processes == 1 else f"{processes} x {one}"


def peak_memory(device: torch.device) -> int:
    """The most bytes that were in use so far: a GPU's tensors, or this process's memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class DeviceCopier:
    """Brings data to the device beside its work: `send` in a thread of its own, `receive` where it is used.

    To a GPU they go from pinned memory on a stream of their own, and nobody waits; on the CPU they stay.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def send(self, *arrays: NDArray[Any]) -> Sent:
        """Begin the copies; returns what `receive` needs."""
        tensors = [torch.from_numpy(array) for array in arrays]
        if self.stream is None:
            return tensors, None
        with torch.cuda.stream(self.stream):
            moved = [tensor.pin_memory().to(self.device, non_blocking=True) for tensor in tensors]
            return moved, self.stream.record_event()

    def receive(self, sent: Sent) -> list[Tensor]:
        """The tensors, for work that is given to the device from now on."""
        tensors, copied = sent
        if copied is not None:
            work = torch.cuda.current_stream(self.device)
            work.wait_event(copied)
            for tensor in tensors:
                tensor.record_stream(work)  # its memory is not given away before the work is done
        return tensors


def keep_memory() -> None:
    """Have glibc keep freed buffers instead of giving them back at every step: fewer page faults, faster
    steps.
    """
    m_trim_threshold, m_mmap_threshold = -1, -3
    with suppress(OSError, AttributeError):  # another C library: slower, and as correct
        libc = ctypes.CDLL(None)
        libc.mallopt(m_mmap_threshold, 32 << 20)  # the most that glibc takes
        libc.mallopt(m_trim_threshold, 1 << 30)
