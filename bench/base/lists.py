"""Lists in messages: the first entries, a line each, how many more there are, and the file with all.

With the line before it, a list has at most ten lines.
"""

from collections.abc import Sequence
from pathlib import Path

from bench.base.atomic_files import write_atomically
from bench.base.errors import InputError

FIRST = 8  # entries on lines of their own
IN_LINE = 10  # entries in one line
LONGEST = 400  # characters of an entry in a message


def as_lines(entries: Sequence[str], *, all_in: Path | None = None, moves_to: Path | None = None) -> str:
    r"""The end of a message: every entry on a line of its own, at most FIRST.

    all_in: the file that gets every entry if the message cannot hold them; a file that cannot be written is
    said, as the message itself matters more. moves_to: where the file will be when the command has ended.

    >>> as_lines(["a.jpg", "b.jpg"])
    '\n  a.jpg\n  b.jpg'
    """
    lines = [_short(entry) for entry in entries[:FIRST]]
    if len(entries) > FIRST:
        where = _written(entries, all_in, moves_to or all_in) if all_in else ""
        lines.append(f"and {len(entries) - FIRST:,} more{where}")
    return "".join(f"\n  {line}" for line in lines)


def in_line(entries: Sequence[str]) -> str:
    """The first entries in one line, for short ones such as names of labels.

    >>> in_line(["a", "b"]), in_line([str(n) for n in range(12)])
    ('a, b', '0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more')
    """
    more = f" and {len(entries) - IN_LINE:,} more" if len(entries) > IN_LINE else ""
    return ", ".join(map(_short, entries[:IN_LINE])) + more


def _plain(entry: str) -> str:
    """The entry as one line that can be written: line ends, tabs and stray bytes are escaped."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in entry)


def _short(entry: str) -> str:
    text = _plain(entry)
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}...{text[-LONGEST // 2 :]}"


def _written(entries: Sequence[str], path: Path, later: Path | None) -> str:
    content = "".join(f"{_plain(entry)}\n" for entry in entries)
    try:
        write_atomically(path, content)
    except InputError as error:
        return f" ({error})"
    return f", all listed in {later}"
