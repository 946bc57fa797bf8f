"""Write a loaded model as a folder in the Hugging Face Hub's layout: weights, configuration, model card."""

import json
from pathlib import Path
from typing import Any

from bench.base import checksums, method_names
from bench.base.atomic_files import write_atomically
from bench.base.errors import InputError
from bench.deploy import model_card
from bench.deploy.load_model import CONFIG, SCHEMA, WEIGHTS, LoadedModel
from bench.results import record as records
from bench.training import tensor_file

ONNX = "model.onnx"


def write_folder(
    loaded: LoadedModel, folder: Path, *, onnx: bool = False, address: str = "DIR"
) -> list[Path]:
    """Write the model's files into a new or empty folder; InputError if the folder holds anything.

    address: of the model, for its card. The configuration is written last: a folder that has one is complete.
    """
    require_new(folder)
    onnx_files = [_write_onnx(loaded, folder / ONNX)] if onnx else []
    tensor_file.save(folder / WEIGHTS, dict(loaded.tensors), {"schema": SCHEMA})
    card = write_atomically(folder / "README.md", model_card.text(loaded, onnx=onnx, address=address))
    content = configuration(loaded)
    content[checksums.KEY] = checksums.of_object(content)
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    return [folder / WEIGHTS, *onnx_files, card, write_atomically(folder / CONFIG, text)]


def require_new(folder: Path) -> None:
    """InputError if the folder holds anything."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"--output {folder}: not an empty folder; give a new one")


def configuration(loaded: LoadedModel) -> dict[str, Any]:
    """The content of config.json: the entries that other programs look for, and the whole record."""
    return {
        "schema": SCHEMA,
        "architectures": [method_names.display_name(loaded.record["method"])],
        "problem_type": "multi_label_classification",
        "id2label": dict(enumerate(loaded.labels)),
        "label2id": {name: index for index, name in enumerate(loaded.labels)},
        "image_size": loaded.input_size,
        "image_mean": loaded.transform.mean,
        "image_std": loaded.transform.std,
        "record": records.with_checksum(dict(loaded.record)),
    }


def _write_onnx(loaded: LoadedModel, path: Path) -> Path:
    from bench.deploy import onnx_model  # noqa: PLC0415 (needs optional packages)

    return onnx_model.write_onnx(loaded, path)
