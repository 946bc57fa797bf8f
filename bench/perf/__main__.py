"""Measure speed and memory and compare them with goals: `python -m bench.perf metrics`, and others."""

import argparse
import ast
import importlib
from pathlib import Path

from bench.base import signals
from bench.base.cli import Parser, run_command
from bench.base.code_digest import parse
from bench.base.errors import unknown


def measurements() -> dict[str, str]:
    """The first line of each measurement's docstring, by file name, read without importing the file.

    A measurement is a file with a function `main`.
    """
    summaries = {}
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        module = parse(path)
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in module.body):
            summaries[path.stem] = (ast.get_docstring(module) or "").partition("\n")[0]
    return summaries


def main(argv: list[str] | None = None) -> int:
    available = measurements()
    listing = "\n".join(f"  {name:<10} {summary}" for name, summary in available.items())
    parser = Parser(prog="python -m bench.perf", description=f"{__doc__}\n\n{listing}")
    parser.add_argument("what", nargs="?", default="", metavar="WHAT", help=f"one of: {', '.join(available)}")
    parser.add_argument(
        "options", nargs=argparse.REMAINDER, help="of the measurement; WHAT --help lists them"
    )
    args = parser.parse_args(argv)
    if args.what not in available:
        raise unknown("measurement", args.what, available)
    return int(importlib.import_module(f"bench.perf.{args.what}").main(args.options) or 0)


if __name__ == "__main__":
    signals.exit_on_sigterm()
    run_command(main)
