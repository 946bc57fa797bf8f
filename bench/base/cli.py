"""What all commands share: argument parser, common options, output and exit status."""

import argparse
import contextlib
import difflib
import io
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from bench.base import faults, paths, search_path
from bench.base.atomic_files import check_output, check_writable, write_atomically
from bench.base.errors import InputError
from bench.base.structured_files import check_folder

FOLDERS = ("data", "runs", "records")  # options that name a folder to read, by default or as given
RESUMED = ("run", "prepare")  # commands that go on where they were stopped
WRITTEN = ("output", "maps")  # options that name a file (metavar FILE) or a folder to write
MODULE, SCRIPT = "python -m bench.", "multilabel-bench "  # how a command's name begins, by how it is started


class Parser(argparse.ArgumentParser):
    """An argument parser that raises InputError for a wrong command line, instead of printing its usage."""

    by_script = False  # whether the command is started by the short script; set by it

    def __init__(self, *, prog: str, description: str | None) -> None:
        prog = prog.replace(MODULE, SCRIPT) if self.by_script else prog
        layout = argparse.RawDescriptionHelpFormatter  # keeps the line breaks of the module's docstring
        super().__init__(prog=prog, description=description, formatter_class=layout, allow_abbrev=False)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse; folders and files that cannot be used are refused here, before any work."""
        self._words = list(sys.argv[1:] if args is None else args)
        found, rest = super().parse_known_args(self._words, namespace)
        for option in FOLDERS:
            if (folder := getattr(found, option, None)) is not None:
                check_folder(folder, option=f"--{option}")
        for action in self._actions:
            if action.dest in WRITTEN and (path := getattr(found, action.dest)) is not None:
                check = check_output if action.metavar == "FILE" else check_writable
                check(path, option=f"--{action.dest}")
        return found, rest

    def error(self, message: str) -> NoReturn:
        every = [name for action in self._actions for name in action.option_strings]
        if message.startswith("the following arguments are required"):
            words = [word.partition("=")[0] for word in self._words if word.startswith("--")]
            if wrong := [word for word in words if word not in every and word != "--"]:
                message = f"unrecognized arguments: {wrong[0]}"  # that is why another one is missing
        if message.startswith("unrecognized arguments"):
            given = message.removeprefix("unrecognized arguments: ").split(" ")[0].partition("=")[0]
            near = difflib.get_close_matches(given, every, cutoff=0.7)
            listed = [action.option_strings[-1] for action in self._actions if action.option_strings]
            choices = ", ".join(near or [name for name in listed if name != "--is-job"])
            message += f"; did you mean {choices}?" if near else f"; choose from: {choices}"
        raise InputError(message)


def add_dataset(parser: argparse.ArgumentParser, names: Iterable[str], *, required: bool = True) -> None:
    """Add `--dataset NAME`; names: what the help lists."""
    listed = ", ".join(names).replace("%", "%%")  # argparse fills in what follows a single %
    parser.add_argument("--dataset", required=required, metavar="NAME", help=f"one of: {listed}")
    add_include(parser)


def add_include(parser: argparse.ArgumentParser) -> None:
    """Add `--include DIR`, which every command has that reads cards or methods."""
    text = "use DIR/datasets/*.toml and DIR/methods/*.py too, like those of the working folder"
    parser.add_argument("--include", action=_Include, type=Path, metavar="DIR", help=text)


class _Include(argparse.Action):
    """Searches the folder from now on; the option can be given several times."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002
        namespace: argparse.Namespace,  # noqa: ARG002
        values: Any,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        search_path.include(values)


def _include_first(words: Sequence[str]) -> None:
    """Search the folders of `--include` before a parser is made, as its help lists what is in them."""
    only = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    add_include(only)
    with contextlib.suppress(argparse.ArgumentError):  # the command's own parser reports it
        only.parse_known_args(words)


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add `--data DIR`, the folder of prepared data sets."""
    parser.add_argument(
        "--data",
        type=Path,
        default=paths.DATA,
        metavar="DIR",
        help="folder of prepared data sets (default: data)",
    )


def add_runs(parser: argparse.ArgumentParser) -> None:
    """Add `--runs DIR`, the folder of training runs."""
    parser.add_argument(
        "--runs", type=Path, default=paths.RUNS, metavar="DIR", help="folder of training runs (default: runs)"
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add `--device NAME`."""
    names = "auto (a GPU if there is one), cpu, cuda or cuda:1"
    parser.add_argument("--device", default="auto", metavar="NAME", help=f"{names} (default: auto)")


def add_output(parser: argparse.ArgumentParser, forms: Iterable[str]) -> None:
    """Add `--format NAME` and `--output FILE`; forms: the formats to choose from. Print with `deliver`."""
    parser.add_argument(
        "--format", choices=tuple(forms), default="text", help="format of the output (default: text)"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write to this file instead of the terminal"
    )


def deliver(text: str, output: Path | None) -> None:
    """Print the text, or write it to the file and print the file's path."""
    print(written(write_atomically(output, text)) if output else text, end="\n" if output else "")


def written(path: Path) -> str:
    """The line that a command prints after writing a file."""
    return f"written: {path}"


def resume_hint() -> str:
    """How to go on after a command was stopped; `--fresh` would start it from the beginning."""
    program = Path(sys.argv[0])
    if program.is_relative_to(paths.ROOT / "bench") and program.stem not in RESUMED:
        return "the same command starts again from the beginning"
    without = " without --fresh" if "--fresh" in sys.argv else ""
    return f"run the same command again{without} to resume"


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Run a command and exit with its status: the one that main returns, or 0.

    Whatever ends it is one line on standard error instead of a traceback: 2 for what the user can mend, 130
    for Ctrl-C, 70 for a fault of the suite; see `bench.base.faults`.
    """
    _print_any_character()
    try:
        _include_first(sys.argv[1:])
        status = main() or 0
        if sys.stdout:
            sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"interrupted; {resume_hint()}", file=sys.stderr)
        status = 130
    except BrokenPipeError:  # the program that reads the output (head, less) has ended: stop quietly
        faults.discard_output()
        status = 0
    except Exception as fault:  # noqa: BLE001 (the last guard of every command)
        status, message = faults.explain(fault)
        print(message, file=sys.stderr)
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:  # the reason is told; the interpreter must not try again
        faults.discard_output()
    sys.exit(status)


def _print_any_character() -> None:
    """Let the output show as an escape what the terminal's encoding, as ASCII, does not have."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if isinstance(stream, io.TextIOWrapper) and reconfigure:
            reconfigure(errors="backslashreplace")
