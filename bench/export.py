"""Write a trained model as a folder in the Hugging Face Hub's layout: weights, configuration, model card.

`python -m bench.export --run demo/srn-seed0 --output DIR`

The folder is all that bench.predict needs: `--run DIR`. `--onnx` adds the model in ONNX, checked against
onnxruntime.
"""

import json
from pathlib import Path
from typing import Any

import torch

from bench.base import checksums, method_names
from bench.base.atomic_files import write_atomically
from bench.base.cli import Parser, add_runs, run_command, written
from bench.base.errors import InputError
from bench.deploy import load_model, model_card
from bench.deploy.load_model import CONFIG, MODEL, WEIGHTS, LoadedModel
from bench.results import record
from bench.training import tensor_file

ONNX = "model.onnx"


def export(found: LoadedModel, folder: Path, *, onnx: bool = False) -> list[Path]:
    """Write the model's files into a folder that is empty or not there; the configuration comes last, so that
    a folder that has one is whole.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"--output {folder}: not an empty folder; give a new one")
    written = [_onnx(found, folder / ONNX)] if onnx else []
    tensor_file.save(folder / WEIGHTS, dict(found.tensors), {"schema": MODEL})
    card = write_atomically(folder / "README.md", model_card.text(found, onnx=onnx))
    configured = configuration(found)
    configured[checksums.KEY] = checksums.of_object(configured)
    text = json.dumps(configured, indent=1, ensure_ascii=False) + "\n"
    return [folder / WEIGHTS, *written, card, write_atomically(folder / CONFIG, text)]


def configuration(found: LoadedModel) -> dict[str, Any]:
    """What config.json holds: what other programs look for there, under its usual names, and the record."""
    return {
        "schema": MODEL,
        "architectures": [method_names.display_name(found.facts["method"])],
        "problem_type": "multi_label_classification",
        "id2label": dict(enumerate(found.labels)),
        "label2id": {name: place for place, name in enumerate(found.labels)},
        "image_size": found.input_size,
        "image_mean": found.pixels.mean,
        "image_std": found.pixels.std,
        "record": record.with_checksum(dict(found.facts)),
    }


def _onnx(found: LoadedModel, path: Path) -> Path:
    from bench.deploy import onnx_model  # noqa: PLC0415 (its packages need not be there)

    return onnx_model.write(found, path)


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m bench.export", description=__doc__)
    parser.add_argument("--run", required=True, metavar="RUN", help="a run's name, or its record's path")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument(
        "--onnx",
        action="store_true",
        help="add the model in ONNX, if ONNX can express it (not MCAR)",
    )
    add_runs(parser)
    args = parser.parse_args(argv)
    found = load_model.load_model(load_model.find_run(args.run, args.runs), torch.device("cpu"))
    for path in export(found, args.output, onnx=args.onnx):
        print(f"{written(path)} ({path.stat().st_size:,} bytes)")
    return 0


if __name__ == "__main__":
    run_command(main)
