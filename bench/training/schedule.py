"""The learning rate of every step: by plateaus of the held-out loss, in steps, one-cycle or cosine."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from bench.base.schema import Range


@dataclass(frozen=True)
class Schedule:
    """How the learning rate of a stage changes.

    sched: "plateau": at every drop the rate is multiplied by `factor`. A drop comes after `patience` epochs
    in a row whose held-out loss is not below the best one by the share `threshold` (None: the loss plays no
    part), and at the latest after the epochs `milestones`. The drop that would go below `lr_min` ends
    the stage. "step": a drop after every `decay_epochs`. "onecycle", as torch's OneCycleLR: up from lr / 25
    in the share `rise` of `sched_epochs`, then down to a 10,000th of that, both along a cosine. "cosine":
    from lr down to lr_min after `sched_epochs`, as torch's CosineAnnealingLR.
    sched_by: onecycle, cosine and warm-up change the rate at every step, or every epoch.
    warmup_epochs: in these the rate also grows, linearly from 0.
    cycle_momentum: under onecycle the momentum, of Adam the first beta, goes from 0.95 to 0.85 and back.
    """

    lr: Annotated[float, Range(above=0)]
    lr_min: Annotated[float, Range(0)]
    factor: float = 0.1
    patience: int | None = 2
    threshold: float = 1e-3
    milestones: tuple[int, ...] = ()
    sched: Literal["plateau", "step", "onecycle", "cosine"] = "plateau"
    sched_by: Literal["step", "epoch"] = "step"
    decay_epochs: int = 30
    sched_epochs: float = 1.0
    rise: float = 0.3
    cycle_momentum: bool = False
    warmup_epochs: int = 0

    def rate(self, plateau_lr: float, *, epoch: int, step: int, steps: int) -> float:
        """The rate of a step: `step` of an epoch's `steps` are done; epochs count from 1.

        plateau_lr: the rate after the drops so far; only "plateau" uses it.
        """
        done, unit = self._done(epoch, step, steps)
        warm = min(1.0, (done + 1) / (self.warmup_epochs * unit)) if self.warmup_epochs else 1.0
        if self.sched == "plateau":
            return plateau_lr * warm
        if self.sched == "step":
            return self.lr * self.factor ** ((epoch - 1) // self.decay_epochs) * warm
        if self.sched == "onecycle":
            return self._cycled(self.lr / 25, self.lr, self.lr / 25e4, done=done, unit=unit)
        return _along_cosine(self.lr, self.lr_min, done / (self.sched_epochs * unit)) * warm

    def cycled_momentum(self, *, epoch: int, step: int, steps: int) -> float:
        """The momentum of a step under `cycle_momentum`."""
        done, unit = self._done(epoch, step, steps)
        return self._cycled(0.95, 0.85, 0.95, done=done, unit=unit)

    def _done(self, epoch: int, step: int, steps: int) -> tuple[int, int]:
        """(how many changes of the rate came before this step, changes in an epoch)."""
        return ((epoch - 1) * steps + step, steps) if self.sched_by == "step" else (epoch - 1, 1)

    def _cycled(self, first: float, top: float, last: float, *, done: int, unit: int) -> float:
        """One cycle from first to top to last."""
        end = self.sched_epochs * unit - 1
        peak = self.rise * self.sched_epochs * unit - 1
        if done <= peak:
            return _along_cosine(first, top, done / peak if peak else 1.0)
        return _along_cosine(top, last, (done - peak) / (end - peak))


def _along_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * min(share, 1.0)))


@dataclass
class Plateau:
    """The state of a schedule; a checkpoint saves exactly these fields.

    best: the lowest held-out loss; waited: epochs without a lower one; dropped: the number of drops.
    """

    lr: float
    best: float = float("inf")
    waited: int = 0
    dropped: int = 0

    def step(self, schedule: Schedule, *, epoch: int, loss: float | None) -> bool:
        """Update the state with an epoch's held-out loss, if there is one; returns whether the stage goes on.

        >>> state, schedule = Plateau(lr=1e-3), Schedule(lr=1e-3, lr_min=1e-4, patience=1)
        >>> [state.step(schedule, epoch=i, loss=loss) for i, loss in enumerate((2.0, 2.0, 1.0, 1.0), start=1)]
        [True, True, True, False]
        """
        if schedule.sched != "plateau":
            return True
        if loss is not None and loss < self.best * (1 - schedule.threshold):
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        saturated = schedule.patience is not None and self.waited >= schedule.patience
        # A drop by saturation uses up a milestone too.
        if not saturated and epoch not in schedule.milestones[self.dropped :]:
            return True
        self.waited, self.dropped = 0, self.dropped + 1
        self.lr *= schedule.factor
        return self.lr > schedule.lr_min * 0.999  # 1e-3 x 0.1 x 0.1 is not quite 1e-5
