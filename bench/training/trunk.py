"""Loads the trunk that all methods share, by its name at timm."""

from typing import Any

import timm
from torch import nn

from bench.base.errors import InputError
from bench.training import trunk_weights
from bench.training.trunk_kinds import NetworkTrunk, ResNetTrunk, Trunk, size_refused

# Small trunks: a network of timm's with other arguments. There are no pretrained weights for them.
SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet10_narrow": (
        "resnet18",
        {"layers": (1, 1, 1, 1), "channels": (16, 32, 64, 128), "stem_type": "deep", "stem_width": 8},
    ),
    "convnext_narrow": ("convnext_atto", {"depths": (1, 1, 1, 1), "dims": (16, 32, 64, 128)}),
    "swin_narrow": (
        "swin_tiny_patch4_window7_224",
        {"embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 4, 8)},
    ),
    "vit_narrow": ("vit_tiny_patch16_224", {"embed_dim": 64, "depth": 2, "num_heads": 2}),
}
RESNETS = ("ResNet", "ResNetV2")  # timm's classes whose stages stand one after the other


def load_trunk(
    name: str, *, input_size: int | None = None, weights: str = "", from_scratch: bool = False
) -> Trunk:
    """A trunk by timm's name, with the weights of a file, or of timm's tag, or from scratch.

    input_size: of the images; None: the network's own. Positions of a transformer are interpolated for it.
    Raises InputError for a name that timm does not have, for a size that the network cannot take, for weights
    that do not fit, and for weights that are not there: a trunk has random weights only if `from_scratch`
    asks for them.
    """
    if weights and from_scratch:
        raise InputError(f"trunk_weights={weights}: the recipe trains from scratch; add --from-scratch false")
    if name in SMALL and not (from_scratch or weights):
        raise InputError(
            f"trunk {name} has no pretrained weights: add --from-scratch, or --trunk-weights FILE of your own"
        )
    network = _without_chance(_build(name, input_size))
    if not from_scratch:
        trunk_weights.load(network, name, weights)
    if type(network).__name__ in RESNETS:
        return ResNetTrunk(network, name)
    trunk = NetworkTrunk(network, name)
    trunk.check(input_size or network.pretrained_cfg["input_size"][-1])
    return trunk


def _without_chance(network: Any) -> Any:
    """The network without stochastic depth and dropout, which some of timm's, as Swin, have when they train.

    They would draw from torch's global state: a resumed training, or one on several processes, would end with
    other weights.
    """
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif hasattr(module, "drop_prob"):
            module.drop_prob = 0.0
    return network


def _build(name: str, input_size: int | None) -> Any:
    """timm's network without pretrained weights and without a classifier."""
    full_name, arguments = SMALL.get(name, (name, {}))
    architecture, _, tag = full_name.partition(".")
    if architecture not in timm.list_models():
        raise InputError(
            f"unknown trunk {name!r}: give a network by timm's name, such as resnet50, or {', '.join(SMALL)}"
        )
    if tag and name not in (known := timm.list_pretrained(f"{architecture}.*")):
        raise InputError(f"unknown trunk {name!r}: timm's weights are {', '.join(known) or 'none'}")
    config: Any = timm.get_pretrained_cfg(full_name)
    own_size = config.input_size[-1]
    if config.fixed_input_size and input_size not in (None, own_size):
        arguments = {**arguments, "img_size": input_size}
    try:
        return timm.create_model(full_name, pretrained=False, num_classes=0, **arguments)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        if "img_size" not in arguments:
            raise
        raise size_refused(name, input_size or own_size, f"{error}; its own size is {own_size}") from error
