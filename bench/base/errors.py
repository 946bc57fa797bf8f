"""Unusable user input: printed as one line, exit status 2."""

from collections.abc import Iterable

LISTED = 100  # names to choose from in a message


class InputError(ValueError):
    """The user's input cannot be used; the message says what is wrong, where, and how to fix it."""


def unknown(kind: str, given: str, choices: Iterable[str]) -> InputError:
    """An InputError for a name that does not exist; it lists the names to choose from.

    >>> print(unknown("method", "snr", ["resnet101", "srn"]))
    unknown method 'snr'; choose from: resnet101, srn
    """
    names = list(choices)
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return InputError(f"unknown {kind} {given!r}; choose from: {', '.join(names[:LISTED])}{more}")
