"""The parts of a recipe that later papers vary: labels and loss, optimizer and schedule, augmentation.

The defaults are what the SRN paper does. A field that another field's value makes useless is refused
unless it is left as it is, in the method's recipe or in this one (`check_needed`).
"""

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from bench.training import Augmentation, InputError, Opt, Range, Weights
from methods._losses import Criterion, Reduction

StageRate = Annotated[float | None, Range(above=0)]


@dataclass(frozen=True, kw_only=True)
class LossFields:
    """Labels and loss: what counts, and how.

    unspecified: labels that are not known (VOC's difficult, WIDER's 0, `@known=0.1`) are trained as negative,
    or ignored: they have no gradient, and the validation leaves them out.
    loss: bce, asymmetric (with gamma_pos, gamma_neg, margin) or focal (focal_gamma); see methods/_losses.py.
    reduction: over labels; over images it is always the mean.
    """

    unspecified: Literal["negative", "ignored"] = "negative"
    loss: Literal["bce", "asymmetric", "focal"] = "bce"
    reduction: Reduction = "sum"
    gamma_pos: Annotated[float, Range(0)] = 0.0
    gamma_neg: Annotated[float, Range(0)] = 4.0
    margin: Annotated[float, Range(0, below=1)] = 0.05
    focal_gamma: Annotated[float, Range(0)] = 2.0

    @property
    def criterion(self) -> Criterion:
        """The loss that these fields choose."""
        return Criterion(**{field.name: getattr(self, field.name) for field in fields(Criterion)})


@dataclass(frozen=True, kw_only=True)
class OptimizerFields:
    """Optimizer and schedule: rates, decay, averaged weights.

    main_lr: the learning rate at which the first stage starts; joint_lr: at which each later one does that
    has no field of its own; None: lr. new_layers_lr: factor on the learning rate of layers that start with
    random weights.
    patience, threshold, milestones: see bench.training.Schedule; milestones are shares of a stage's epochs.
    decay_norms: see bench.training.Stage; Caffe's weight decay applies to all.
    opt, betas, clip_norm, ema, weights: see bench.training.Stage.
    sched, sched_by, decay_epochs, rise, cycle_momentum, warmup_epochs: see bench.training.Schedule.
    sched_epochs: the epochs for which onecycle and cosine are laid out; more than `epochs` stops them early;
    none: `epochs`. Stages of other lengths have it in the same proportion to their own.
    """

    batch_size: Annotated[int, Range(1, 65_536)] = 96
    opt: Opt = "sgd"
    lr: Annotated[float, Range(above=0)] = 1e-3
    main_lr: StageRate = None
    joint_lr: StageRate = None
    new_layers_lr: Annotated[float, Range(above=0)] = 1.0
    momentum: Annotated[float, Range(0, below=1)] = 0.9
    weight_decay: Annotated[float, Range(0)] = 5e-4
    decay_norms: bool = True
    betas: Annotated[tuple[float, ...], Range(0, below=1)] = (0.9, 0.999)
    clip_norm: Annotated[float, Range(0)] = 0.0
    sched: Literal["plateau", "step", "onecycle", "cosine"] = "plateau"
    lr_min: Annotated[float, Range(0)] = 1e-5
    patience: Annotated[int | None, Range(1)] = 2
    threshold: Annotated[float, Range(0, below=1)] = 1e-3
    milestones: Annotated[tuple[float, ...], Range(above=0, most=1, rising=True)] = ()
    sched_by: Literal["step", "epoch"] = "step"
    decay_epochs: Annotated[int, Range(1)] = 30
    sched_epochs: Annotated[int | None, Range(1, 100_000)] = None
    rise: Annotated[float, Range(above=0, below=1)] = 0.3
    cycle_momentum: bool = False
    warmup_epochs: Annotated[int, Range(0, 100_000)] = 0
    ema: Annotated[float, Range(0, below=1)] = 0.0
    weights: Weights = "raw"

    def check_optimizer(self, epochs: int) -> None:
        """Raise InputError for fields of the optimizer that exclude each other."""
        if self.weights == "averaged" and not self.ema:
            raise InputError("weights=averaged: without ema there is no average; add --weights raw")
        if len(self.betas) != 2:
            raise InputError(
                f"betas={','.join(map(str, self.betas))}: give two numbers, as in betas=0.9,0.999"
            )
        if self.sched_epochs is not None and self.sched_epochs < epochs:
            raise InputError(
                f"sched_epochs={self.sched_epochs}: the schedule would end before the {epochs} epochs;"
                f" give at least {epochs}, or lower epochs"
            )


@dataclass(frozen=True, kw_only=True)
class AugmentationFields:
    """Augmentation: see bench.training.Augmentation."""

    crops: Annotated[tuple[int, ...], Range(16, 256)] = (256, 224, 192, 168, 128)
    max_distort: Annotated[int | None, Range(0, 100)] = None
    more_places: bool = False
    mirror: bool = True
    jitter: Annotated[float, Range(0, 1)] = 0.0
    scale: Annotated[tuple[float, ...], Range(above=0, most=1)] = ()
    ratio: Annotated[tuple[float, ...], Range(above=0)] = (3 / 4, 4 / 3)
    cutout: Annotated[float, Range(0, 1)] = 0.0
    randaugment: Annotated[int, Range(0, 14)] = 0
    magnitude: Annotated[int, Range(0, 30)] = 9

    @property
    def augmentation(self) -> Augmentation:
        """The augmentation that these fields choose; InputError where they are none."""
        return Augmentation(**{field.name: getattr(self, field.name) for field in fields(Augmentation)})


# Field -> (another field, its values with which the field counts; none: any but nothing).
NEEDED: dict[str, tuple[str, tuple[str, ...]]] = {
    "ratio": ("scale", ()),
    "magnitude": ("randaugment", ()),
    "weights": ("ema", ()),
    **dict.fromkeys(("gamma_pos", "gamma_neg", "margin"), ("loss", ("asymmetric",))),
    "focal_gamma": ("loss", ("focal",)),
    "betas": ("opt", ("adam", "adamw")),
    "momentum": ("opt", ("sgd",)),
    "decay_epochs": ("sched", ("step",)),
    "sched_epochs": ("sched", ("onecycle", "cosine")),
    "rise": ("sched", ("onecycle",)),
    "cycle_momentum": ("sched", ("onecycle",)),
    "warmup_epochs": ("sched", ("plateau", "step", "cosine")),
}
PARTS = (LossFields, OptimizerFields, AugmentationFields)
USUAL = {field.name: field.default for part in PARTS for field in fields(part)}


def check_needed(recipe: Any) -> None:
    """Raise InputError for a changed field that counts only with another value of another field.

    Changed is what is neither the method's default nor that of all methods, which `--terms equal` gives.
    """
    for field in fields(recipe):
        needed, values = NEEDED.get(field.name, ("", ()))
        value = getattr(recipe, field.name)
        if not needed or value in (field.default, USUAL[field.name]):
            continue
        other = getattr(recipe, needed)
        if not other or (values and other not in values):
            choice = f"={' or '.join(values)}, but it is {other}" if values else ", which is off"
            raise InputError(
                f"{field.name}={value} counts only with {needed}{choice}; leave it out, or set {needed} too"
            )
