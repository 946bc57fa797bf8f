"""The two kinds of stages that a method's training consists of.

A `Stage` trains the parts of the model that it names, on one loss; all other parts do not change by a bit.
A `Collection` learns without gradients: it collects a row of numbers from every training image.

Legend: B images of a batch, N training images, C labels, D numbers that are kept of an image.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from torch import Tensor, nn

from bench.base.errors import InputError
from bench.base.schema import Range, check_ranges
from bench.training.schedule import Schedule

Loss = Callable[[Any, Tensor, Tensor], tuple[Tensor, Tensor]]
BatchNorm = Literal["local", "sync", "groups", "frozen"]
Select = Literal["last", "best"]
Opt = Literal["sgd", "adam", "adamw"]
Weights = Literal["raw", "averaged"]


@dataclass(frozen=True)
class Augmentation:
    """The augmentation of training images; lengths are in 1/256 of the stored side (256 pixels in the paper).

    crops: the widths and heights of crops, both drawn from these, at a corner or the centre; empty: no crop.
    max_distort: width and height are at most this many positions apart in `crops`; None: any pair is allowed.
    mirror: the image is mirrored, left to right, with probability 1/2.
    jitter: brightness, contrast and saturation change, each by a factor from 1 - jitter to 1 + jitter.
    more_places: crops also lie at the middles of the sides, and halfway between corners and centre.
    scale: instead of `crops`, torchvision's RandomResizedCrop: the box's share of the area is between these
    two numbers, its width / height between those of `ratio`; empty: `crops` count.
    cutout: the side of a square that is overwritten with one colour, as a share of the image's; 0: none.
    randaugment: how many operations of RandAugment each image gets, at `magnitude`; 0: none.
    """

    crops: Annotated[tuple[int, ...], Range(1, 256)] = (256, 224, 192, 168, 128)
    max_distort: Annotated[int | None, Range(0)] = None
    mirror: bool = True
    jitter: Annotated[float, Range(0, 1)] = 0.0
    more_places: bool = False
    scale: Annotated[tuple[float, ...], Range(above=0, most=1)] = ()
    ratio: Annotated[tuple[float, ...], Range(above=0)] = (3 / 4, 4 / 3)
    cutout: Annotated[float, Range(0, 1)] = 0.0
    randaugment: Annotated[int, Range(0, 14)] = 0
    magnitude: Annotated[int, Range(0, 30)] = 9

    def __post_init__(self) -> None:
        check_ranges(self)
        for name, pair in (("scale", self.scale), ("ratio", self.ratio)):
            if (len(pair) != 2 or pair[0] > pair[1]) and (pair or name == "ratio"):
                text = ",".join(map(str, pair))
                raise InputError(f"{name}={text}: give the lowest and the highest, as in {name}=0.7,1")

    @property
    def keeps_places(self) -> bool:
        """Whether every pixel keeps its position."""
        return not self.crops and not self.scale and not self.mirror


@dataclass(frozen=True)
class Stage:
    """A stage that trains parts of the model on one loss.

    owner: the module on whose code, imports included, the stage's result depends.
    trains: name of a module or parameter -> factor on its learning rate; "" stands for the whole model.
    loss: (model, images_BCHW, labels_BC) -> (scalar, the logits_BC that this stage trains). Both are computed
    on the held-out images after every epoch. Labels: 1.0 positive, 0.0 negative, -1.0 not known.
    epochs: the highest number; the schedule may end the stage earlier.
    batch_norm: trained parts use the statistics of each process's share of the batch ("local"), of the whole
    batch ("sync"; on a single process the same as "local"), of `norm_group` images at a time ("groups": as
    "local" on as many processes as there are groups), or keep their statistics unchanged ("frozen").
    decay_norms: the weight decay applies to the parameters with one axis too: those of norms, and biases.
    select: the result has the weights of the last epoch, or of the best one on the held-out images.
    opt: torch's SGD (with `momentum`), Adam or AdamW (with `betas`), where AdamW's decay is not part of the
    gradient. clip_norm: the norm of all gradients together is at most this; 0: any.
    ema: the decay of an exponential moving average of the weights, updated after every step; 0: none.
    weights: the result has the weights themselves, or that average; both are validated.
    settings: the fields of the recipe on which the result depends, besides those that are given here.
    """

    name: str
    owner: str
    trains: Mapping[str, float]
    loss: Loss
    epochs: Annotated[int, Range(1)]
    schedule: Schedule
    batch_size: Annotated[int, Range(1)]
    input_size: int
    augmentation: Augmentation
    momentum: Annotated[float, Range(0, below=1)]
    weight_decay: Annotated[float, Range(0)]
    batch_norm: BatchNorm = "local"
    norm_group: Annotated[int, Range(2)] = 24
    decay_norms: bool = True
    select: Select = "last"
    opt: Opt = "sgd"
    betas: tuple[float, ...] = (0.9, 0.999)
    clip_norm: float = 0.0
    ema: float = 0.0
    weights: Weights = "raw"
    settings: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises InputError for a value with which nothing can be trained."""
        check_ranges(self, where=f"stage {self.name}: ")
        check_ranges(self.schedule, where=f"stage {self.name}: ")


