"""The files in `methods/` that can be loaded, and what is wrong with the others.

A broken file must not keep the tests of all other methods from being collected.
"""

from bench.base import method_names
from bench.training import method


def fault(name: str) -> str:
    """Why a method's file cannot be loaded, with its name; empty where it can."""
    try:
        method.load_method(name)
    except Exception as error:  # noqa: BLE001 (whatever a file raises while it is imported)
        return f"methods/{name}.py: {type(error).__name__}: {error}"
    return ""


def working() -> list[str]:
    """The names of the methods whose files can be loaded."""
    return [name for name in method_names.file_names() if not fault(name)]
