"""The learning rate: divided when the held-out loss saturates, at the latest after given epochs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """How a stage's rate falls: times `factor` at every drop; the drop that would pass `lr_min` ends the
    stage.

    A drop comes after `patience` epochs without a held-out loss below the best by the share `threshold`
    (None: the loss is not asked), and at the latest after the epochs `milestones`.
    """

    lr: float
    lr_min: float
    factor: float = 0.1
    patience: int | None = 2
    threshold: float = 1e-3
    milestones: tuple[int, ...] = ()


@dataclass
class Plateau:
    """Where a schedule stands; the fields are all there is to save."""

    lr: float
    best: float = float("inf")
    waited: int = 0
    dropped: int = 0

    def step(self, schedule: Schedule, *, epoch: int, loss: float) -> bool:
        """Take in an epoch's held-out loss; returns whether the stage goes on.

        >>> state, schedule = Plateau(lr=1e-3), Schedule(lr=1e-3, lr_min=1e-4, patience=1)
        >>> [state.step(schedule, epoch=i, loss=loss) for i, loss in enumerate((2.0, 2.0, 1.0, 1.0), start=1)]
        [True, True, True, False]
        """
        if loss < self.best * (1 - schedule.threshold):
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        saturated = schedule.patience is not None and self.waited >= schedule.patience
        if not saturated and epoch not in schedule.milestones[self.dropped :]:
            return True
        self.waited, self.dropped = 0, self.dropped + 1
        self.lr *= schedule.factor
        return self.lr > schedule.lr_min * 0.999  # 1e-3 x 0.1 x 0.1 is not quite 1e-5
