"""Find the files of a folder by the names that tables and exports have for them."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from bench.base.errors import InputError
from bench.data import decode, image_names
from bench.data.decode import Unusable

AS_WRITTEN = "as written"


def has_image_suffix(name: str) -> bool:
    """Whether a name ends as those of image files do, in any case."""
    return PurePosixPath(name).suffix.lower() in image_names.SUFFIXES | image_names.OTHER_SUFFIXES


def key(name: str) -> str:
    """A name without differences of case and of Unicode's composed and decomposed letters."""
    return unicodedata.normalize("NFC", name).casefold()


def _stem(name: str) -> str:
    return name[: -len(PurePosixPath(name).suffix)] if has_image_suffix(name) else name


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _last_stem(name: str) -> str:
    return _stem(_last(name))


# How a name may differ from a file's path, most alike first; the words continue "found ...".
DIFFERENCES: dict[str, Callable[[str], str]] = {
    AS_WRITTEN: str,
    "with another upper or lower case": key,
    "without an extension": lambda name: key(_stem(name)),
    "in another folder than the name says": lambda name: key(_last(name)),
    "without an extension, in another folder than the name says": lambda name: key(_last_stem(name)),
}


@dataclass(frozen=True)
class Match:
    """The files that a name fits, of which there should be one, and how it differs from their paths."""

    files: tuple[str, ...]
    difference: str = AS_WRITTEN


class PictureFolder:
    """The files in a folder, at any depth; hidden ones are skipped. Paths are relative, with slashes.

    InputError if the folder is not there, cannot be read, or has no file with the name of an image.
    """

    def __init__(self, root: Path) -> None:
        if not os.path.isdir(root):  # noqa: PTH112 (Path raises where a name is too long)
            raise InputError(f"{root} is not a folder; give the folder of your pictures: --images DIR")
        self.root = root
        self.files = sorted(self._walk())
        self.images = [name for name in self.files if has_image_suffix(name)]
        self._by_difference: dict[str, dict[str, list[str]]] = {}

    def _walk(self) -> list[str]:
        def refuse(error: OSError) -> None:
            raise InputError(f"{error.filename} cannot be read: {error.strerror}; change its rights")

        names = []
        for parent, folders, files in os.walk(self.root, onerror=refuse):
            folders[:] = [name for name in folders if not name.startswith(".")]
            inner = PurePosixPath(os.path.relpath(parent, self.root))
            kept = [name for name in files if not name.startswith(".")]
            # A pipe would never end, and a link to nothing is no file.
            names += [str(inner / name) for name in kept if (Path(parent) / name).is_file()]
        return names

    def find(self, name: str, *, folder: str = "") -> Match:
        """The files that a name fits; those most alike only.

        Back-slashes count as slashes, and the path of this folder itself is taken off. folder: where the name
        is looked for first.
        """
        name = self._relative(name)
        if folder not in ("", ".") and (inside := self._look_up(AS_WRITTEN, f"{folder}/{name}")):
            return Match(tuple(inside))
        for difference in DIFFERENCES if name else ():
            if files := self._look_up(difference, name):
                return Match(tuple(files), difference)
        return Match(())

    def has(self, name: str) -> bool:
        """Whether a name fits a file."""
        return bool(self.find(name).files)

    def _relative(self, name: str) -> str:
        plain = name.strip().replace("\\", "/")
        for prefix in (f"{self.root.as_posix()}/", f"{self.root.resolve().as_posix()}/"):
            plain = plain.removeprefix(prefix)
        while plain.startswith("./"):
            plain = plain[2:]
        return plain

    def _look_up(self, difference: str, name: str) -> list[str]:
        """The files that are equal to the name if both are changed by a function of DIFFERENCES."""
        change = DIFFERENCES[difference]
        if difference not in self._by_difference:
            # A name without an extension may be that of a text file beside the picture: only images count.
            files = self.images if "extension" in difference else self.files
            index: dict[str, list[str]] = defaultdict(list)
            for file in files:
                index[change(file)].append(file)
            self._by_difference[difference] = index
        if "extension" in difference and has_image_suffix(name):
            return []  # photo.jpg is not photo.png
        return self._by_difference[difference].get(change(name), [])


def why_unreadable(path: Path) -> str:
    """Why a file is no image that can be read; "" if its head says that it is. Pixels are not decoded."""
    try:
        with Image.open(path, formats=decode.FORMATS) as image:
            return decode.TOO_LARGE if image.width * image.height > decode.MAX_PIXELS else ""
    except (*decode.DECODING_ERRORS, Image.DecompressionBombError):
        try:
            decode.decode(path)  # gives the reason
        except Unusable as reason:
            return str(reason)
        return ""
