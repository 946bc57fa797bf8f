"""Find cards and methods: those of the suite, of the working folder, and of the folders of `--include`.

Such a folder has cards in `datasets/*.toml` and methods in `methods/*.py`. No two files have one name.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from bench.base.errors import InputError
from bench.base.paths import METHODS, ROOT

Kind = Literal["datasets", "methods"]

INCLUDE = "BENCH_INCLUDE"  # the folders of --include, separated as in PATH; started processes inherit it
ENDING: dict[Kind, str] = {"datasets": ".toml", "methods": ".py"}


def include(folder: Path) -> None:
    """Search a folder too, in this process and in those that it starts; InputError if it has neither cards
    nor methods.
    """
    _check_included(folder)
    path = str(folder.resolve())
    if os.pathsep in path:
        raise InputError(f"--include {folder}: {os.pathsep!r} in its path separates folders; rename it")
    if path not in (given := _given()):
        os.environ[INCLUDE] = os.pathsep.join([*given, path])


def own_folders(kind: Kind) -> list[Path]:
    """The user's folders of cards or of methods: of the working folder, then of --include; each only once."""
    included = [Path(text) for text in _given()]
    for folder in included:
        _check_included(folder)
    try:
        searched = [Path.cwd(), *included]
    except FileNotFoundError:  # the working folder was removed
        searched = included
    of_kind = [folder.resolve() / kind for folder in searched if folder.resolve() != ROOT]
    return list(dict.fromkeys(folder for folder in of_kind if folder.is_dir()))


def files(kind: Kind, ours: Path, *, compared: Callable[[str], str] = str.lower) -> dict[str, Path]:
    """Name -> file of all cards or methods, the suite's in the folder `ours` and the user's.

    compared: the form of a name in which names must differ. InputError names the two files of one name, and
    a file of the user's that hides a package.
    """
    found: dict[str, Path] = {}
    for folder in (ours, *own_folders(kind)):
        if folder != ours:
            _check_hides_nothing(folder)
        for path in sorted(folder.glob(f"[!.]*{ENDING[kind]}")):
            if path.stem == "__init__":
                continue
            if (other := found.setdefault(compared(path.stem), path)) != path:
                raise InputError(
                    f"{path}: the name {path.stem} is that of {other}; rename one of the two files"
                )
    return {path.stem: path for path in found.values()}


def method_folders() -> list[str]:
    """Where Python looks for the modules of the package `methods`: its `__path__`."""
    return [str(METHODS), *map(str, own_folders("methods"))]


def _given() -> list[str]:
    return [text for text in os.environ.get(INCLUDE, "").split(os.pathsep) if text]


def _check_included(folder: Path) -> None:
    if not any((folder / kind).is_dir() for kind in ENDING):
        raise InputError(
            f"--include {folder}: it has neither a folder datasets with cards nor a folder methods; name a "
            f"folder that has one, or correct {INCLUDE}"
        )


def _check_hides_nothing(folder: Path) -> None:
    """InputError if Python would import the user's folder instead of the package that has its name."""
    parent = folder.parent
    if str(parent) not in [str(Path(place).resolve()) for place in sys.path]:
        return
    for path in (folder / "__init__.py", parent / f"{folder.name}.py"):
        if path.exists():
            raise InputError(
                f"{path}: hides the package {folder.name} that the suite needs; remove it, or start the "
                "command by multilabel-bench"
            )
