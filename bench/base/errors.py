"""What a user gave cannot be used: the one exception that a command turns into one line and exit status 2."""

from collections.abc import Iterable


class InputError(ValueError):
    """The message names the mistake and says what to do; it is shown to the user without a traceback."""


def unknown(kind: str, given: str, choices: Iterable[str]) -> InputError:
    """An InputError that lists the right names.

    >>> print(unknown("method", "snr", ["resnet101", "srn"]))
    unknown method 'snr'; choose from: resnet101, srn
    """
    return InputError(f"unknown {kind} {given!r}; choose from: {', '.join(choices)}")
