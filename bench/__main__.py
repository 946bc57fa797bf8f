"""List all commands, methods and data sets, one line each."""

import ast
import runpy
import sys
from pathlib import Path
from typing import NoReturn

from bench.base import method_names
from bench.base.cli import MODULE, SCRIPT, Parser, add_include, run_command
from bench.base.errors import unknown
from bench.data import cards


def commands() -> dict[str, str]:
    """The first line of the docstring of every module or package that can be run, by module name.

    The files are parsed, not imported: importing would take seconds.
    """
    package = Path(__file__).parent
    summaries = {}
    for path in sorted([*package.glob("[!_]*.py"), *package.glob("[!_]*/__main__.py")]):
        text = path.read_text(encoding="utf-8")
        if '\nif __name__ == "__main__":' in text:
            module = path.parent if path.name == "__main__.py" else path
            summaries[f"bench.{module.stem}"] = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return summaries


def main(argv: list[str] | None = None) -> int:
    by_script = Parser.by_script
    parser = Parser(prog=SCRIPT.strip() if by_script else MODULE.strip("."), description=__doc__)
    add_include(parser)
    parser.parse_args(argv)
    named = {_short(name): summary for name, summary in commands().items()} if by_script else commands()
    sections = {
        f"Commands (details: {SCRIPT if by_script else 'python -m '}NAME --help)": named,
        "Methods (--method NAME in any spelling, or --method all)": method_names.method_summaries(),
        "Data sets (--dataset NAME)": {name: cards.load_card(name).summary for name in cards.names()},
    }
    for heading, summaries in sections.items():
        print(heading)
        for name, summary in summaries.items():
            print(f"  {name:<26} {summary}")
    return 0


def script() -> NoReturn:
    """`multilabel-bench COMMAND ...` is `python -m bench.COMMAND ...`; without a command it lists them."""
    Parser.by_script = True
    run_command(_start_command)


def _start_command() -> int:
    words = sys.argv[1:]
    if not words or words[0].startswith("-"):
        return main()
    known = [_short(name) for name in commands()]
    if words[0] not in known:
        raise unknown("command", words[0], known)
    sys.argv[1:] = words[1:]
    runpy.run_module(f"bench.{words[0]}", run_name="__main__", alter_sys=True)  # it ends the process itself
    return 0


def _short(name: str) -> str:
    return name.removeprefix("bench.")


if __name__ == "__main__":
    run_command(main)
