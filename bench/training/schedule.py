"""The learning rate: it drops when the held-out loss stops falling, or after given epochs."""

from dataclasses import dataclass
from typing import Annotated

from bench.base.schema import Range


@dataclass(frozen=True)
class Schedule:
    """How the learning rate of a stage falls: at every drop it is multiplied by `factor`.

    A drop comes after `patience` epochs in a row whose held-out loss is not below the best one by the share
    `threshold` (None: the loss plays no part), and at the latest after the epochs `milestones`. The drop that
    would go below `lr_min` ends the stage.
    """

    lr: Annotated[float, Range(above=0)]
    lr_min: Annotated[float, Range(0)]
    factor: float = 0.1
    patience: int | None = 2
    threshold: float = 1e-3
    milestones: tuple[int, ...] = ()


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
