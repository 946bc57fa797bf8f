"""Predicts the logits of every image of a view; `bench/scoring/predictions.py` writes them to a file.

Legend: N images, C labels.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench.data.store import View
from bench.training import batches, device
from bench.training.batches import InputTransform
from bench.training.distributed import SINGLE_PROCESS, Processes


@torch.no_grad()
def predict(
    model: nn.Module,
    view: View,
    pixels: InputTransform,
    *,
    batch_size: int | None = None,
    processes: Processes = SINGLE_PROCESS,
) -> NDArray[np.float32]:
    """The final logits (N, C) of every image of a view, in its order."""
    processes.broadcast_buffers(model)
    model.eval()
    batch_size = batch_size or device.evaluation_batch_size(
        pixels.device, side=view.images(np.arange(1)).shape[1]
    )
    own_batches = []
    for batch in batches.evaluation(view, batch_size=batch_size, pixels=pixels, processes=processes):
        with device.autocast(pixels.device):
            own_batches.append(model.logits(batch.images_BCHW).float())  # type: ignore[operator]
    logits_NC: NDArray[np.float32] = torch.cat(
        processes.gather([logits_BC.cpu() for logits_BC in own_batches])
    ).numpy()
    return logits_NC
