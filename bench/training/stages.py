"""A stage: what trains, on which loss, for how long. Everything it does not name is frozen to the last bit.

A stage of the other kind learns without gradients: it collects something of every image.

Legend: B images of a batch, N of the data set, C labels, D numbers that are kept of an image.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from bench.base.errors import InputError
from bench.training.schedule import Schedule

Loss = Callable[[Any, Tensor, Tensor], tuple[Tensor, Tensor]]
BatchNorm = Literal["local", "sync", "frozen"]
Select = Literal["last", "best"]


@dataclass(frozen=True)
class Augmentation:
    """What training images go through; lengths in 1/256 of the stored image's side (256 pixels in the paper).

    crops: widths and heights, each drawn independently, at a corner or the centre; empty: the whole image.
    max_distort: only pairs whose places in `crops` differ by at most this much; None: all pairs.
    mirror: left and right change places with probability 1/2.
    jitter: brightness, contrast and saturation change, each by a factor from 1 - jitter to 1 + jitter.
    """

    crops: tuple[int, ...] = (256, 224, 192, 168, 128)
    max_distort: int | None = None
    mirror: bool = True
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.jitter <= 1:
            raise InputError(f"jitter={self.jitter}: give a share from 0 to 1")

    @property
    def keeps_places(self) -> bool:
        """Whether every pixel stays where it is."""
        return not self.crops and not self.mirror


@dataclass(frozen=True)
class Stage:
    """One step of a method's training.

    owner: the module whose code, with what it imports of `methods`, the stage's result depends on.
    trains: module prefix -> factor on the learning rate ("" stands for the whole model).
    loss: (model, images_BCHW, labels_BC) -> (scalar, the logits_BC that this stage is about); it sums over
    labels and divides by the batch. Both are validated after every epoch.
    epochs: the most there are; the schedule may end the stage earlier.
    batch_norm: a trained part's statistics are those of each process's share of the batch ("local"), of the
    whole batch ("sync", the same on one process), or stay what they were ("frozen").
    select: the epoch whose weights are the result: the last, or the best on the held-out images.
    settings: what of the method's configuration this stage's result depends on beside what stands here.
    """

    name: str
    owner: str
    trains: Mapping[str, float]
    loss: Loss
    epochs: int
    schedule: Schedule
    batch_size: int
    input_size: int
    augmentation: Augmentation
    momentum: float
    weight_decay: float
    batch_norm: BatchNorm = "local"
    select: Select = "last"
    settings: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """InputError names what cannot be trained with."""
        for name, value, is_right, wanted in (
            ("epochs", self.epochs, self.epochs >= 1, "1 or more"),
            ("batch_size", self.batch_size, self.batch_size >= 1, "1 or more"),
            ("lr", self.schedule.lr, 0 < self.schedule.lr < math.inf, "a number above 0"),
            ("momentum", self.momentum, 0 <= self.momentum < 1, "a number from 0, below 1"),
            ("weight_decay", self.weight_decay, 0 <= self.weight_decay < math.inf, "0 or more"),
        ):
            if not is_right:
                raise InputError(f"stage {self.name}: {name}={value}: give {wanted}")


@dataclass(frozen=True)
class Collection:
    """A stage without gradients: one pass over the images that are learned from, whole and unmirrored.

    The model is in evaluation mode and does not change. owner, batch_size, input_size, settings: as a
    Stage's.
    row: (model, images_BCHW) -> rows_BD, what is kept of each image.
    keep: (model, rows_ND, labels_NC) gives them to the model, in float32 and on its device; N in the store's
    order. What `keep` makes of them is no part of the model's `state_dict`.
    """

    name: str
    owner: str
    row: Callable[[Any, Tensor], Tensor]
    keep: Callable[[Any, Tensor, Tensor], None]
    batch_size: int
    input_size: int
    settings: Mapping[str, object] = field(default_factory=dict)
    # What every collection has in common with a Stage.
    augmentation: ClassVar[Augmentation] = Augmentation(crops=(), mirror=False)
    batch_norm: ClassVar[BatchNorm] = "frozen"
    epochs: ClassVar[int] = 1

    @property
    def rows(self) -> str:
        """What the rows are called in the stage's result."""
        return f"{self.name}.rows"

    @property
    def labels(self) -> str:
        """What the labels, 1 where positive, are called in the stage's result."""
        return f"{self.name}.labels"


def trained(name: str, stage: Stage) -> str | None:
    """The longest prefix of `stage.trains` that a parameter, buffer or module belongs to; None: it is
    frozen.
    """
    found = [prefix for prefix in stage.trains if prefix == "" or f"{name}.".startswith(f"{prefix}.")]
    return max(found, key=len, default=None)


def check(model: nn.Module, stage: Stage | Collection) -> None:
    """InputError where a stage trains what the model has not."""
    names = {name for name, _ in model.named_modules()} | {name for name, _ in model.named_parameters()}
    for prefix in stage.trains if isinstance(stage, Stage) else ():
        if prefix not in names:
            raise InputError(f"stage {stage.name} trains {prefix!r}, which the model has not")


def prepare(model: nn.Module, stage: Stage) -> None:
    """Freeze all but what the stage trains: no gradients, and evaluation mode so that statistics stand
    still.
    """
    check(model, stage)
    model.eval()
    for name, module in model.named_modules():
        if trained(name, stage) is not None:
            module.training = not (stage.batch_norm == "frozen" and hasattr(module, "running_mean"))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trained(name, stage) is not None)


def parameter_groups(model: nn.Module, stage: Stage) -> list[dict[str, Any]]:
    """The optimizer's groups, one for each prefix, with their factor on the learning rate."""
    groups: dict[str, list[nn.Parameter]] = {prefix: [] for prefix in stage.trains}
    for name, parameter in model.named_parameters():
        if (prefix := trained(name, stage)) is not None:
            groups[prefix].append(parameter)
    return [{"params": groups[prefix], "factor": stage.trains[prefix]} for prefix in groups if groups[prefix]]


def learned(model: nn.Module, stage: Stage) -> Iterator[tuple[str, Tensor]]:
    """The tensors that the stage may change: its result."""
    for name, tensor in model.state_dict().items():
        if trained(name, stage) is not None:
            yield name, tensor
