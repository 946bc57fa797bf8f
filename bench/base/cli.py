"""Shared command-line entry point: the parser, the options that several commands have, the exit status."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

from bench.base import paths
from bench.base.atomic_files import write_atomically
from bench.base.errors import InputError


class Parser(argparse.ArgumentParser):
    """An argument parser that reports a mistake in one line, as InputError."""

    def __init__(self, *, prog: str, description: str | None) -> None:
        layout = argparse.RawDescriptionHelpFormatter  # a module's docstring is laid out already
        super().__init__(prog=prog, description=description, formatter_class=layout, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments"):
            options = [action.option_strings[-1] for action in self._actions if action.option_strings]
            message += f"; choose from: {', '.join(options)}"
        raise InputError(message)


def add_dataset(parser: argparse.ArgumentParser, known: Iterable[str], *, required: bool = True) -> None:
    """`--dataset NAME`; known: the names that the help lists."""
    parser.add_argument("--dataset", required=required, metavar="NAME", help=f"one of: {', '.join(known)}")


def add_data(parser: argparse.ArgumentParser) -> None:
    """`--data DIR`, the folder of prepared stores."""
    parser.add_argument(
        "--data",
        type=Path,
        default=paths.DATA,
        metavar="DIR",
        help="folder of prepared stores (default: data)",
    )


def add_runs(parser: argparse.ArgumentParser) -> None:
    """`--runs DIR`, the folder in which runs write."""
    parser.add_argument(
        "--runs", type=Path, default=paths.RUNS, metavar="DIR", help="folder of runs (default: runs)"
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """`--device NAME`."""
    text = "auto (a GPU if there is one), cpu, cuda or cuda:1"
    parser.add_argument("--device", default="auto", metavar="NAME", help=text)


def add_output(parser: argparse.ArgumentParser, forms: Iterable[str]) -> None:
    """`--format NAME` and `--output FILE`, for `deliver`."""
    parser.add_argument("--format", choices=tuple(forms), default="text", help="default: text")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write to this file instead of the terminal"
    )


def deliver(text: str, output: Path | None) -> None:
    """Print the text, or write it to the file and say so."""
    print(written(write_atomically(output, text)) if output else text, end="\n" if output else "")


def written(path: Path) -> str:
    """What a command says of a file that it wrote."""
    return f"written: {path}"


def goes_on() -> str:
    """What a command that was stopped tells its user; `--fresh` would begin again."""
    without = " without --fresh" if "--fresh" in sys.argv else ""
    return f"the same command{without} goes on where it was"


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Run a command and leave: 0 or what it returned; 2 for a user's mistake, 130 for Ctrl-C, one line
    each.
    """
    try:
        status = main() or 0
        sys.stdout.flush()
    except InputError as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print(f"interrupted; {goes_on()}", file=sys.stderr)
        status = 130
    except BrokenPipeError:  # the reader of a pipe (head, less) has left: nothing more to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)
