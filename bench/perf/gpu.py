"""Measure what only a GPU can show, in two parts of at most five minutes each.

`python -m bench.perf gpu --part 1` measures training steps, evaluation and the usual loop beside them, and
lists the kernels of a step. `--part 2` runs the tests that need a GPU, then rehearses MS-COCO at a tenth.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import torch

from bench.base.cli import Parser, run_command
from bench.base.errors import InputError
from bench.base.paths import IS_INSTALLED, PERF, WORKPLACE
from bench.perf import train

STEPS = (
    "--method",
    "resnet101,srn",
    "--modes",
    "eager,fused,fp16",
    "--quick",
    "--against",
    "loader",
    "--profile",
)
TESTS = ("-m", "pytest", "-q", "-n", "0", "tests/training/test_on_gpu.py")
REHEARSAL = ("-m", "bench.rehearse", "--dataset", "coco", "--share", "0.1", "--method", "resnet101,srn")


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if not torch.cuda.is_available():
        raise InputError("there is no GPU; python -m bench.perf train measures a small network on the CPU")
    if args.part == 1:
        return train.main([*STEPS, "--output", str(args.output)])
    commands = [REHEARSAL] if IS_INSTALLED else [TESTS, REHEARSAL]
    statuses = [
        subprocess.run([sys.executable, *words], cwd=WORKPLACE, check=False).returncode for words in commands
    ]
    return next(filter(None, statuses), 0)  # negative where a signal ended the command


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.perf gpu", description=__doc__)
    parser.add_argument("--part", type=int, choices=(1, 2), required=True, help="see above")
    text = "folder for the results of part 1 (default: results/perf)"
    parser.add_argument("--output", type=Path, default=PERF, metavar="DIR", help=text)
    return parser


if __name__ == "__main__":
    run_command(main)
