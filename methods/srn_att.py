"""SRN-att: SRN whose regularization sees the unweighted attention maps (Zhu et al. 2017, section 4.1)."""

from dataclasses import dataclass

from methods import srn
from methods.srn import Model, stages

__all__ = ["RECIPES", "Config", "Model", "stages"]

ORDER = (2017, 4)


@dataclass(frozen=True, kw_only=True)
class Config(srn.Config):
    """SRN's settings, but the input of f_sr is A."""

    weighted: bool = False


RECIPES = {card: Config(**{**vars(recipe), "weighted": False}) for card, recipe in srn.RECIPES.items()}
