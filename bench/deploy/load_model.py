"""Load the model of a finished run, or one that bench.export wrote, without data, network or training.

Legend: B images, H = W = the side in pixels that the model takes, C labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.base import checksums, schema
from bench.base.errors import InputError
from bench.base.run_folder import RunFolder
from bench.base.structured_files import read_json_object
from bench.data import card_options
from bench.results import record as records
from bench.results.record import Record
from bench.training import device, method, tensor_file
from bench.training.batches import InputTransform
from bench.training.method import File, Labels, Method
from bench.training.stages import Collection

# The files of an exported model's folder, and the schema that its configuration names.
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
SCHEMA = "multilabel-bench/model/1"


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode, with what is needed to use it.

    tensors: everything that the model was built from. record: the record of its run. labels: their names, in
    the order of the model's logits. transform: from pixels to the model's input. input_size: side in pixels.
    """

    model: nn.Module
    tensors: Mapping[str, Tensor]
    record: Mapping[str, Any]
    labels: tuple[str, ...]
    transform: InputTransform
    input_size: int

    @property
    def exif(self) -> str:
        """The rule about EXIF orientation that its training images followed: "ignore" in old records."""
        return str(self.record["data"].get("exif", "ignore"))

    @property
    def thresholds(self) -> Mapping[str, Any]:
        """The record's thresholds of the labels, fitted on held-out images; empty in older records."""
        return dict(self.record.get("thresholds", {}))

    def predicted(self, logits_BC: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Which logits pass the threshold of their label, (B, C); None if the record has no thresholds."""
        if not self.thresholds:
            return None
        otherwise, fitted = self.thresholds["otherwise"], self.thresholds["logits"]
        of_labels = [fitted.get(name) for name in self.labels]
        thresholds_C = np.array([otherwise["logit"] if logit is None else logit for logit in of_labels])
        compare = {">": np.greater, ">=": np.greater_equal}[otherwise["compare"]]
        return np.asarray(compare(logits_BC, thresholds_C))

    @property
    def resample(self) -> card_options.Resample:
        """How its images were resized: antialiased in old records."""
        how: card_options.Resample = self.record["data"].get("resample", "antialiased")
        return how

    @property
    def storage(self) -> card_options.Storage:
        """How its images were stored: as pixels, if its record says nothing."""
        how: card_options.Storage = self.record["data"].get("storage", "pixels")
        return how

    def prepare(self, images_BHWC: NDArray[np.uint8]) -> Tensor:
        """The model's input (B, 3, H, W) for images whose side is `input_size`."""
        images = torch.from_numpy(images_BHWC).to(self.transform.device)
        return self.transform.normalise(images.permute(0, 3, 1, 2).float())

    @torch.no_grad()
    def logits(self, images_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The final logits (B, C)."""
        with device.autocast(self.transform.device):
            logits_BC: Tensor = self.model.logits(self.prepare(images_BHWC))  # type: ignore[operator]
        return logits_BC.float().cpu().numpy()


def load_model(path: Path, target: torch.device) -> LoadedModel:
    """The model of a run (path: its record), or of an exported folder; its logits are those of the run.

    InputError: a file is missing or damaged, or was made by other code.
    """
    if path.is_dir():
        record, labels = _read_configuration(path / CONFIG)
        return build(record, tensor_file.load(path / WEIGHTS)[0], target, labels=labels, source=path)
    record = records.read_record(path)
    tensors: dict[str, Tensor] = {}
    for stage in record["stages"]:
        tensors |= _read_stage(path, record, stage)
    return build(record, tensors, target, labels=label_names(record), source=path)


def label_names(record: Record) -> tuple[str, ...]:
    """The labels of a record, in the order of the data set's card."""
    profile = record["protocol"]["profile"]
    if not (labels := tuple(record["metrics"][profile].get("AP", ()))):
        raise InputError(f"no metrics.{profile}.AP")
    return labels


def build(
    record: Record,
    tensors: Mapping[str, Tensor],
    target: torch.device,
    *,
    labels: tuple[str, ...],
    source: Path,
) -> LoadedModel:
    """The model that a record describes, with all its tensors taken from `tensors`.

    labels: their names, in the order of the model's logits. source: the path that messages name.
    """
    try:
        module = method.load_method(record["method"])
    except InputError as mistake:
        wrong = f"{records.shown(source)}: a model is built by the code of this checkout alone"
        raise InputError(f"{wrong}: {mistake}") from mistake
    config = _config(module, record["recipe"], source)
    # A method keeps what it uses of the label co-occurrence in its state, so any matrix does here.
    label_facts = Labels(labels, np.eye(len(labels), dtype=np.int64))
    try:
        model = method.build(module, config, label_facts, record["seed"])
        stages = module.stages(config)
        _fill(model, dict(tensors), [stage for stage in stages if isinstance(stage, Collection)])
    except (RuntimeError, KeyError) as fault:
        reason = " ".join(str(fault).split())[:300]
        raise _tensors_do_not_fit(source, record, reason) from fault
    model.to(target).to(memory_format=torch.channels_last).eval()
    transform = InputTransform(model.trunk.mean, model.trunk.std, target)  # type: ignore[arg-type]
    return LoadedModel(model, tensors, record, labels, transform, stages[-1].input_size)


def _fill(model: nn.Module, tensors: dict[str, Tensor], collections: list[Collection]) -> None:
    """Give the model its state, and what its collections gathered; tensors is emptied of the latter.

    RuntimeError: a tensor is missing, or there is one that the model does not have.
    """
    state = model.state_dict()
    not_in_state = {name: buffer for name, buffer in model.named_buffers() if name not in state}
    for stage in (stage for stage in collections if stage.stores == "rows"):
        stage.keep(model, tensors.pop(stage.rows).float(), tensors.pop(stage.labels).float())
    # A buffer outside the state that no collection replaced still holds what `build` made up.
    if unfilled := [name for name, buffer in not_in_state.items() if model.get_buffer(name) is buffer]:
        raise RuntimeError(f"made from data that its stages do not hold: {min(unfilled)}")
    model.load_state_dict(tensors)


def _read_configuration(path: Path) -> tuple[Record, tuple[str, ...]]:
    """The record in the configuration of an exported model, and its labels in the order of its logits."""
    if not path.exists():
        raise InputError(
            f"{path.parent}: not an exported model: no {path.name} in it; --run takes such a folder, or"
            " a run: python -m bench.runs lists them"
        )
    table = read_json_object(path)
    try:
        if table.get("schema") != SCHEMA:
            raise InputError(f"its schema is not {SCHEMA!r}")
        record = records.verified(table.get("record"))
        labels = _labels_by_number(table.get("id2label"), label_names(record))
        stated = table.get(checksums.KEY)
        if stated is not None and stated != checksums.of_object(table):
            raise InputError("changed after bench.export wrote it: its checksum does not fit; export again")
    except InputError as mistake:
        raise InputError(f"{path}: not the configuration of an exported model: {mistake}") from mistake
    return record, labels


def _labels_by_number(id2label: object, record_labels: tuple[str, ...]) -> tuple[str, ...]:
    """The labels by their numbers, not by the order of the keys, as other programs may sort these."""
    numbers = [str(number) for number in range(len(record_labels))]
    if not isinstance(id2label, dict) or id2label.keys() != set(numbers):
        raise InputError(f"its id2label does not number {len(record_labels)} labels from 0")
    labels = tuple(id2label[number] for number in numbers)
    unknown = [name for name in labels if name not in record_labels]
    if differing := unknown or sorted(set(record_labels) - set(labels)):
        raise InputError(f"label {differing[0]!r} is not in both id2label and the AP of its record")
    return labels


def _read_stage(path: Path, record: Record, stage: Mapping[str, Any]) -> dict[str, Tensor]:
    file = RunFolder(path.parent).stages / f"{stage['key']}.safetensors"
    if not file.exists():
        command = f"python -m bench.run --dataset {record['dataset']} --method {record['method']}"
        raise InputError(
            f"{records.shown(path)}: the weights of its stage {stage['name']} are missing "
            f"({records.shown(file)}); train it again: {command} --seeds {record['seed']}"
        )
    return tensor_file.load(file)[0]


def _config(module: Method, recipe: Mapping[str, Any], source: Path) -> Any:
    """The method's Config with the values of a recipe.

    Fields that name files are left empty: the stages hold what was made from these files. The same holds for
    pretrained weights (`from_scratch`).
    """
    kinds = schema.field_types(module.Config)
    if unknown := sorted(recipe.keys() - kinds.keys()):
        raise InputError(f"{records.shown(source)}: made by other code: unknown recipe field {unknown[0]!r}")
    try:
        values = {
            name: File() if kinds[name] is File else schema.read_value(kinds[name], value, where=name)
            for name, value in recipe.items()
        }
        return module.Config(**{**values, "from_scratch": True})
    except InputError as mistake:
        raise InputError(f"{records.shown(source)}: its recipe: {mistake}") from mistake


def _tensors_do_not_fit(source: Path, record: Record, reason: str) -> InputError:
    commit = record["provenance"].get("commit")
    version = record["provenance"].get("installed", {}).get("version")
    remedy = f"use the code that made it{f': multilabel-bench {version}' if version else ''}"
    remedy = f"check out {str(commit)[:12]}" if commit else remedy
    return InputError(f"{records.shown(source)}: its tensors do not fit this code ({reason}); {remedy}")
