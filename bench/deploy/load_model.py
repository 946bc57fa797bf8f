"""A finished run, or what bench.export made of it -> its model, without data, network or training.

Legend: B images, H = W = the side that the model takes, C labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.base import schema
from bench.base.errors import InputError
from bench.base.paths import RUNS
from bench.base.run_folder import RunFolder
from bench.base.structured_files import read_json_object
from bench.results import record
from bench.results.record import Record
from bench.training import device, method, tensor_file
from bench.training.batches import InputTransform
from bench.training.method import File, Labels, Method
from bench.training.stages import Collection

# What an exported model's folder holds, and what the configuration in it calls itself.
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
MODEL = "multilabel-bench/model/1"


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode, and what is to be known of it.

    tensors: all that it was made from. facts: its record. labels: their names, in the order of its logits.
    pixels: how images become its input. input_size: their side.
    """

    model: nn.Module
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]
    labels: tuple[str, ...]
    pixels: InputTransform
    input_size: int

    def prepared(self, images_BHWC: NDArray[np.uint8]) -> Tensor:
        """The model's input (B, 3, H, W) for images whose side is `input_size`."""
        images = torch.from_numpy(images_BHWC).to(self.pixels.device)
        return self.pixels.normalise(images.permute(0, 3, 1, 2).float())

    @torch.no_grad()
    def logits(self, images_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The final logits (B, C)."""
        with device.autocast(self.pixels.device):
            logits_BC: Tensor = self.model.logits(self.prepared(images_BHWC))  # type: ignore[operator]
        return logits_BC.float().cpu().numpy()


def find_run(run: str, runs: Path = RUNS) -> Path:
    """The record that a user means by its path or its name, `srn-seed0` or `demo/srn-seed0`; InputError
    lists the runs there are.
    """
    if (path := Path(run)).exists():
        return path
    there = {f"{path.parent.name}/{path.stem}": path for path in sorted(runs.glob("*/*.json"))}
    found = [name for name in there if run in (name, there[name].stem, there[name].name)]
    if len(found) > 1:
        raise InputError(f"--run {run}: which one? choose from: {', '.join(found)}")
    if not found:
        known = f"choose from: {', '.join(there)}" if there else "train one with python -m bench.run"
        raise InputError(f"--run {run}: neither a path nor a run in {record.shown(runs)}; {known}")
    return there[found[0]]


def load_model(path: Path, on: torch.device) -> LoadedModel:
    """The model that a record's stages left behind, or that a folder holds; its logits are what they were.

    InputError where something is missing, damaged, or of other code.
    """
    if path.is_dir():
        facts, labels = _configured(path / CONFIG)
        return build(facts, tensor_file.load(path / WEIGHTS)[0], on, labels=labels, source=path)
    facts = record.read(path)
    tensors: dict[str, Tensor] = {}
    for stage in facts["stages"]:
        tensors |= _result(path, facts, stage)
    return build(facts, tensors, on, labels=label_names(facts), source=path)


def label_names(facts: Record) -> tuple[str, ...]:
    """The labels of a record in the order of the data set's card."""
    profile = facts["protocol"]["profile"]
    if not (labels := tuple(facts["metrics"][profile].get("AP", ()))):
        raise InputError(f"no metrics.{profile}.AP")
    return labels


def build(
    facts: Record, tensors: Mapping[str, Tensor], on: torch.device, *, labels: tuple[str, ...], source: Path
) -> LoadedModel:
    """The model that a record describes, every tensor of it taken from `tensors`.

    labels: their names, in the order of its logits. source: for messages.
    """
    module = method.load_method(facts["method"])
    config = _config(module, facts["recipe"], source)
    # What a method takes of the co-occurrence it keeps in its state: here any matrix does.
    unknown = Labels(labels, np.eye(len(labels), dtype=np.int64))
    try:
        model, stages = method.build(module, config, unknown, facts["seed"]), module.stages(config)
        _fill(model, dict(tensors), [stage for stage in stages if isinstance(stage, Collection)])
    except (RuntimeError, KeyError) as fault:
        reason = " ".join(str(fault).split())[:300]
        raise _of_other_code(source, facts, reason) from fault
    model.to(on).to(memory_format=torch.channels_last).eval()
    pixels = InputTransform(model.trunk.mean, model.trunk.std, on)  # type: ignore[arg-type]
    return LoadedModel(model, tensors, facts, labels, pixels, stages[-1].input_size)


def _fill(model: nn.Module, tensors: dict[str, Tensor], collections: list[Collection]) -> None:
    """Give the model its state and what it collected; RuntimeError where a tensor is missing, or one too
    many.
    """
    outside = {name: buffer for name, buffer in model.named_buffers() if name not in model.state_dict()}
    for stage in collections:
        stage.keep(model, tensors.pop(stage.rows).float(), tensors.pop(stage.labels).float())
    if lost := [name for name, buffer in outside.items() if model.get_buffer(name) is buffer]:
        raise RuntimeError(f"made from data that its stages do not hold: {min(lost)}")
    model.load_state_dict(tensors)


def _configured(path: Path) -> tuple[Record, tuple[str, ...]]:
    """The record in the configuration of an exported model, and its labels in the order of its logits."""
    if not path.exists():
        raise InputError(f"{path.parent}: not an exported model: no {path.name} in it")
    table = read_json_object(path)
    try:
        if table.get("schema") != MODEL:
            raise InputError(f"its schema is not {MODEL!r}")
        record.check(table.get("record"))
        return dict(table["record"]), _numbered(table.get("id2label"), label_names(table["record"]))
    except InputError as mistake:
        raise InputError(f"{path}: not the configuration of an exported model: {mistake}") from mistake


def _numbered(names: object, known: tuple[str, ...]) -> tuple[str, ...]:
    """The labels by their numbers: the order of keys says nothing, as other programs may sort them."""
    if not isinstance(names, dict) or names.keys() != {str(place) for place in range(len(known))}:
        raise InputError(f"its id2label does not number {len(known)} labels from 0")
    labels = tuple(names[str(place)] for place in range(len(known)))
    if strange := [name for name in labels if name not in known] or sorted(set(known) - set(labels)):
        raise InputError(f"label {strange[0]!r} is not in both id2label and the AP of its record")
    return labels


def _result(path: Path, facts: Record, stage: Mapping[str, Any]) -> dict[str, Tensor]:
    file = RunFolder(path.parent).stages / f"{stage['key']}.safetensors"
    if not file.exists():
        command = f"python -m bench.run --dataset {facts['dataset']} --method {facts['method']}"
        raise InputError(
            f"{record.shown(path)}: its stage {stage['name']} is not there ({record.shown(file)}); "
            f"train it again: {command} --seeds {facts['seed']}"
        )
    return tensor_file.load(file)[0]


def _config(module: Method, recipe: Mapping[str, Any], source: Path) -> Any:
    """The recipe as the method has it; its files are not read, as the stages hold what became of them."""
    kinds = schema.field_types(module.Config)
    if strange := sorted(recipe.keys() - kinds.keys()):
        raise InputError(f"{record.shown(source)}: made by other code: unknown recipe field {strange[0]!r}")
    try:
        values = {
            name: File() if kinds[name] is File else schema.read_value(kinds[name], value, where=name)
            for name, value in recipe.items()
        }
        return module.Config(**{**values, "from_scratch": True})
    except InputError as mistake:
        raise InputError(f"{record.shown(source)}: its recipe: {mistake}") from mistake


def _of_other_code(source: Path, facts: Record, reason: str) -> InputError:
    commit = facts["provenance"].get("commit")
    remedy = f"check out {str(commit)[:12]}" if commit else "use the code that made it"
    return InputError(f"{record.shown(source)}: its tensors do not fit this code ({reason}); {remedy}")
