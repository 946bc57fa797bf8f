"""The trunk that all methods share: a ResNet of timm's, split after its third stage.

X is the rectified output of the third stage (Caffe's "res4b22_relu"): B x 1024 x 14 x 14 for ResNet-101 at
224. Deviations from the paper: timm's ResNets have the stride of a bottleneck in its 3x3 convolution (Caffe:
in the first 1x1), and the default `resnet101.tv_in1k` is a post-activation ResNet (the authors' is
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

# Small trunks built from timm's ResNet class; there are no pretrained weights for them.
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
    """A ResNet in two parts: `middle` from the image to the third stage, `last` from there to the features.

    widths: the channels of the second, third and fourth stages' outputs.
    """

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
        """X alone, without computing the fourth stage."""
        raw_BCHW: Tensor = self.middle(images_BCHW)
        return cast("Tensor", _rectifier(self.last[0])(raw_BCHW)) if self.preactivation else raw_BCHW

    def forward(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """(X, features), each computed once."""
        x_BCHW, features_BCHW = self._outputs(self.middle(images_BCHW), [self.last])
        return x_BCHW, features_BCHW

    def pyramid(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The second, third and fourth stages' outputs, rectified; as many channels as `widths`, each side
        half the one before: B x 512 x 56 x 56, B x 1024 x 28 x 28, B x 2048 x 14 x 14 for ResNet-101 at 448.
        """
        raw_BCHW = self.middle[:-1](images_BCHW)
        second_BCHW, x_BCHW, features_BCHW = self._outputs(raw_BCHW, [self.middle[-1], self.last])
        return second_BCHW, x_BCHW, features_BCHW

    def _outputs(self, raw_BCHW: Tensor, parts: list[Any]) -> list[Tensor]:
        """The rectified input of each part, and the output of the last.

        A pre-activation stage rectifies its input itself, in its first norm. To call that norm a second time
        would update its statistics twice with one batch, so a hook keeps what it gives.
        """
        rectified: list[Tensor] = []
        for part in parts:
            if self.preactivation:
                norm = _rectifier(part[0] if part is self.last else part)
                handle = norm.register_forward_hook(lambda *call: rectified.append(call[-1]))
                raw_BCHW = part(raw_BCHW)
                handle.remove()
            else:
                rectified.append(raw_BCHW)
                raw_BCHW = part(raw_BCHW)
        return [*rectified, raw_BCHW]


def _rectifier(stage: Any) -> nn.Module:
    """The batch norm with ReLU at the beginning of a pre-activation stage."""
    return cast("nn.Module", stage.blocks[0].norm1)


def x_side(input_size: int) -> int:
    """The height and width of X for images of that side.

    >>> x_side(224), x_side(64)
    (14, 4)
    """
    return math.ceil(input_size / REDUCTION)


def load_trunk(name: str, *, weights: str = "", from_scratch: bool = False) -> Trunk:
    """A trunk by timm's name, with the weights of a file, or of timm's tag, or from scratch.

    Raises InputError for a name that is not a ResNet of timm's, for weights that do not fit, and for weights
    that are not there: a trunk has random weights only if `from_scratch` asks for them.
    """
    if weights and from_scratch:
        raise InputError(f"trunk_weights={weights}: the recipe trains from scratch; add --from-scratch false")
    if name in SMALL:
        if not from_scratch:
            raise InputError(f"trunk {name} has no pretrained weights: add --from-scratch")
        small: Any = timm.models.resnet.ResNet(num_classes=0, **SMALL[name])
        small.pretrained_cfg = timm.create_model("resnet18").pretrained_cfg
        return Trunk(small)
    architecture, _, tag = name.partition(".")
    if architecture not in timm.list_models(["resnet*", "resnetv2*"]):
        raise InputError(
            f"unknown trunk {name!r}: give a ResNet by timm's name, such as resnet50, or {', '.join(SMALL)}"
        )
    if tag and name not in (known := timm.list_pretrained(f"{architecture}.*")):
        raise InputError(f"unknown trunk {name!r}: timm's weights are {', '.join(known) or 'none'}")
    resnet: Any = timm.create_model(name, pretrained=False, num_classes=0)
    if (built_as := type(resnet).__name__) not in ("ResNet", "ResNetV2"):
        raise InputError(
            f"trunk {name!r} is unsupported: timm builds it as {built_as}; choose a ResNet or ResNetV2"
        )
    if not from_scratch:
        _load_weights(resnet, Path(weights) if weights else _download(name, resnet.pretrained_cfg))
    return Trunk(resnet)


def _download(name: str, config: dict[str, Any]) -> Path:
    """timm's weights for a name with a tag: from the cache, or downloaded from the Hugging Face Hub."""
    remedy = "give --trunk-weights FILE, or --from-scratch to train without pretrained weights"
    if not config.get("tag"):
        raise InputError(f"trunk {name}: timm has no pretrained weights of this name; {remedy}")
    if "." not in name:
        raise InputError(
            f"trunk {name}: the name does not say which weights; add timm's tag, as in resnet101.tv_in1k,"
            f" or {remedy}"
        )
    weights = {"repo_id": config["hf_hub_id"], "filename": "model.safetensors"}
    try:
        return Path(hub.hf_hub_download(**weights, local_files_only=True))
    except hub.errors.LocalEntryNotFoundError:
        pass  # not in the cache yet
    try:
        # Without a network the hub's own client retries for most of a minute: this fails at once.
        urllib.request.urlopen(hub.constants.ENDPOINT, timeout=5).close()  # noqa: S310 (the hub's fixed address)
        return Path(hub.hf_hub_download(**weights))
    except (OSError, hub.errors.HfHubHTTPError) as error:
        raise InputError(f"weights of trunk {name} cannot be downloaded ({error}); {remedy}") from error


def _load_weights(resnet: nn.Module, path: Path) -> None:
    """Load a file of tensors into the trunk; a classifier in it is ignored, all other names must fit."""
    try:
        tensors = _read(path)
        headless = {name: value for name, value in tensors.items() if not name.startswith(("fc.", "head."))}
        resnet.load_state_dict(headless)
        if wrong := [name for name, tensor in resnet.state_dict().items() if not tensor.isfinite().all()]:
            raise RuntimeError(f"{wrong[0]} holds values that are not finite; give another file")
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{path} does not hold this trunk's weights: {reason}") from error


def _read(path: Path) -> dict[str, Tensor]:
    """A file's tensors by name; code in a pickle is not executed."""
    if path.suffix == ".safetensors":
        return safetensors.torch.load_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of unusual pickles; the error below says enough
        try:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
        except (LookupError, struct.error, ValueError) as error:  # raised for a file that is not a pickle
            raise pickle.UnpicklingError(f"not a file that torch wrote: {error}") from error
    tensors = tensors.get("state_dict", tensors) if isinstance(tensors, dict) else None
    if not isinstance(tensors, dict) or not all(map(_is_named_tensor, tensors.items())):
        raise pickle.UnpicklingError("it is not a dictionary of named tensors")
    return tensors


def _is_named_tensor(item: tuple[object, object]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)
