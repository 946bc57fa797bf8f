"""Export a trained model as a folder in the Hugging Face Hub's layout: weights, configuration, model card.

`python -m bench.export --run demo/srn-seed0 --output DIR`

`bench.predict --run DIR` needs nothing else than this folder. With `--onnx` it also gets the model in ONNX,
after a check that onnxruntime gives the same logits.
"""

import argparse
from pathlib import Path

from bench.base.cli import Parser, add_include, add_runs, run_command, written
from bench.deploy.find_run import find_run


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    import torch  # noqa: PLC0415 (help comes without waiting for it)

    from bench.deploy import hub_folder, load_model  # noqa: PLC0415 (torch)

    hub_folder.require_new(args.output)
    loaded = load_model.load_model(find_run(args.run, args.runs), torch.device("cpu"))
    for path in hub_folder.write_folder(loaded, args.output, onnx=args.onnx):
        print(f"{written(path)} ({path.stat().st_size:,} bytes)")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.export", description=__doc__)
    add = parser.add_argument
    add("--run", required=True, metavar="RUN", help="a run's name, or the path of its record")
    add("--output", type=Path, required=True, metavar="DIR", help="a new or empty folder")
    add("--onnx", action="store_true", help="add the model in ONNX (not possible for MCAR)")
    add_runs(parser)
    add_include(parser)
    return parser


if __name__ == "__main__":
    run_command(main)
