"""Export a trained model as a folder in the Hugging Face Hub's layout: weights, configuration, model card.

`python -m bench.export --run demo/srn-seed0 --output DIR`

`bench.predict --run DIR` needs nothing else than this folder. With `--onnx` it also gets the model in ONNX,
after a check that onnxruntime gives the same logits. With `--push ORG/NAME` the written files are also pushed
to that repository of the Hub, in one commit; `bench.predict --run hf:ORG/NAME` then uses them anywhere.
"""

import argparse
from pathlib import Path

from bench.base import hub
from bench.base.cli import Parser, add_include, add_runs, run_command, written
from bench.base.errors import InputError
from bench.deploy.find_run import find_run
from bench.results import record as records


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if args.private and not args.push:
        raise InputError("--private belongs to --push ORG/NAME")
    if args.push:
        hub.check_push(args.push, "model", where="--push", private=args.private)
    import torch  # noqa: PLC0415 (help comes without waiting for it)

    from bench.deploy import hub_folder, load_model  # noqa: PLC0415 (torch)

    hub_folder.require_new(args.output)
    loaded = load_model.load_model(find_run(args.run, args.runs), torch.device("cpu"))
    address = f"{hub.PREFIX}{args.push}" if args.push else "DIR"
    files = hub_folder.write_folder(loaded, args.output, onnx=args.onnx, address=address)
    for path in files:
        print(f"{written(path)} ({path.stat().st_size:,} bytes)")
    if args.push:
        there = hub.Address("model", args.push)
        message = f"{records.record_name(dict(loaded.record))} on {loaded.record['dataset']}"
        stale = [name for name in (hub_folder.ONNX,) if not args.onnx]
        contents = {path.name: path for path in files}
        print(f"pushed: {hub.push(contents, there, private=args.private, message=message, drop=stale)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.export", description=__doc__)
    add = parser.add_argument
    add("--run", required=True, metavar="RUN", help="a run's name, its record, or hf:ORG/NAME")
    add("--output", type=Path, required=True, metavar="DIR", help="a new or empty folder")
    add("--onnx", action="store_true", help="add the model in ONNX (not possible for MCAR)")
    text = "push the files to this repository of the Hugging Face Hub; it is made if there is none"
    add("--push", metavar="ORG/NAME", help=text)
    add("--private", action="store_true", help="with --push: only into a private repository")
    add_runs(parser)
    add_include(parser)
    return parser


if __name__ == "__main__":
    run_command(main)
