"""Predicts the logits of every image of a view; `bench/scoring/predictions.py` writes them to a file.

Legend: N images, C labels.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.base.errors import InputError
from bench.data.store import View
from bench.training import batches, captured_step, device
from bench.training.batches import Batch, InputTransform
from bench.training.captured_step import Captured
from bench.training.distributed import SINGLE_PROCESS, Processes

# Fewer are not replayed from a CUDA graph: by estimate recording takes 0.1 seconds, and a replay saves 9 ms.
CAPTURED_BATCHES = 16


def predict(
    model: nn.Module,
    view: View,
    pixels: InputTransform,
    *,
    batch_size: int | None = None,
    processes: Processes = SINGLE_PROCESS,
    captured: bool = True,
    feed: Callable[..., Iterable[Batch]] = batches.evaluation,
) -> NDArray[np.float32]:
    """The final logits (N, C) of every image of a view, in its order; InputError if one is not finite.

    captured: on a GPU, batches are replayed from a CUDA graph, if there are enough of them.

    On a GPU a smaller last batch is filled up with zeros, whose logits are left out: cuDNN would search its
    kernels anew for another size, which takes longer than some thousand images.
    """
    logits_NC = all_logits(
        model, view, pixels, batch_size=batch_size, processes=processes, captured=captured, feed=feed
    )
    _require_finite(logits_NC)
    return logits_NC


@torch.no_grad()
def all_logits(
    model: nn.Module,
    view: View,
    pixels: InputTransform,
    *,
    batch_size: int | None = None,
    processes: Processes = SINGLE_PROCESS,
    captured: bool = True,
    feed: Callable[..., Iterable[Batch]] = batches.evaluation,
) -> NDArray[np.float32]:
    """As `predict`, whether the logits are finite or not."""
    processes.broadcast_buffers(model)
    model.eval()
    on = pixels.device
    batch_size = batch_size or device.evaluation_batch_size(on, side=view.images(np.arange(1)).shape[1])

    def evaluate(images_BCHW: Tensor) -> tuple[Tensor]:
        with device.autocast(on, pixels.precision):
            return (model.logits(images_BCHW).float(),)  # type: ignore[operator]

    wanted = captured and len(view) >= CAPTURED_BATCHES * batch_size
    predict_batch = Captured(evaluate, captured_step.recorder(on, wanted=wanted), name="prediction")
    filled = batch_size if _is_filled(on) and len(view) > batch_size else 0
    own_batches = []
    for batch in feed(view, batch_size=batch_size, pixels=pixels, processes=processes):
        (logits_BC,) = predict_batch(_filled(batch.images_BCHW, filled))
        own_batches.append(logits_BC[: len(batch.images_BCHW)])
    all_batches = processes.gather([logits_BC.cpu() for logits_BC in own_batches])
    logits_NC: NDArray[np.float32] = torch.cat(all_batches).numpy()
    return logits_NC


def _require_finite(logits_NC: NDArray[np.float32]) -> None:
    if not np.isfinite(logits_NC).all():
        number = int(np.flatnonzero(~np.isfinite(logits_NC).all(axis=1))[0]) + 1
        raise InputError(
            f"the trained model's logits are not finite, first for image {number} of {len(logits_NC)}:"
            " lower the learning rate (--set lr=...) and train again"
        )


def _is_filled(on: torch.device) -> bool:
    return on.type == "cuda"


def _filled(images_BCHW: Tensor, number: int) -> Tensor:
    """The images, and after them as many black ones as there are fewer than `number`."""
    if (missing := number - len(images_BCHW)) <= 0:
        return images_BCHW
    black_BCHW = images_BCHW.new_zeros((missing, *images_BCHW.shape[1:]))
    return torch.cat([images_BCHW, black_BCHW.to(memory_format=torch.channels_last)])
