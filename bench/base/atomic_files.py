"""Files that are either whole or not there."""

import os
import tempfile
from pathlib import Path

from bench.base.errors import InputError


def write_atomically(path: Path, content: str | bytes) -> Path:
    """Put content at path (text as UTF-8): a temporary file in the same folder, flushed to the disk, then
    renamed.

    What was there before stays until then. Raises InputError naming path and bytes where it cannot be
    written.
    """
    whole = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            try:
                file.write(whole)
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(0o644)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as fault:
        raise InputError(f"cannot write {path} ({len(whole):,} bytes): {fault.strerror}") from fault
    return path
