"""Write files atomically: a reader sees the old content or the new content, never a part of it."""

import os
import tempfile
from pathlib import Path

from bench.base.errors import InputError


def write_atomically(path: Path, content: str | bytes) -> Path:
    """Write content (text as UTF-8) to a temporary file in the same folder, flush it to disk, then rename it.

    Missing folders are created. Returns path. Raises InputError with path and size if it cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(0o644)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise InputError(f"cannot write {path} ({len(data):,} bytes): {error.strerror}") from error
    return path
