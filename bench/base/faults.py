"""What to tell the user about a fault that ends a command: one line with the place and the remedy."""

import errno
import os
import sys
import traceback
from pathlib import Path

from bench.base import search_path
from bench.base.errors import InputError
from bench.base.paths import PACKAGE, ROOT

TRACEBACK = "BENCH_TRACEBACK"  # the environment variable that asks for the traceback
USER, SUITE = 2, 70  # exit status: the user can mend it; a fault of the suite
MOST_LINES = 10  # of a message
REMEDIES = {
    errno.EACCES: "make it readable and writable, or choose another place",
    errno.EPERM: "make it readable and writable, or choose another place",
    errno.EROFS: "choose a place that can be written",
    errno.ENOSPC: "free some space, or choose another place",
    errno.EDQUOT: "free some space, or choose another place",
    errno.ENOTDIR: "a file stands where a folder is needed; move it away, or choose another place",
    errno.EEXIST: "a file stands where a folder is needed; move it away, or choose another place",
    errno.EISDIR: "a folder stands where a file is needed; move it away, or choose another place",
    errno.ELOOP: "a link leads back to itself; remove it, or choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "give the path of something that is there",
    errno.EMFILE: "allow more open files: ulimit -n 4096",
    errno.ENOMEM: "close other programs, or use a smaller batch_size or input_size",
}
NO_MEMORY = "not enough memory; close other programs, or use a smaller batch_size or input_size"


def explain(fault: Exception) -> tuple[int, str]:
    """(exit status, message) of a fault. With the environment variable BENCH_TRACEBACK the message is the
    traceback.
    """
    status, text = _explain(fault)
    message = f"error: {_few_lines(_printable(text))}"
    if os.environ.get(TRACEBACK):
        message = "".join(traceback.format_exception(fault)) + message
    return status, message


def discard_output() -> None:
    """Send what is still to be printed nowhere: its reader has ended, or it cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _explain(fault: Exception) -> tuple[int, str]:  # noqa: PLR0911 (a case for each kind of fault)
    match fault:
        case InputError():
            return USER, str(fault)
        case OSError():
            return USER, _of_system(fault)
        case UnicodeError():
            return USER, f"a name or a text is not Unicode ({fault}); rename it, or save the file as UTF-8"
        case RecursionError():
            return USER, f"an input is nested too deeply to be read{_see(fault)}"
        case MemoryError():
            return USER, NO_MEMORY
    reason = " ".join(str(fault).split())[:200]
    if "t allocate memory" in reason:  # so says torch on the CPU
        return USER, NO_MEMORY
    kind = type(fault).__name__
    if places := _in_methods(fault):
        return (
            SUITE,
            f"a fault in a method's file: {kind}: {reason} ({places}); {TRACEBACK}=1 shows the traceback",
        )
    return SUITE, f"a fault of the suite, please report it: {kind}: {reason}{_see(fault)}"


def _in_methods(fault: Exception) -> str:
    """The lines of method files on the way to the fault, the last of each file: `methods/srn.py, line 3`."""
    frames = [frame for frame in traceback.extract_tb(fault.__traceback__) if _is_ours(frame.filename)]
    lines = {
        _shown(frame.filename): frame.lineno
        for frame in frames
        if not Path(frame.filename).is_relative_to(PACKAGE)
    }
    return "; ".join(f"{file}, line {number}" for file, number in lines.items())


def _of_system(fault: OSError) -> str:
    """A file that the system did not read or write: its path, what is wrong, and the remedy."""
    place = fault.filename2 or fault.filename
    where = os.fsdecode(place) if isinstance(place, (str, bytes, os.PathLike)) else "a file or the output"
    reason = fault.strerror or " ".join(str(fault).split())[:200] or type(fault).__name__
    remedy = REMEDIES.get(fault.errno or 0)
    return f"{where}: cannot be used: {reason}" + (f"; {remedy}" if remedy else _see(fault))


def _see(fault: Exception) -> str:
    """Where in the suite the fault arose, and how to see all of it."""
    frames = [frame for frame in traceback.extract_tb(fault.__traceback__) if _is_ours(frame.filename)]
    where = f" ({_shown(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""
    return f"{where}; {TRACEBACK}=1 shows the traceback"


def _is_ours(file: str) -> bool:
    """Whether a file is of the suite, or a method of the user's."""
    return any(Path(file).is_relative_to(folder) for folder in (PACKAGE, *_method_folders()))


def _method_folders() -> list[Path]:
    try:
        return [Path(folder) for folder in search_path.method_folders()]
    except (InputError, OSError):  # that is a fault of its own, and hides no other
        return []


def _shown(file: str) -> str:
    return str(Path(file).relative_to(ROOT) if Path(file).is_relative_to(ROOT) else file)


def _few_lines(text: str) -> str:
    """The text with the lines left out that are too many, as where a name is full of line breaks."""
    lines = text.split("\n")
    left_out = [f"... {len(lines) - MOST_LINES + 1} more lines"] if len(lines) > MOST_LINES else []
    return "\n".join([*lines[: MOST_LINES - len(left_out)], *left_out])


def _printable(text: str) -> str:
    """The text with its line breaks; other characters that would move the cursor are written as escapes."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
