"""The trunk that all methods share: a timm ResNet, cut behind its third stage.

X is the output of the third stage, rectified (Caffe's "res4b22_relu"): B x 1024 x 14 x 14 for ResNet-101 at
224. Deviations from the paper: timm's ResNets put the stride of a bottleneck into its 3x3 convolution
(Caffe: the first 1x1); the default `resnet101.tv_in1k` is the post-activation ResNet (the authors' is
pre-activation: `resnetv2_101`).
"""

import math
import pickle
import struct
import urllib.request
import warnings
from pathlib import Path
from typing import Any, cast

import huggingface_hub as hub
import safetensors.torch
import timm
import torch
from torch import Tensor, nn

from bench.base.errors import InputError

# Small trunks of timm's own class; they exist from scratch only.
SMALL: dict[str, dict[str, Any]] = {
    "resnet10_narrow": {
        "block": timm.models.resnet.BasicBlock,
        "layers": (1, 1, 1, 1),
        "channels": (16, 32, 64, 128),
        "stem_type": "deep",
        "stem_width": 8,
    }
}
REDUCTION = 16  # input pixels per position of X, along one side


class Trunk(nn.Module):
    """A ResNet in two parts: `middle` up to the third stage, `last` from there to the features."""

    def __init__(self, resnet: Any) -> None:
        super().__init__()
        self.mean, self.std = tuple(resnet.pretrained_cfg["mean"]), tuple(resnet.pretrained_cfg["std"])
        self.widths = tuple(stage["num_chs"] for stage in resnet.feature_info[-3:])
        _, self.x_channels, self.channels = self.widths
        if hasattr(resnet, "layer4"):
            stem = (resnet.conv1, resnet.bn1, resnet.act1, resnet.maxpool)
            self.middle = nn.Sequential(*stem, resnet.layer1, resnet.layer2, resnet.layer3)
            self.last = resnet.layer4
        else:
            self.middle = nn.Sequential(resnet.stem, *resnet.stages[:-1])
            self.last = nn.Sequential(resnet.stages[-1], resnet.norm)
        self.preactivation = not hasattr(resnet, "layer4")

    def features(self, images_BCHW: Tensor) -> Tensor:
        """The fourth stage's output, rectified: B x 2048 x 7 x 7 for ResNet-101 at 224."""
        return cast("Tensor", self.last(self.middle(images_BCHW)))

    def x(self, images_BCHW: Tensor) -> Tensor:
        """X alone, without the cost of the fourth stage."""
        raw_BCHW: Tensor = self.middle(images_BCHW)
        return cast("Tensor", _rectifier(self.last[0])(raw_BCHW)) if self.preactivation else raw_BCHW

    def forward(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """(X, features), each computed once."""
        x_BCHW, features_BCHW = self._through(self.middle(images_BCHW), [self.last])
        return x_BCHW, features_BCHW

    def pyramid(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The second, third and fourth stages' outputs, rectified; as many channels as `widths`, each side
        half the one before: B x 512 x 56 x 56, B x 1024 x 28 x 28, B x 2048 x 14 x 14 for ResNet-101 at 448.
        """
        raw_BCHW = self.middle[:-1](images_BCHW)
        second_BCHW, x_BCHW, features_BCHW = self._through(raw_BCHW, [self.middle[-1], self.last])
        return second_BCHW, x_BCHW, features_BCHW

    def _through(self, raw_BCHW: Tensor, parts: list[Any]) -> list[Tensor]:
        """What is given to each part, rectified, and what the last one makes of it.

        A pre-activation stage rectifies what it is given itself. Run once more, that norm would take in a
        batch's statistics twice: what it gives is kept instead.
        """
        given: list[Tensor] = []
        for part in parts:
            if self.preactivation:
                norm = _rectifier(part[0] if part is self.last else part)
                handle = norm.register_forward_hook(lambda *seen: given.append(seen[-1]))
                raw_BCHW = part(raw_BCHW)
                handle.remove()
            else:
                given.append(raw_BCHW)
                raw_BCHW = part(raw_BCHW)
        return [*given, raw_BCHW]


def _rectifier(stage: Any) -> nn.Module:
    """The norm + ReLU with which a pre-activation stage begins."""
    return cast("nn.Module", stage.blocks[0].norm1)


def x_side(input_size: int) -> int:
    """Height and width of X.

    >>> x_side(224), x_side(64)
    (14, 4)
    """
    return math.ceil(input_size / REDUCTION)


def load_trunk(name: str, *, weights: str = "", from_scratch: bool = False) -> Trunk:
    """A trunk by timm's name, with the weights of a file, of timm's tag, or none where asked.

    Raises InputError for a name that is no ResNet of timm's, for weights that do not fit, and where weights
    are wanted and cannot be had: never random weights unasked.
    """
    if weights and from_scratch:
        raise InputError(f"trunk_weights={weights}: the recipe is from_scratch; add --from-scratch false")
    if name in SMALL:
        if not from_scratch:
            raise InputError(f"trunk {name} has no pretrained weights: add --from-scratch")
        small: Any = timm.models.resnet.ResNet(num_classes=0, **SMALL[name])
        small.pretrained_cfg = timm.create_model("resnet18").pretrained_cfg
        return Trunk(small)
    plain, _, tag = name.partition(".")
    if plain not in timm.list_models(["resnet*", "resnetv2*"]):
        raise InputError(
            f"unknown trunk {name!r}: a ResNet of timm's by its name, as resnet50, or of: {[*SMALL]}"
        )
    if tag and name not in (tags := timm.list_pretrained(f"{plain}.*")):
        raise InputError(f"unknown trunk {name!r}: with these weights timm has {', '.join(tags)}")
    resnet: Any = timm.create_model(name, pretrained=False, num_classes=0)
    if (kind := type(resnet).__name__) not in ("ResNet", "ResNetV2"):
        raise InputError(f"trunk {name!r} is no plain ResNet: timm builds it as {kind}")
    if not from_scratch:
        _load_weights(resnet, Path(weights) if weights else _download(name, resnet.pretrained_cfg))
    return Trunk(resnet)


def _download(name: str, config: dict[str, Any]) -> Path:
    """timm's weights for a tagged name: from the cache, else from the hub; unreachable is said at once."""
    remedy = "give --trunk-weights FILE, or --from-scratch to train without them"
    if not config.get("tag"):
        raise InputError(f"trunk {name}: timm has no pretrained weights of this name; {remedy}")
    if "." not in name:
        raise InputError(
            f"trunk {name}: which weights? name timm's tag, as in resnet101.tv_in1k; or {remedy}"
        )
    where = {"repo_id": config["hf_hub_id"], "filename": "model.safetensors"}
    try:
        return Path(hub.hf_hub_download(**where, local_files_only=True))
    except hub.errors.LocalEntryNotFoundError:
        pass  # not in the cache yet
    try:
        # The hub's own client retries for most of a minute where there is no network.
        urllib.request.urlopen(hub.constants.ENDPOINT, timeout=5).close()  # noqa: S310 (the hub's fixed address)
        return Path(hub.hf_hub_download(**where))
    except (OSError, hub.errors.HfHubHTTPError) as fault:
        raise InputError(f"weights of trunk {name} cannot be downloaded ({fault}); {remedy}") from fault


def _load_weights(resnet: nn.Module, path: Path) -> None:
    """Fill the trunk from a file of tensors; a classifier in it is left aside, anything else must fit."""
    try:
        tensors = _read(path)
        own = {name: value for name, value in tensors.items() if not name.startswith(("fc.", "head."))}
        resnet.load_state_dict(own)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, safetensors.SafetensorError) as fault:
        reason = " ".join(str(fault).split())[:300]
        raise InputError(f"{path} does not hold this trunk's weights: {reason}") from fault


def _read(path: Path) -> dict[str, Tensor]:
    """A file's tensors by name; nothing in a pickle is executed."""
    if path.suffix == ".safetensors":
        return safetensors.torch.load_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a strange pickle it is enough to say once that it is refused
        try:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
        except (LookupError, struct.error, ValueError) as fault:  # of a file that is no pickle at all
            raise pickle.UnpicklingError(f"no file of torch's: {fault}") from fault
    tensors = tensors.get("state_dict", tensors) if isinstance(tensors, dict) else None
    if not isinstance(tensors, dict) or not all(map(_is_named_tensor, tensors.items())):
        raise pickle.UnpicklingError("no dictionary of tensors in it")
    return tensors


def _is_named_tensor(item: tuple[object, object]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)
