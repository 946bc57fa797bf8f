"""Measure speed and memory: `python -m bench.perf metrics`, and so on; each against its goal."""

import argparse
import ast
import importlib
from pathlib import Path

from bench.base.cli import Parser, run_command
from bench.base.code_digest import parse
from bench.base.errors import unknown


def measurements() -> dict[str, str]:
    """File name -> the first line of its docstring, read without importing it."""
    lines = {}
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        docstring = ast.get_docstring(parse(path)) or ""
        lines[path.stem] = docstring.partition("\n")[0]
    return lines


def main(argv: list[str] | None = None) -> int:
    known = measurements()
    listing = "\n".join(f"  {name:<10} {line}" for name, line in known.items())
    parser = Parser(prog="python -m bench.perf", description=f"{__doc__}\n\n{listing}")
    parser.add_argument("what", nargs="?", default="", metavar="WHAT", help=f"one of: {', '.join(known)}")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="its own; --help lists them")
    args = parser.parse_args(argv)
    if args.what not in known:
        raise unknown("measurement", args.what, known)
    return int(importlib.import_module(f"bench.perf.{args.what}").main(args.options) or 0)


if __name__ == "__main__":
    run_command(main)
