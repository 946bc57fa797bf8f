"""List all commands, methods and data sets, one line each."""

import ast
from pathlib import Path

from bench.base import method_names
from bench.base.cli import Parser, run_command
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
    Parser(prog="python -m bench", description=__doc__).parse_args(argv)
    sections = {
        "Commands (details: python -m NAME --help)": commands(),
        "Methods (--method NAME in any spelling, or --method all)": method_names.method_summaries(),
        "Data sets (--dataset NAME)": {name: cards.load_card(name).summary for name in cards.names()},
    }
    for heading, summaries in sections.items():
        print(heading)
        for name, summary in summaries.items():
            print(f"  {name:<26} {summary}")
    return 0


if __name__ == "__main__":
    run_command(main)