@dataclass(frozen=True)
class Collection:
    """A stage without gradients: one pass over the training images, uncropped and unmirrored.

    The model is in evaluation mode and does not change. owner, batch_size, input_size, settings: see Stage.
    row: (model, images_BCHW) -> rows_BD, the numbers to keep of each image.
    keep: (model, rows_ND, labels_NC) -> None, gives the rows of all images, in the store's order, to the
    model, in float32 and on its device.
    stores: the result is the rows, and `keep` makes of them what is not part of `state_dict`; or the state,
    which `keep` changes.
    """

    name: str
    owner: str
    row: Callable[[Any, Tensor], Tensor]
    keep: Callable[[Any, Tensor, Tensor], None]
    batch_size: int
    input_size: int
    settings: Mapping[str, object] = field(default_factory=dict)
    stores: Literal["rows", "state"] = "rows"
    # Fields of a Stage that are the same for every collection.
    augmentation: ClassVar[Augmentation] = Augmentation(crops=(), mirror=False)
    batch_norm: ClassVar[BatchNorm] = "frozen"
    epochs: ClassVar[int] = 1

    @property
    def rows(self) -> str:
        """The name of the rows in the stage's result."""
        return f"{self.name}.rows"

    @property
    def labels(self) -> str:
        """The name of the labels in the stage's result: 1 positive, 0 negative, -1 not known."""
        return f"{self.name}.labels"


def trained_part(name: str, stage: Stage) -> str | None:
    """The innermost part in `stage.trains` that a parameter, buffer or module belongs to; None: frozen."""
    parts = [part for part in stage.trains if part == "" or f"{name}.".startswith(f"{part}.")]
    return max(parts, key=len, default=None)


def check(model: nn.Module, stage: Stage | Collection) -> None:
    """Raises InputError where a stage trains a part that the model does not have."""
    names = {name for name, _ in model.named_modules()} | {name for name, _ in model.named_parameters()}
    for part in stage.trains if isinstance(stage, Stage) else ():
        if part not in names:
            raise InputError(f"stage {stage.name} trains {part!r}, but the model has no such part")


def prepare(model: nn.Module, stage: Stage) -> None:
    """Freeze all parts that the stage does not train: no gradients, and evaluation mode.

    In evaluation mode batch norm does not update its statistics.
    """
    check(model, stage)
    model.eval()
    for name, module in model.named_modules():
        if trained_part(name, stage) is not None:
            module.training = not (stage.batch_norm == "frozen" and hasattr(module, "running_mean"))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trained_part(name, stage) is not None)


def parameter_groups(model: nn.Module, stage: Stage) -> list[dict[str, Any]]:
    """The optimizer's groups, one for each part in `trains`, with its factor on the learning rate.

    Without `decay_norms` a second one for each part has its norms and biases, without weight decay.
    """
    groups: dict[str, list[nn.Parameter]] = {part: [] for part in stage.trains}
    undecayed: dict[str, list[nn.Parameter]] = {part: [] for part in stage.trains}
    for name, parameter in model.named_parameters():
        if (part := trained_part(name, stage)) is not None:
            decays = stage.decay_norms or parameter.ndim > 1
            (groups if decays else undecayed)[part].append(parameter)
    factors = stage.trains
    decayed = [{"params": groups[part], "factor": factors[part]} for part in groups if groups[part]]
    return decayed + [
        {"params": undecayed[part], "factor": factors[part], "weight_decay": 0.0}
        for part in undecayed
        if undecayed[part]
    ]


def learned(model: nn.Module, stage: Stage) -> Iterator[tuple[str, Tensor]]:
    """The tensors that the stage may change, by name: they are its result."""
    for name, tensor in model.state_dict().items():
        if trained_part(name, stage) is not None:
            yield name, tensor
