"""A finished run -> its model: from the record and its stages' results, without data, network or training."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench import checkpoint, method, record
from bench.batches import Pixels
from bench.errors import InputError
from bench.method import Labels, Method
from bench.paths import RUNS
from bench.record import Record


@dataclass(frozen=True)
class Trained:
    """A model in evaluation mode, and what is to be known of it.

    facts: its record. labels: their names, in the order of its logits. pixels: how images become its input.
    input_size: their side.
    """

    model: nn.Module
    facts: Mapping[str, Any]
    labels: tuple[str, ...]
    pixels: Pixels
    input_size: int


def find(run: str, runs: Path = RUNS) -> Path:
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


def load(path: Path, device: torch.device) -> Trained:
    """The model that a record's stages left behind; InputError where one is missing, damaged, or of other
    code.
    """
    facts = record.read(path)
    tensors: dict[str, Tensor] = {}
    for stage in facts["stages"]:
        tensors |= _result(path, facts, stage)
    return build(facts, tensors, device, source=path)


def label_names(facts: Record) -> tuple[str, ...]:
    """The labels of a record in the order of the data set's card."""
    return tuple(facts["metrics"][facts["protocol"]["profile"]]["AP"])


def build(facts: Record, tensors: Mapping[str, Tensor], device: torch.device, *, source: Path) -> Trained:
    """The model that a record describes, every tensor of it taken from `tensors`; source: for messages."""
    module = method.load(facts["method"])
    config, labels = _config(module, facts["recipe"], source), label_names(facts)
    # What a method takes of the co-occurrence it keeps in its tensors: here any matrix does.
    unknown = Labels(labels, np.eye(len(labels), dtype=np.int64))
    model = method.build(module, config, unknown, facts["seed"])
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as fault:
        reason = " ".join(str(fault).split())[:300]
        raise _of_other_code(source, facts, reason) from fault
    model.to(device).to(memory_format=torch.channels_last).eval()
    pixels = Pixels(model.trunk.mean, model.trunk.std, device)  # type: ignore[arg-type]
    return Trained(model, facts, labels, pixels, module.stages(config)[-1].input_size)


def _result(path: Path, facts: Record, stage: Mapping[str, Any]) -> dict[str, Tensor]:
    file = path.parent / "stages" / f"{stage['key']}.safetensors"
    if not file.exists():
        command = f"python -m bench.run --dataset {facts['dataset']} --method {facts['method']}"
        raise InputError(
            f"{record.shown(path)}: its stage {stage['name']} is not there ({record.shown(file)}); "
            f"train it again: {command} --seeds {facts['seed']}"
        )
    return checkpoint.load(file)[0]


def _config(module: Method, recipe: Mapping[str, Any], source: Path) -> Any:
    """The recipe as the method has it; pretrained weights are not read, as the stages hold what became of
    them.
    """
    known = {field.name for field in dataclasses.fields(module.Config)}
    if strange := sorted(recipe.keys() - known):
        raise InputError(f"{record.shown(source)}: made by other code: unknown recipe field {strange[0]!r}")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in recipe.items()}
    return module.Config(**{**values, "from_scratch": True, "trunk_weights": ""})


def _of_other_code(source: Path, facts: Record, reason: str) -> InputError:
    commit = facts["provenance"].get("commit")
    remedy = f"check out {commit[:12]}" if commit else "use the code that made it"
    return InputError(f"{record.shown(source)}: its tensors do not fit this code ({reason}); {remedy}")
