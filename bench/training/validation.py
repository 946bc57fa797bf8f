"""Validation of a stage: the loss and the mAP on the held-out training images.

Legend: N held-out images, B of a batch, C labels.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.data.store import View
from bench.scoring import metrics
from bench.training import batches, captured_step, stages
from bench.training.captured_step import Captured

if TYPE_CHECKING:
    from bench.training.loop import StageRun


def evaluation_step(model: nn.Module, stage_run: "StageRun") -> Captured:
    """(images_BCHW, labels_BC) -> (loss, logits_BC) of the stage, in float32."""

    def evaluate(images_BCHW: Tensor, labels_BC: Tensor) -> tuple[Tensor, Tensor]:
        with stage_run.autocast():
            loss, logits_BC = stage_run.stage.loss(model, images_BCHW, labels_BC)
        return loss, logits_BC.float()

    recorder = captured_step.recorder(stage_run.pixels.device, wanted=stage_run.captured)
    return Captured(evaluate, recorder, name=f"{stage_run.title}, evaluation")


@torch.no_grad()
def validate(
    model: nn.Module, stage_run: "StageRun", evaluate: Captured | None = None
) -> tuple[float | None, float | None]:
    """(loss, mAP in percent) on the held-out training images; mAP is None where no label has a positive.

    The loss is NaN where a logit is not finite. Both are None if training uses all images.

    The result does not depend on the number of processes: each evaluates whole batches, and their results are
    put back in order.
    """
    stage, view, processes = stage_run.stage, stage_run.store.held_out, stage_run.processes
    processes.broadcast_buffers(model)
    if not len(view):
        return None, None
    model.eval()
    evaluate = evaluate or evaluation_step(model, stage_run)
    own_batches = batches.evaluation(
        view, batch_size=stage.batch_size, pixels=stage_run.pixels, processes=processes
    )
    own_results = [evaluate(batch.images_BCHW, batch.labels_BC) for batch in own_batches]
    stages.prepare(model, stage)
    # The values are read only here, after all batches: to read one makes the GPU wait.
    results = processes.gather([(float(loss) * len(logits), logits.cpu()) for loss, logits in own_results])
    logits_NC = torch.cat([logits for _, logits in results])
    total = sum(loss for loss, _ in results)
    if not logits_NC.isfinite().all():
        return math.nan, None
    mean_ap = held_out_map(logits_NC.numpy(), view)
    return total / len(view), mean_ap if math.isfinite(mean_ap) else None


def held_out_map(logits_NC: NDArray[np.float32], view: View) -> float:
    """mAP in percent, NaN where no label has a positive; labels that training ignores are left out."""
    unspecified: Any = "excluded" if view.ignores_unknown else None
    return float(metrics.evaluate(logits_NC, view.labels_NC, unspecified=unspecified)["mAP"])
