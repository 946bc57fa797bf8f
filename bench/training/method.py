"""Loads a method by its name, makes its recipe for a card, and builds its model from a seed."""

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

from bench.base import code_digest, schema, search_path
from bench.base.errors import InputError, unknown
from bench.base.method_names import find_method
from bench.data import cards
from bench.data.store import Store
from bench.training import trunk, trunk_weights
from bench.training.stages import Collection, Stage


@dataclass(frozen=True)
class Labels:
    """What a method may know of the labels.

    names: in the order of the logits. cooccurrence_CC: the number of training images with both labels (on
    the diagonal: with the label).
    """

    names: tuple[str, ...]
    cooccurrence_CC: NDArray[np.int64]

    @property
    def number(self) -> int:
        """The number of labels, C."""
        return len(self.names)


@dataclass(frozen=True)
class File:
    """A file that a field of a recipe names, or `package:NAME`, the file of weights in an installed package.

    Its content is part of the stages' keys; the record has only its name.
    """

    path: str = ""

    def __bool__(self) -> bool:
        return self.path != ""

    def __str__(self) -> str:
        return self.path

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return Path(self.path).name

    @property
    def digest(self) -> str:
        """SHA-256 of the content; empty for `NO_FILE`; InputError where the file cannot be read."""
        if not self:
            return ""
        path = trunk_weights.file_of_package(self.path)
        try:
            facts = Path(path).stat()
            return _digest(path, facts.st_size, facts.st_mtime_ns)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror}") from error


NO_FILE = File()


@cache
def _digest(path: str, _size: int, _modified_ns: int) -> str:
    """SHA-256 of a file, cached until its size or time changes: files are large, and keys are made often."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Model(Protocol):
    """What the harness needs of a method's model, which is an `nn.Module` with the trunk in `trunk`."""

    def logits(self, images_BCHW: Tensor) -> Tensor:
        """The final logits (B, C)."""


@dataclass(frozen=True)
class Explanation:
    """How a model computed its logits: the result of `explain(images_BCHW)`.

    logits: (B, C) by the name of the branch; the last one is the prediction. attention_BCHW: where the model
    looks for each label, with a sum of 1 over positions. weighted_BCHW: the same, times the confidence of the
    model at each position. neurons_BK: the responses of the K neurons that see whole maps.
    Legend: B images, C labels, H = W = positions along a side of the maps.
    """

    logits: Mapping[str, Tensor]
    attention_BCHW: Tensor
    weighted_BCHW: Tensor
    neurons_BK: Tensor


@runtime_checkable
class Explainable(Protocol):
    """A model that can explain its logits; this is optional, and training does not need it."""

    def explain(self, images_BCHW: Tensor) -> Explanation:
        """The maps, neurons and branches of a batch."""

    def influence(self, explanation: Explanation) -> Tensor:
        """How much each label's map adds to each label's logit, (B, C of the map, C of the logit)."""


class Method(Protocol):
    """What a file in `methods/` has to define (see "Add a method" in docs/methods.md)."""

    Config: type[Any]
    RECIPES: Mapping[str, Any]
    Model: type[nn.Module]

    def stages(self, config: Any) -> tuple[Stage | Collection, ...]:
        """The stages of the training, in order."""


def load_method(name: str) -> Method:
    """The method's module, for any spelling of its name.

    Its code's digest is computed now: a later edit has no effect on this process, so it must not change keys.
    """
    module_name = f"methods.{find_method(name)}"
    importlib.import_module("methods").__path__ = search_path.method_folders()  # --include came since
    module = importlib.import_module(module_name)
    code_digest.digest(module.__name__)
    return cast("Method", module)


def fields(method: Method) -> dict[str, Any]:
    """The fields of the method's recipe: name -> type."""
    types = get_type_hints(method.Config)
    return {field.name: types[field.name] for field in dataclasses.fields(method.Config)}


