"""Predicts the logits of every image of a view; `bench/scoring/predictions.py` writes them to a file.

Legend: N images, C labels.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.base.errors import InputError
from bench.data.store import View
from bench.training import batches, captured_step, device
from bench.training.batches import InputTransform
from bench.training.captured_step import Captured
from bench.training.distributed import SINGLE_PROCESS, Processes

CAPTURED_BATCHES = 16  # fewer are predicted before a CUDA graph would pay


@torch.no_grad()
def predict(
    model: nn.Module,
    view: View,
    pixels: InputTransform,
    *,
    batch_size: int | None = None,
    processes: Processes = SINGLE_PROCESS,
    captured: bool = True,
) -> NDArray[np.float32]:
    """The final logits (N, C) of every image of a view, in its order; InputError if one is not finite.

    captured: on a GPU, whole batches are replayed from a CUDA graph, if there are enough of them.
    """
    processes.broadcast_buffers(model)
    model.eval()
    batch_size = batch_size or device.evaluation_batch_size(
        pixels.device, side=view.images(np.arange(1)).shape[1]
    )

    def evaluate(images_BCHW: Tensor) -> tuple[Tensor]:
        with device.autocast(pixels.device, pixels.precision):
            return (model.logits(images_BCHW).float(),)  # type: ignore[operator]

    wanted = captured and len(view) >= CAPTURED_BATCHES * batch_size
    predict_batch = Captured(
        evaluate, captured_step.recorder(pixels.device, wanted=wanted), name="prediction"
    )
    own_batches: list[Tensor] = []
    for batch in batches.evaluation(view, batch_size=batch_size, pixels=pixels, processes=processes):
        own_batches += predict_batch(batch.images_BCHW)
    logits_NC: NDArray[np.float32] = torch.cat(
        processes.gather([logits_BC.cpu() for logits_BC in own_batches])
    ).numpy()
    if not np.isfinite(logits_NC).all():
        number = int(np.flatnonzero(~np.isfinite(logits_NC).all(axis=1))[0]) + 1
        raise InputError(
            f"the trained model's logits are not finite, first for image {number} of {len(logits_NC)}:"
            " lower the learning rate (--set lr=...) and train again"
        )
    return logits_NC
