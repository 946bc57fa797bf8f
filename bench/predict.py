"""Weights + view -> the logits of every image; `bench/predictions.py` is the file they are kept in.

Legend: N images, C labels.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench import batches, device
from bench.batches import Pixels
from bench.store import View


@torch.no_grad()
def predict(model: nn.Module, view: View, pixels: Pixels, *, batch_size: int = 96) -> NDArray[np.float32]:
    """The final logits (N, C) of every image of a view, in its order."""
    model.eval()
    logits = []
    for batch in batches.evaluation(view, batch_size=batch_size, pixels=pixels):
        with device.autocast(pixels.device):
            logits.append(model.logits(batch.images_BCHW).float().cpu())  # type: ignore[operator]
    logits_NC: NDArray[np.float32] = torch.cat(logits).numpy()
    return logits_NC