def recipe(method: Method, card: str, changes: Mapping[str, str] | None = None) -> Any:
    """The method's recipe for a card, or the paper's if the card has none, with changes of fields.

    `terms=equal` first takes the settings that all methods share on the card, then a `variant` those that it
    stands for; the other changes come on top. Raises InputError for an unknown field or a wrong value.
    """
    base = cards.base(card)
    config, types = method.RECIPES.get(base, method.Config()), fields(method)
    values = {}
    for name, text in (changes or {}).items():
        if name not in types:
            raise unknown("recipe field", name, sorted(types))
        values[name] = _parse(name, text, current=getattr(config, name), type_args=get_args(types[name]))
    if values.get("terms") == "equal":
        config = config.on_equal_terms(base)
    if "variant" in values:
        config = config.as_variant(values["variant"])
    config = dataclasses.replace(config, **values)
    method.stages(config)  # refuses what no stage can be trained with, before any work
    return config


def labels_of(store: Store) -> Labels:
    """The labels of a prepared data set; co-occurrence is counted over the training images."""
    names = tuple(store.manifest["labels"])
    is_fitted_N = np.zeros(len(store.train), np.bool_)
    is_fitted_N[store.fitted] = True
    counts_CC, start = np.zeros((len(names), len(names)), np.int64), 0
    for labels_BC in store.train.label_blocks():
        used_B = is_fitted_N[start : start + len(labels_BC)]
        positive_BC = (labels_BC[used_B] == 1).astype(np.float32)  # BLAS is exact on integers below 2 ** 24
        counts_CC += (positive_BC.T @ positive_BC).astype(np.int64)
        start += len(labels_BC)
    return Labels(names, counts_CC)


def build(method: Method, config: Any, labels: Labels, seed: int) -> nn.Module:
    """The model before training: the recipe's trunk, and all other layers with random weights.

    The weights of a layer depend on the seed and on the layer's name alone, so a layer of the same name and
    shape has the same ones in every method. The global random state does not change.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed_for(seed, "trunk"))
        loaded_trunk = trunk.load_trunk(
            config.trunk,
            input_size=config.input_size,
            weights=str(config.trunk_weights),
            from_scratch=config.from_scratch,
        )
        model = method.Model(config, labels, loaded_trunk)
        for name, module in model.named_modules():
            if not name.startswith("trunk") and callable(reset := getattr(module, "reset_parameters", None)):
                torch.manual_seed(_seed_for(seed, name))
                reset()
    for name, module in model.named_modules():
        if not name.startswith("trunk") and callable(zero := getattr(module, "zero_init_last", None)):
            zero()  # a new residual block of timm's is then the identity at first, as in timm's own networks
    return model


def _seed_for(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8])


def _parse(name: str, text: str, *, current: Any, type_args: tuple[Any, ...]) -> Any:
    """The value that a text stands for, in the type of the field's current value.

    type_args: the arguments of the field's type: of `tuple[int, ...]` and `int | None` the first is `int`, of
    `Literal["a", "b"]` they are the choices.
    """
    if type_args and not isinstance(type_args[0], type):
        choices = {str(choice): choice for choice in type_args}
        if text not in choices:
            raise InputError(f"{name}={text[: schema.LONGEST_SHOWN]}: choose from: {', '.join(choices)}")
        return choices[text]
    if isinstance(current, File) and text and not Path(trunk_weights.file_of_package(text)).is_file():
        raise InputError(f"{name}={text}: there is no such file")
    try:
        if isinstance(current, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(current, tuple):
            return tuple(type_args[0](part) for part in text.split(",") if part)
        if type(None) in type_args:  # int | None
            return None if text.lower() == "none" else type_args[0](text)
        return type(current)(text)
    except (ValueError, KeyError) as error:
        given = f"{name}={text[: schema.LONGEST_SHOWN]}"
        raise InputError(f"{given}: give {_wanted(name, current, type_args)}") from error


def _wanted(name: str, current: Any, type_args: tuple[Any, ...]) -> str:
    """What a field takes, in words, with an example: `a whole number, as in epochs=30`."""
    is_many, is_optional = isinstance(current, tuple), type(None) in type_args
    kind = type_args[0] if is_many or is_optional else type(current)
    words = schema.TYPE_NAMES.get(kind, kind.__name__)
    if is_many:
        words = words.removeprefix("a ") + "s, with commas between them"
    example = {int: "3", float: "0.5"}.get(kind, "") if current in (None, ()) else current
    shown = ",".join(map(str, current)) if is_many and current else str(example)
    shown = shown.lower() if isinstance(current, bool) else shown
    return f"{words}{', or none' if is_optional else ''}, as in {name}={shown}"
