"""Chooses the device, its precision and batch size, and copies data to it while it works."""

import ctypes
import importlib.util
import platform
from contextlib import suppress
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.base import processes
from bench.base.errors import InputError

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
GPU_PRECISION, FUSED_NORMS = "bf16", True  # the defaults on a GPU, as measured: docs/gpu.md
FEW_DEPTHWISE = 4  # convolutions; SRN has one
Sent = tuple[list[Tensor], torch.cuda.Event | None]


def choose(name: str = "auto") -> torch.device:
    """The device of that name; `auto`: the GPU where there is one, else the CPU.

    Raises InputError for a device that torch does not know or that is not there.
    """
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        if device.type not in ("cpu", "cuda"):
            raise RuntimeError(f"models are not trained on {device.type}")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {name!r} cannot be used: {reason}; choose auto, cpu or cuda") from error
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    else:
        _keep_freed_memory()
    return device


def search_kernels(model: nn.Module, device: torch.device) -> None:
    """Let cuDNN try all its kernels for each convolution and take the fastest, unless many are depthwise.

    To try those takes a minute and more (EfficientNet-lite0 on an H200), and they are fast as they are.
    """
    if device.type == "cuda":
        convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
        depthwise = [module for module in convolutions if module.groups == module.in_channels > 1]
        torch.backends.cudnn.benchmark = len(depthwise) <= FEW_DEPTHWISE


def set_threads(threads: int) -> None:
    """The number of threads that torch calculates with on the CPU: a result's last bits depend on it."""
    torch.set_num_threads(threads)


def execution(
    device: torch.device, dtype: torch.dtype | None = None, *, fused_norms: bool = False
) -> dict[str, Any]:
    """What a result's last bits depend on, for keys and records: device, precision, norms, CPU threads."""
    facts = {"device": device.type, "precision": str(dtype or precision(device)).removeprefix("torch.")}
    facts |= {"norms": "fused"} if fused_norms else {}
    return facts | ({"threads": torch.get_num_threads()} if device.type == "cpu" else {})


def chosen_precision(name: str) -> torch.dtype | None:
    """The type of a `--precision`; None for `auto`, which is the device's usual."""
    return PRECISIONS.get(name)


def precision(device: torch.device) -> torch.dtype:
    """The type in which matrices are usually multiplied: `GPU_PRECISION` on a GPU, float32 on the CPU."""
    return PRECISIONS[GPU_PRECISION] if device.type == "cuda" else torch.float32


def autocast(device: torch.device, dtype: torch.dtype | None = None) -> torch.autocast:
    """The context of every forward pass: it sets the precision (None: the usual); float32 is left alone."""
    dtype = dtype or precision(device)
    is_reduced = dtype is not torch.float32
    return torch.autocast(device.type, dtype=dtype if is_reduced else torch.bfloat16, enabled=is_reduced)


def fused_norms(device: torch.device, wanted: bool | None, *, usual: bool = FUSED_NORMS) -> bool:
    """Whether norms are fused; wanted: None for the usual, where it is possible: on a GPU, with Triton.

    Raises InputError where they are wanted but impossible.
    """
    obstacles = {"a GPU: leave it out": device.type != "cuda"}
    obstacles["a package that is not installed: pip install triton"] = not _has_triton()
    needed = [obstacle for obstacle, is_there in obstacles.items() if is_there]
    if wanted and needed:
        raise InputError(f"--fused-norms needs {needed[0]}")
    return (usual and not needed) if wanted is None else wanted


def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def evaluation_batch_size(device: torch.device, side: int) -> int:
    """The batch size for prediction on images of that side: larger on a GPU, which small batches leave idle.

    >>> [evaluation_batch_size(torch.device("cuda"), side) for side in (224, 448)]
    [256, 64]
    """
    return 96 if device.type == "cpu" else max(1, 256 * 224**2 // side**2)


def hardware(device: torch.device, processes: int = 1) -> str:
    """The hardware's name for a record, such as `4 x NVIDIA H200` for four processes that shared the work."""
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else platform.processor() or platform.machine()
    )
    return name if processes == 1 else f"{processes} x {name}"


def peak_memory(device: torch.device) -> int:
    """The highest memory use so far, in bytes: of tensors on a GPU, or of the whole process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return processes.peak_memory()


def remedy(error: RuntimeError, *, stage: str, batch_size: int) -> str:
    """What the user can do about an error that torch raised; empty where the user can do nothing."""
    if isinstance(error, torch.OutOfMemoryError):
        return (
            f"stage {stage}: batches of {batch_size} do not fit into the GPU's memory;"
            f" use --set batch_size={max(1, batch_size // 2)}, or torchrun with more GPUs"
        )
    if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        reason = " ".join(str(error).split())[:300]
        return f"--compile does not work on this machine; leave it out, or remove the cause: {reason}"
    return ""


class DeviceCopier:
    """Copies arrays to the device while it works: call `send` in a thread, `receive` where they are used.

    Copies to a GPU go from pinned memory on a stream of their own, so that neither side waits. On the CPU
    nothing is copied.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def send(self, *arrays: NDArray[Any]) -> Sent:
        """Start the copies; returns what `receive` needs."""
        tensors = [torch.from_numpy(array) for array in arrays]
        if self.stream is None:
            return tensors, None
        with torch.cuda.stream(self.stream):
            copies = [tensor.pin_memory().to(self.device, non_blocking=True) for tensor in tensors]
            return copies, self.stream.record_event()

    def receive(self, sent: Sent) -> list[Tensor]:
        """The tensors on the device; work that is queued on it from now on waits for the copies."""
        tensors, copied = sent
        if copied is not None:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(copied)
            for tensor in tensors:
                tensor.record_stream(stream)  # keeps its memory from being reused before the work is done
        return tensors


def _keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next step instead of returning it: fewer page faults, faster steps.

    The numbers are glibc's names for these settings in `malloc.h`.
    """
    m_trim_threshold, m_mmap_threshold = -1, -3
    with suppress(OSError, AttributeError):  # another C library: steps are slower, results the same
        libc = ctypes.CDLL(None)
        libc.mallopt(m_mmap_threshold, 32 << 20)  # the highest value that glibc accepts
        libc.mallopt(m_trim_threshold, 1 << 30)
