"""Finds losses and gradients that are not finite, and under float16 scales the loss, all on the device.

Nothing here reads a value, which would make the GPU wait: the optimizer is given tensors by which it skips an
update and undoes the scaling.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

FIRST_SCALE = 2.0**16
LEAST_SCALE = 1.0  # below, gradients overflow float16 even without scaling
GROWTH_STEPS = 2000  # steps without an overflow after which the scale doubles; at an overflow it halves


@dataclass(frozen=True)
class ScalingState:
    """What a checkpoint keeps; skipped: the epoch's updates that were left out, as gradients overflowed."""

    scale: float = FIRST_SCALE
    good_steps: int = 0
    skipped: int = 0


class LossScaling:
    """The sum of an epoch's losses, whether they and their gradients were finite, and the loss's scale.

    In float32 and bfloat16 the loss is not scaled, and from the first loss or gradient that is not finite on
    no update is made. float16 has a range of only 6e-8 to 65504: the loss is scaled so that small gradients
    do not vanish. Where gradients overflow, that update alone is skipped and the scale halves; a loss that is
    not finite, or a scale below `LEAST_SCALE`, ends all updates.
    """

    def __init__(self, precision: torch.dtype, device: torch.device, state: ScalingState) -> None:
        self.is_dynamic = precision is torch.float16
        self.total = torch.zeros((), device=device, dtype=torch.float64)
        self.all_finite = torch.ones((), device=device, dtype=torch.bool)
        self.finite_steps = torch.zeros((), device=device, dtype=torch.int64)
        self.skipped = torch.zeros((), device=device, dtype=torch.int64)
        self.scale = torch.full((), state.scale, device=device)
        self.good_steps = torch.full((), state.good_steps, device=device, dtype=torch.int32)
        self.overflowed = torch.zeros((), device=device)
        self.norm = torch.zeros((), device=device)

    @property
    def grad_scale(self) -> Tensor | None:
        """What the optimizer divides gradients by; None: nothing."""
        return self.scale if self.is_dynamic else None

    def begin(self, total: float, skipped: int) -> None:
        """Begin an epoch, or the rest of one: the sum of its losses so far, and its skipped updates."""
        self.total.fill_(total)
        self.skipped.fill_(skipped)
        self.finite_steps.zero_()

    def scaled(self, loss: Tensor) -> Tensor:
        """The loss whose gradients are computed."""
        return loss * self.scale if self.is_dynamic else loss

    def add(self, loss: Tensor, gradients: list[Tensor]) -> Tensor:
        """Add a step; returns 1.0 where the optimizer has to skip its update, else 0.0.

        Then `norm` is that of all gradients together, without the scale.
        """
        norm = torch.nn.utils.get_total_norm(gradients)
        self.norm = norm / self.scale if self.is_dynamic else norm
        if self.is_dynamic:
            self.overflowed.copy_(~norm.isfinite())
            self.all_finite &= loss.isfinite() & (self.scale >= LEAST_SCALE)
        else:
            self.all_finite &= (loss + norm).isfinite()
        self.total += loss
        self.finite_steps += self.all_finite
        return torch.maximum((~self.all_finite).float(), self.overflowed)

    def adjust(self) -> None:
        """After the update: halve the scale if gradients overflowed, double it if none did for long."""
        if self.is_dynamic:
            self.skipped += self.overflowed.long()
            factors = (2.0, 0.5, GROWTH_STEPS)
            torch._amp_update_scale_(self.scale, self.good_steps, self.overflowed, *factors)

    def state(self) -> ScalingState:
        """For a checkpoint and the log; reading it makes the GPU wait."""
        return ScalingState(float(self.scale), int(self.good_steps), int(self.skipped))

    def facts(self, state: ScalingState) -> dict[str, float]:
        """The facts of an epoch for the log; none where the loss is not scaled."""
        return {"loss_scale": state.scale, "skipped_steps": state.skipped} if self.is_dynamic else {}

    @property
    def remedy(self) -> str:
        """What to change where training does not stay finite."""
        lower = "lower the learning rate (--set lr=...)"
        return f"{lower}, or use --precision bf16 or fp32" if self.is_dynamic else lower

    def fault(self, where: str) -> str:
        """What went wrong there, and what to change."""
        if self.is_dynamic and float(self.scale) < LEAST_SCALE:
            return f"gradients overflow float16 at {where}, even if the loss is not scaled: {self.remedy}"
        what = "loss" if self.is_dynamic else "loss or gradient"
        return f"{what} is not finite at {where}: {self.remedy}"
