"""A method by name: its module, its recipe for a card, its model with every weight drawn from the seed."""

import dataclasses
import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast, get_args, get_type_hints, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.base import code_digest
from bench.base.errors import InputError, unknown
from bench.base.method_names import find_method
from bench.data import cards
from bench.data.store import Store
from bench.training import trunk
from bench.training.stages import Collection, Stage


@dataclass(frozen=True)
class Labels:
    """What a method may know of the labels: their names, and how often two occur together in training."""

    names: tuple[str, ...]
    cooccurrence_CC: NDArray[np.int64]

    @property
    def number(self) -> int:
        """C."""
        return len(self.names)


@dataclass(frozen=True)
class File:
    """A file that a recipe's field names: its content is part of the stages' keys, the record has its name
    alone.
    """

    path: str = ""

    def __bool__(self) -> bool:
        return self.path != ""

    def __str__(self) -> str:
        return self.path

    @property
    def name(self) -> str:
        """Without its folder."""
        return Path(self.path).name

    @property
    def digest(self) -> str:
        """SHA-256 of the content, empty for no file; InputError where it cannot be read."""
        if not self:
            return ""
        try:
            facts = Path(self.path).stat()
            return _digest(self.path, facts.st_size, facts.st_mtime_ns)
        except OSError as failure:
            raise InputError(f"{self.path}: cannot be read: {failure.strerror}") from failure


NO_FILE = File()


@cache
def _digest(path: str, _size: int, _written_ns: int) -> str:
    """Read once for as long as size and time stay: vectors and weights are large, and keys are made often."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Model(Protocol):
    """What the harness asks of a method's model, beside being an `nn.Module` with its trunk in `trunk`."""

    def logits(self, images_BCHW: Tensor) -> Tensor:
        """The final logits (B, C)."""


@dataclass(frozen=True)
class Explanation:
    """How a model came to its logits: what `explanation(images_BCHW)` of a model that can tell gives.

    logits: of each branch by its name, (B, C); the last is the prediction. attention_BCHW: where the model
    looks for each label, 1 in sum over positions; weighted_BCHW: the same, times its confidence at the place.
    neurons_BK: the responses of the K neurons that see whole maps.
    Legend: B images, C labels, H = W = positions along a side of the maps.
    """

    logits: Mapping[str, Tensor]
    attention_BCHW: Tensor
    weighted_BCHW: Tensor
    neurons_BK: Tensor


@runtime_checkable
class Explainable(Protocol):
    """A model that can tell how it came to its logits; a method needs none of this to be trained."""

    def explain(self, images_BCHW: Tensor) -> Explanation:
        """Maps, neurons and branches of a batch."""

    def influence(self, explanation: Explanation) -> Tensor:
        """What each label's map adds to each label's logit, (B, C of the map, C of the logit)."""


class Method(Protocol):
    """What a file in `methods/` provides (see the README: add a method)."""

    Config: type[Any]
    RECIPES: Mapping[str, Any]
    Model: type[nn.Module]

    def stages(self, config: Any) -> tuple[Stage | Collection, ...]:
        """The training, in order."""


def load_method(name: str) -> Method:
    """The method's module, for any spelling of its name.

    Its code is digested as it is loaded: what is edited afterwards does not run, and must not count.
    """
    module = importlib.import_module(f"methods.{find_method(name)}")
    code_digest.digest(module.__name__)
    return cast("Method", module)


def fields(method: Method) -> dict[str, Any]:
    """The fields of the method's recipe, each with its type."""
    types = get_type_hints(method.Config)
    return {field.name: types[field.name] for field in dataclasses.fields(method.Config)}


def recipe(method: Method, card: str, changes: Mapping[str, str] | None = None) -> Any:
    """The method's recipe for a card, with `--set field=value` changes; a card without one gets the paper's.

    `terms=equal` begins from the settings that all methods share on the card, and the other changes follow.
    """
    base = cards.base(card)
    config, known = method.RECIPES.get(base, method.Config()), fields(method)
    values = {}
    for name, text in (changes or {}).items():
        if name not in known:
            raise unknown("recipe field", name, sorted(known))
        values[name] = _parse(name, text, like=getattr(config, name), parts=get_args(known[name]))
    if values.get("terms") == "equal":
        config = config.on_equal_terms(base)
    return dataclasses.replace(config, **values)


def labels_of(store: Store) -> Labels:
    """The labels of a prepared data set; co-occurrence is counted over the images that are learned from."""
    positive_NC = (store.train.labels_NC[store.fitted] == 1).astype(np.int64)
    return Labels(tuple(store.manifest["labels"]), positive_NC.T @ positive_NC)


def build(method: Method, config: Any, labels: Labels, seed: int) -> nn.Module:
    """The model before training: the trunk as its recipe says, the rest drawn from (seed, name of the layer).

    A layer of the same name and shape starts the same in every method. No global random state is touched.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed_for(seed, "trunk"))
        model = method.Model(
            config,
            labels,
            trunk.load_trunk(
                config.trunk, weights=str(config.trunk_weights), from_scratch=config.from_scratch
            ),
        )
        for name, module in model.named_modules():
            if not name.startswith("trunk") and callable(reset := getattr(module, "reset_parameters", None)):
                torch.manual_seed(_seed_for(seed, name))
                reset()
    for name, module in model.named_modules():
        if not name.startswith("trunk") and callable(zero := getattr(module, "zero_init_last", None)):
            zero()  # a new residual block of timm's begins as the identity, as timm's own networks do
    return model


def _seed_for(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8])


def _parse(name: str, text: str, *, like: Any, parts: tuple[Any, ...]) -> Any:
    """The value that a text stands for, in the type that the field has now.

    parts: what the field's type is made of: of `tuple[int, ...]` and `int | None` first `int`, of
    `Literal["a", "b"]` its choices.
    """
    if isinstance(like, str) and parts and text not in parts:
        raise InputError(f"{name}={text}: choose from: {', '.join(parts)}")
    if isinstance(like, File) and text and not Path(text).is_file():
        raise InputError(f"{name}={text}: there is no such file")
    try:
        if isinstance(like, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(like, tuple):
            return tuple(parts[0](part) for part in text.split(",") if part)
        if type(None) in parts:  # int | None
            return None if text.lower() == "none" else parts[0](text)
        return type(like)(text)
    except (ValueError, KeyError) as mistake:
        raise InputError(f"{name}={text}: {type(like).__name__} expected, as in {name}={like}") from mistake
