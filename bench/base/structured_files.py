"""Read text, JSON and TOML files; whatever is wrong with a file is one InputError that names it."""

import contextlib
import gzip
import json
import os
import re
import stat
import tomllib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from bench.base.errors import InputError

LARGEST = 4 << 30  # bytes; MS-COCO's largest annotation file has a third of a GiB
LARGEST_UNPACKED = 1 << 30  # bytes of a compressed file
DEEPEST_KEY = 100  # parts of a dotted TOML key: the parser takes time and memory that grow with their square


@contextlib.contextmanager
def reading(path: Path, *, largest: int = LARGEST) -> Iterator[None]:
    """Around what reads a file: InputError for a folder, pipe or device, a file above `largest` bytes, and
    one that cannot be read.
    """
    try:
        facts = path.stat()
        if stat.S_ISDIR(facts.st_mode):
            raise InputError(f"{path}: is a folder; a file is expected")
        if not stat.S_ISREG(facts.st_mode):
            raise InputError(f"{path}: is a pipe or a device; a file is expected")
        if facts.st_size > largest:
            raise InputError(f"{path}: has {facts.st_size:,} bytes; at most {largest:,} are read")
        yield
    except InputError:
        raise
    except FileNotFoundError as fault:
        raise InputError(f"{path}: there is no such file") from fault
    except (OSError, ValueError) as fault:  # ValueError: a zero byte in the name
        raise InputError(f"{path}: cannot be read: {getattr(fault, 'strerror', None) or fault}") from fault


def read_bytes(path: Path, *, largest: int = LARGEST) -> bytes:
    """The file's content; InputErrors are those of `reading`."""
    with reading(path, largest=largest):
        return path.read_bytes()


def read_gzip(path: Path) -> bytes:
    """The content of a file compressed by gzip."""
    with reading(path):
        try:
            with gzip.open(path) as file:
                content = file.read(LARGEST_UNPACKED + 1)
        except (gzip.BadGzipFile, EOFError, zlib.error) as fault:
            raise InputError(f"{path}: not a readable gzip file: {fault}") from fault
    if len(content) > LARGEST_UNPACKED:
        raise InputError(f"{path}: has more than {LARGEST_UNPACKED:,} bytes when unpacked; unpack it first")
    return content


def check_folder(path: Path, *, option: str) -> None:
    """Raise InputError for a folder that is a file, a broken or looping link, or cannot be entered.

    option: the command's option that named it, for the message. A folder that is not there passes.
    """
    remedy = how_to_choose(option)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as fault:
        if path.is_symlink():
            raise InputError(f"{path}: is a link to a folder that is not there; {remedy}") from fault
        return
    except (OSError, ValueError) as fault:  # ValueError: a zero byte in the name
        reason = getattr(fault, "strerror", None) or fault
        raise InputError(f"{path}: cannot be entered: {reason}; {remedy}") from fault
    if not stat.S_ISDIR(mode):
        raise InputError(f"{path}: is not a folder; {remedy}")
    if not os.access(path, os.R_OK | os.X_OK):
        raise InputError(f"{path}: cannot be entered: Permission denied; {remedy}")


def how_to_choose(option: str) -> str:
    """The end of a message about a folder that cannot be used; option: what names the folder, if any."""
    return f"give another folder: {option} DIR" if option else "make it a folder that can be written"


def read_text(path: Path, *, largest: int = LARGEST) -> str:
    r"""The file's content as UTF-8, without a byte order mark, with `\n` at line ends; `.gz` unpacked."""
    content = read_gzip(path) if path.suffix.lower() == ".gz" else read_bytes(path, largest=largest)
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as fault:
        line = content[: fault.start].count(b"\n") + 1
        raise InputError(f"{path}: line {line} is not UTF-8 text; save the file as UTF-8") from fault


def read_json(path: Path, *, largest: int = LARGEST) -> Any:
    """The value in a JSON file; NaN and Infinity, which JSON does not have, are refused."""
    return _parsed(path, read_text(path, largest=largest), parse_json, "JSON")


def read_json_object(path: Path, *, largest: int = LARGEST) -> dict[str, Any]:
    """The object in a JSON file."""
    value = read_json(path, largest=largest)
    if not isinstance(value, dict):
        raise InputError(f"{path}: a JSON object is expected, not {type(value).__name__}")
    return value


def read_toml(path: Path) -> dict[str, Any]:
    """The table in a TOML file."""
    table: dict[str, Any] = _parsed(path, read_text(path, largest=16 << 20), parse_toml, "TOML")
    return table


def parse_json(text: str) -> Any:
    """The value that a JSON text stands for."""
    return json.loads(text, parse_constant=_refuse_constant)


def parse_toml(text: str) -> dict[str, Any]:
    """The table that a TOML text stands for."""
    for number, line in enumerate(text.split("\n"), 1):
        key = re.split(r"[=\"'#]", line, maxsplit=1)[0]
        if key.count(".") >= DEEPEST_KEY:
            raise InputError(f"line {number}: a key of more than {DEEPEST_KEY} parts")
    return tomllib.loads(text)


def _parsed(path: Path, text: str, parse: Callable[[str], Any], kind: str) -> Any:
    try:
        return parse(text)
    except InputError as fault:
        raise InputError(f"{path}: {fault}") from fault
    except RecursionError as fault:
        raise InputError(f"{path}: not {kind} that can be read: nested too deeply") from fault
    except ValueError as fault:
        raise InputError(f"{path}: not {kind}: {fault}") from fault


def _refuse_constant(constant: str) -> NoReturn:
    raise InputError(f"it holds {constant}, which is no number in JSON")
