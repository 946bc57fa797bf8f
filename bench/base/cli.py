"""The door of every command: arguments in, exit status out, a user's mistake in one line."""

import argparse
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from bench.base.errors import InputError


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line, like every other complaint of the suite."""

    def __init__(self, *, prog: str, description: str | None) -> None:
        layout = argparse.RawDescriptionHelpFormatter  # a module's docstring is laid out already
        super().__init__(prog=prog, description=description, formatter_class=layout, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments"):
            options = [action.option_strings[-1] for action in self._actions if action.option_strings]
            message += f"; choose from: {', '.join(options)}"
        raise InputError(message)


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
