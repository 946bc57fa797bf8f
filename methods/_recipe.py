"""What the recipes of all methods have in common: the paper's training (section 3.4), and the demo's.

Where the paper is silent (epochs, initialisation, factors on the learning rate) the default here is ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from torch import Tensor
from torch.nn import functional as F

from bench.training import NO_FILE, Augmentation, BatchNorm, File, Loss, Schedule, Select, Stage


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A method's settings; every field can be changed with `--set field=value`.

    trunk: timm's name with its tag; trunk_weights: a file instead; from_scratch: no pretrained weights.
    crops, max_distort, mirror, jitter: see bench.training.Augmentation.
    patience, threshold, milestones: see bench.training.Schedule; milestones are shares of a stage's epochs.
    batch_norm: see bench.training.Stage; the paper's Caffe keeps statistics on each GPU ("local").
    select: see bench.training.Stage; the paper names no selection.
    new_layers_lr: factor on the learning rate of layers that begin at random.
    epochs: the first stage; the other three are SRN's further stages.
    budget: "equal" trains a method without these stages on, whole and at its own rate, for as many epochs;
    the totals are then equal where `epochs` is, as on equal terms.
    terms: "equal" takes all these settings as SRN has them on the card, "paper" as the method's paper has.
    """

    trunk: str = "resnet101.tv_in1k"
    trunk_weights: File = NO_FILE
    from_scratch: bool = False
    input_size: int = 224
    crops: tuple[int, ...] = (256, 224, 192, 168, 128)
    max_distort: int | None = None
    mirror: bool = True
    jitter: float = 0.0
    batch_size: int = 96
    lr: float = 1e-3
    lr_min: float = 1e-5
    patience: int | None = 2
    threshold: float = 1e-3
    milestones: tuple[float, ...] = ()
    momentum: float = 0.9
    batch_norm: BatchNorm = "local"
    select: Select = "last"
    weight_decay: float = 5e-4
    new_layers_lr: float = 1.0
    epochs: int = 30
    attention_epochs: int = 10
    regularization_epochs: int = 10
    joint_epochs: int = 10
    budget: Literal["paper", "equal"] = "paper"
    terms: Literal["paper", "equal"] = "paper"

    @classmethod
    def recipes(cls, **own: Mapping[str, Any]) -> dict[str, Self]:
        """A recipe for every card that methods share settings on, with a method's own:
        `recipes(demo={...})`.
        """
        return {card: cls(**{**RECIPES.get(card, {}), **own.get(card, {})}) for card in {**RECIPES, **own}}

    def on_equal_terms(self, card: str) -> Self:
        """The recipe with the settings that SRN has on a card; what is the method's own stays."""
        return replace(self, **vars(Recipe(**{**RECIPES.get(card, {}), "terms": "equal"})))

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
        """A stage under this recipe's optimizer, schedule and augmentation.

        owner: the module whose code it depends on. settings: the fields of this recipe that its result
        depends on beside these and the trunk's.
        """
        milestones = tuple(round(share * epochs) for share in self.milestones)
        return Stage(
            name=name,
            owner=owner,
            trains=trains,
            loss=loss,
            epochs=epochs,
            schedule=Schedule(
                self.lr, self.lr_min, patience=self.patience, threshold=self.threshold, milestones=milestones
            ),
            batch_size=self.batch_size,
            input_size=self.input_size,
            augmentation=Augmentation(self.crops, self.max_distort, self.mirror, self.jitter),
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            batch_norm=self.batch_norm,
            select=self.select,
            settings={field: getattr(self, field) for field in settings},
        )

    @property
    def further_epochs(self) -> int:
        """Those of SRN's stages after the first."""
        return self.attention_epochs + self.regularization_epochs + self.joint_epochs

    def with_budget(self, only: Stage) -> tuple[Stage, ...]:
        """A one-stage method's training: under the equal budget it goes on for SRN's further epochs."""
        if self.budget == "paper":
            return (only,)
        further = self.stage(
            "further",
            {"": 1.0},
            owner=only.owner,
            epochs=self.further_epochs,
            loss=only.loss,
        )
        return (only, further)


# What all methods share on a card; a method adds its own fields in its own RECIPES. The hours are estimates
# for one H200, not measured: `python -m bench.perf train` measures them (assumed images per second: 3,500
# full, 6,500 frozen, 3,000 SRN's joint stage, 10,000 evaluation); mAP is the paper's for SRN, Tables 1-3.
RECIPES: dict[str, dict[str, Any]] = {
    # python -m bench.run --dataset nuswide --method srn: 0.5 hours, the paper's five 1.2; expected mAP 62.0
    "nuswide": {},
    # python -m bench.run --dataset coco --method srn: 0.35 hours, the paper's five 0.9; expected mAP 77.1
    "coco": {},
    # python -m bench.run --dataset wider --method srn: 0.12 hours, the paper's five 0.3; expected mAP 86.2
    "wider": {},
    "demo": {
        "trunk": "resnet10_narrow",
        "from_scratch": True,
        "input_size": 64,
        "crops": (),  # cropping would cut digits off that the labels still name
        "mirror": False,  # mirroring would falsify motifs
        "lr": 0.05,  # from scratch, with batch norm: the paper's 1e-3 is for a pretrained trunk
        "patience": 4,
        "lr_min": 1e-5,
        "milestones": (0.7, 0.9),
        "epochs": 16,
        "attention_epochs": 6,
        "regularization_epochs": 6,
        "joint_epochs": 6,
    },
}


def bce(logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
    """L(y, y^) = -sum over labels of y log s(y^) + (1 - y) log(1 - s(y^)), divided by the batch only (Eq.
    10).

    Caffe's SigmoidCrossEntropyLoss; PyTorch's mean reduction is C times smaller. Eq. 10 lacks its minus sign.
    """
    total = F.binary_cross_entropy_with_logits(logits_BC.float(), labels_BC, reduction="sum")
    return total / len(labels_BC)
