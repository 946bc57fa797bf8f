"""Records a function of tensors as a CUDA graph and replays it: the GPU then never waits for Python.

A replay does again what the device did, at the same addresses. So a captured function may read and change
only tensors that stay where they are, and nothing that Python counts in it counts again.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor

from bench.base import progress

Outputs = tuple[Tensor, ...]
WARM_UP_CALLS = 3  # before the recording: libraries choose their kernels, and memory is there
# torch's DistributedDataParallel orders its buckets anew and times its first ten calls, which makes it wait.
DISTRIBUTED_WARM_UP_CALLS = 11


class Recorder(Protocol):
    """How calls are recorded; the only one outside tests is `CudaRecorder`."""

    def on_stream(self) -> AbstractContextManager[None]:
        """Where calls are recorded; what autograd keeps from call to call has to be made there too."""

    def warm_up(self, function: Callable[[], Outputs]) -> Outputs:
        """Call the function as it will be recorded; returns what it returns."""

    def record(self, function: Callable[[], Outputs]) -> Callable[[], Outputs]:
        """The function's replay; recording it computes nothing. Raises RuntimeError where that fails."""

    def release(self) -> None:
        """Free what was recorded; it cannot be replayed any more."""


class CudaRecorder:
    """Records on a stream apart, as CUDA wants it; other threads may use the GPU meanwhile.

    NCCL's watchdog is such a thread, and torch does not show it what is recorded.
    """

    def __init__(self, device: torch.device) -> None:
        self.stream = _stream(device)
        self.graphs: list[torch.cuda.CUDAGraph] = []

    @contextmanager
    def on_stream(self) -> Iterator[None]:
        current = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            yield
        current.wait_stream(self.stream)

    def warm_up(self, function: Callable[[], Outputs]) -> Outputs:
        with self.on_stream():
            outputs = function()
        for tensor in outputs:
            tensor.record_stream(torch.cuda.current_stream(self.stream.device))
        return outputs

    def release(self) -> None:
        while self.graphs:
            self.graphs.pop().reset()

    def record(self, function: Callable[[], Outputs]) -> Callable[[], Outputs]:
        graph = torch.cuda.CUDAGraph()
        self.graphs.append(graph)
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            outputs = function()

        def replay() -> Outputs:
            graph.replay()
            return outputs

        return replay


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """One for all recordings: autograd remembers the stream on which a parameter was first used."""
    return torch.cuda.Stream(device)


def on_stream(recorder: Recorder | None) -> AbstractContextManager[None]:
    """The recorder's stream; without one the current stream stays."""
    return nullcontext() if recorder is None else recorder.on_stream()


def recorder(device: torch.device, *, wanted: bool, obstacle: str = "", name: str = "") -> Recorder | None:
    """The device's recorder; None on the CPU, where it is not wanted, and where there is an obstacle.

    An obstacle is said, with the name of what is not captured.
    """
    if device.type != "cuda" or not wanted:
        return None
    if obstacle:
        progress.say(f"{name}: steps are not captured in a CUDA graph: {obstacle}")
        return None
    return CudaRecorder(device)


class Captured:
    """A function of tensors: the first calls are calls, then it is recorded once, further calls replay it.

    Every call computes the same as a plain call. Inputs of another shape than the first call's, such as a
    smaller last batch, are computed by a plain call. Where recording fails, all further calls are plain, and
    a line says why.

    warm_up_calls: before the recording. agreed: of several processes that exchange values in the function,
    whether all of them recorded it: either all replay it or none does.
    """

    def __init__(
        self,
        function: Callable[..., Outputs],
        recorder: Recorder | None,
        *,
        name: str,
        warm_up_calls: int = WARM_UP_CALLS,
        agreed: Callable[[bool], bool] = bool,
    ) -> None:
        self.function, self.recorder, self.name = function, recorder, name
        self.warm_up_calls, self.agreed = warm_up_calls, agreed
        self.shapes: list[torch.Size] = []
        self.calls = 0
        self.inputs: list[Tensor] = []
        self.replay: Callable[[], Outputs] | None = None

    def __call__(self, *inputs: Tensor) -> Outputs:
        shapes = [tensor.shape for tensor in inputs]
        self.shapes = self.shapes or shapes
        if self.recorder is None or shapes != self.shapes:
            return self.function(*inputs)
        if self.calls < self.warm_up_calls:
            self.calls += 1
            return self.recorder.warm_up(lambda: self.function(*inputs))
        if self.replay is None and not self._record(self.recorder, inputs):
            return self.function(*inputs)
        return self._replayed(inputs)

    def _record(self, recorder: Recorder, inputs: tuple[Tensor, ...]) -> bool:
        """Record the function with inputs that stay where they are; returns whether that went well."""
        self.inputs = [torch.empty_like(tensor) for tensor in inputs]
        reason = "another process could not record its own"
        try:
            self.replay = recorder.record(lambda: self.function(*self.inputs))
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
        if not self.agreed(self.replay is not None):
            self.release()
            progress.say(f"{self.name}: steps are not captured in a CUDA graph: {reason}")
        return self.replay is not None

    def release(self) -> None:
        """Free what was recorded, which NCCL wants before its processes part; all further calls are plain."""
        if self.recorder:
            self.recorder.release()
        self.recorder, self.replay, self.inputs = None, None, []

    def _replayed(self, inputs: tuple[Tensor, ...]) -> Outputs:
        for static, tensor in zip(self.inputs, inputs, strict=True):
            static.copy_(tensor)
        outputs: Any = self.replay() if self.replay else ()
        return tuple(tensor.clone() for tensor in outputs)  # the next replay overwrites them
