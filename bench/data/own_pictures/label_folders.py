"""Read the labels of pictures that lie in a folder per label; equal files in several are one picture."""

from collections.abc import Sequence

from bench.base import lists
from bench.base.errors import InputError
from bench.data.own_pictures import TEST, TRAIN, Tags
from bench.data.own_pictures.equal_files import equal_files
from bench.data.own_pictures.picture_folder import PictureFolder
from bench.data.own_pictures.tag_tables import matrix

LEVELS = ("first", "last", "each")
SPLIT_FOLDERS = {"train": TRAIN, "training": TRAIN, "test": TEST, "testing": TEST}
OTHER_SPLITS = ("val", "valid", "validation")


def read_folders(pictures: PictureFolder, *, level: str = "", split_folders: str = "") -> Tags:
    """The tags of the folder's images.

    level: which of the folders on an image's path are its labels, one of LEVELS. split_folders: "yes" if the
    outermost folders are train and test, "no" if they are labels; "": find out.
    """
    inside = [name for name in pictures.images if "/" in name]
    if not inside:
        raise InputError(
            f"{pictures.root} has no folder with images in it; it must have a folder for each label"
        )
    splits = _are_splits({name.split("/")[0] for name in inside}, split_folders, str(pictures.root))
    paths = [name.split("/")[splits:-1] for name in inside]
    if direct := [name for name, path in zip(inside, paths, strict=True) if not path]:
        raise InputError(f"{len(direct):,} images are in no folder of a label:{lists.as_lines(direct)}")
    if not level and (deep := [name for name, path in zip(inside, paths, strict=True) if len(path) > 1]):
        raise InputError(
            f"{pictures.root}/{deep[0]} lies in several folders; say which are labels: --label-level first,"
            " last or each"
        )
    tags_N = [_labels(path, level) for path in paths]
    labels, labels_NC = matrix(tags_N)
    tags = Tags("the folders", labels, inside, labels_NC, joins=True)
    tags.said.append("a folder for each label" + (" in train and test" if splits else ""))
    if splits:
        tags.splits = [SPLIT_FOLDERS[name.split("/")[0].lower()] for name in inside]
    return _as_one(tags, pictures)


def _labels(path: Sequence[str], level: str) -> list[str]:
    return {"first": [path[0]], "last": [path[-1]], "each": [*path], "": [*path]}[level]


def _are_splits(outermost: set[str], given: str, root: str) -> bool:
    names = {name.lower() for name in outermost}
    known = {*SPLIT_FOLDERS, *OTHER_SPLITS}
    if given == "no" or (not given and not names <= known):
        return False
    if not given:
        raise InputError(
            f"{root}: the folders {lists.in_line(sorted(outermost))} may be labels or the two sets; say"
            " --split-folders yes or --split-folders no"
        )
    if wrong := sorted(name for name in outermost if name.lower() not in SPLIT_FOLDERS):
        raise InputError(
            f"{root}: {wrong[0]!r} is neither train nor test; move its pictures into train (images for"
            " validation are taken from there)"
        )
    return True


def _as_one(tags: Tags, pictures: PictureFolder) -> Tags:
    """The tags with the name of the first file in place of those that are equal to it."""
    first = equal_files(pictures.root, tags.names)
    if first:
        sets = dict(zip(tags.names, tags.splits, strict=False))
        tags.said.append(
            f"{len(first):,} files are equal to one in another folder: one picture with all their labels"
        )
        if both := [f"{a} = {b}" for a, b in first.items() if sets.get(a) != sets.get(b)]:
            raise InputError(f"{len(both):,} pictures are both in train and in test:{lists.as_lines(both)}")
        tags.also_used = list(first)
        tags.names = [first.get(name, name) for name in tags.names]
    return tags
