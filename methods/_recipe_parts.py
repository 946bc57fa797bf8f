"""The parts of a recipe that later papers vary: labels and loss, optimizer and schedule, augmentation.

The defaults are what the SRN paper does. A field that another field's value makes useless is refused
unless it is left as it is (`check_needed`).
"""

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from bench.training import InputError, Range
from methods._losses import Criterion, Reduction


@dataclass(frozen=True, kw_only=True)
class LossFields:
    """Labels and loss.

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


# Field -> (another field, its values with which the field counts).
NEEDED: dict[str, tuple[str, tuple[str, ...]]] = {
    **dict.fromkeys(("gamma_pos", "gamma_neg", "margin"), ("loss", ("asymmetric",))),
    "focal_gamma": ("loss", ("focal",)),
}


def check_needed(recipe: Any) -> None:
    """Raise InputError for a changed field that counts only with another value of another field."""
    for field in fields(recipe):
        needed, values = NEEDED.get(field.name, ("", ()))
        value = getattr(recipe, field.name)
        if needed and value != field.default and getattr(recipe, needed) not in values:
            is_now = f"it is {getattr(recipe, needed)}"
            raise InputError(
                f"{field.name}={value} counts only with {needed}={' or '.join(values)}, but {is_now}: leave"
                f" {field.name} out, or add --set {needed}={values[0]}"
            )
