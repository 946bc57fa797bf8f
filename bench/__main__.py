"""List what there is: commands, methods and data set cards, one line each."""

import ast
from pathlib import Path

from bench.base import method_names
from bench.base.cli import Parser, run_command
from bench.data import cards


def commands() -> dict[str, str]:
    """Module -> the first line of its docstring, for every module or package that can be run; read without
    importing it.
    """
    here = Path(__file__).parent
    found = {}
    for path in sorted([*here.glob("[!_]*.py"), *here.glob("[!_]*/__main__.py")]):
        text = path.read_text(encoding="utf-8")
        if '\nif __name__ == "__main__":' in text:
            module = path.parent if path.name == "__main__.py" else path
            found[f"bench.{module.stem}"] = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return found


def main(argv: list[str] | None = None) -> int:
    Parser(prog="python -m bench", description=__doc__).parse_args(argv)
    sections = {
        "Commands (python -m NAME --help says more)": commands(),
        "Methods (--method NAME; any spelling of it, or all)": method_names.method_summaries(),
        "Data sets (--dataset NAME)": {name: cards.load_card(name).summary for name in cards.names()},
    }
    for heading, lines in sections.items():
        print(heading)
        for name, line in lines.items():
            print(f"  {name:<20} {line}")
    return 0


if __name__ == "__main__":
    run_command(main)
