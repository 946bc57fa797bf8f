"""Find the picture of every row of a source of labels; join or compare the rows of one picture."""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.base import lists
from bench.base.errors import InputError
from bench.base.progress import Meter
from bench.data.own_pictures import Tags
from bench.data.own_pictures.picture_folder import AS_WRITTEN, PictureFolder, key, why_unreadable


@dataclass
class Listed:
    """The pictures of a data set, in the order of their paths.

    files: relative to the folder, with slashes. labels_NC: as in Tags. groups: "" for a picture alone.
    splits: or empty. rows: the first rows as read, `name -> labels`. left_out: what is not used, by reason.
    said: lines for the user.
    """

    labels: tuple[str, ...]
    files: list[str]
    labels_NC: NDArray[np.int8]
    groups: list[str]
    splits: list[str]
    rows: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


def list_pictures(tags: Tags, pictures: PictureFolder, *, allow_partial: bool = False) -> Listed:
    """The pictures that the tags name.

    allow_partial: leave out names without a picture and files that are no images, instead of an InputError.
    """
    _check_labels(tags)
    files, said = _files(tags, pictures)
    missing = [name for name, file in zip(tags.names, files, strict=True) if file is None]
    rows: dict[str, list[int]] = defaultdict(list)
    for index, file in enumerate(files):
        if file is not None:
            rows[file].append(index)
    names = sorted(rows)
    unreadable = _unreadable(pictures, names)
    left_out = {
        f"named by {tags.origin}, but not there": missing,
        "not an image that can be read": unreadable,
    }
    for reason, entries in left_out.items():
        if entries and not allow_partial:
            raise InputError(
                f"{len(entries):,} pictures are {reason}; to leave them out, add --allow-partial:"
                f"{lists.as_lines(entries)}"
            )
    bad = {entry.rpartition(" (")[0] for entry in unreadable}
    names = [name for name in names if name not in bad]
    if not names:
        raise InputError(f"{tags.origin} names no picture in {pictures.root} that can be used")
    left_out["not named, so not used"] = sorted({*pictures.images} - {*rows} - {*tags.also_used})
    said += _repeated(tags, rows)
    listed = Listed(tags.labels, names, *_joined(tags, [rows[name] for name in names]))
    listed.rows = [
        f"{tags.names[index]} -> {_shown(tags, index)}" for index in range(min(3, len(tags.names)))
    ]
    listed.left_out = {reason: entries for reason, entries in left_out.items() if entries}
    listed.said = [*tags.said, *said]
    return listed


def _check_labels(tags: Tags) -> None:
    if not tags.labels:
        raise InputError(f"{tags.origin} gives no picture a label; check where the labels are")
    if wrong := [label for label in tags.labels if not label.strip() or not label.isprintable()]:
        raise InputError(
            f"{tags.origin}: label {wrong[0]!r} is empty or has characters that cannot be printed, as a line"
            " break; rename it"
        )


def _shown(tags: Tags, index: int) -> str:
    names = [label for label, value in zip(tags.labels, tags.labels_NC[index], strict=True) if value == 1]
    unknown = int((tags.labels_NC[index] == 0).sum())
    more = f" ({unknown} not known)" if unknown else ""
    return (lists.in_line(names) or "no label") + more


def _files(tags: Tags, pictures: PictureFolder) -> tuple[list[str | None], list[str]]:
    """(the file of each name, None if there is none; lines on names that are not the path of their file)."""
    folders = tags.folders or [""] * len(tags.names)
    files: list[str | None] = []
    differing: dict[str, list[str]] = defaultdict(list)
    doubtful: list[str] = []
    for name, folder in zip(tags.names, folders, strict=True):
        match = pictures.find(name, folder=folder)
        if len(match.files) > 1:
            doubtful.append(f"{name}: {lists.in_line(match.files)}")
        elif match.files and match.difference != AS_WRITTEN:
            differing[match.difference].append(f"{name} is {match.files[0]}")
        files.append(match.files[0] if match.files else None)
    if doubtful:
        raise InputError(
            f"{len(doubtful):,} names of {tags.origin} fit several pictures; write the path in"
            f" {pictures.root}:{lists.as_lines(doubtful)}"
        )
    return files, [
        f"{len(entries):,} pictures found {difference}, as {entries[0]}"
        for difference, entries in differing.items()
    ]


def _unreadable(pictures: PictureFolder, names: list[str]) -> list[str]:
    entries = []
    with Meter("look at the pictures", total=len(names), unit="images") as meter:
        for name in names:
            if reason := why_unreadable(pictures.root / name):
                entries.append(f"{name} ({reason})")
            elif "\\" in name or not name.isprintable() or name != name.strip():
                entries.append(f"{name} (a name that cannot stand in a list; rename the file)")
            meter.add(1)
    return entries


def _repeated(tags: Tags, rows: dict[str, list[int]]) -> list[str]:
    """A line on pictures with several rows; InputError if these differ and are not to be joined."""
    repeated = {name: indices for name, indices in rows.items() if len(indices) > 1}
    for values, what in ((tags.groups, "groups"), (tags.splits, "sets")):
        differ = [
            name for name, indices in repeated.items() if values and len({values[i] for i in indices}) > 1
        ]
        if differ:
            raise InputError(f"{len(differ):,} pictures are listed in two {what}:{lists.as_lines(differ)}")
    if tags.joins:
        twice = sum(
            len(indices) - len({tags.labels_NC[i].tobytes() for i in indices})
            for indices in repeated.values()
        )
        return [f"{twice:,} rows say again what another row says"] if twice else []
    differ = [
        name for name, indices in repeated.items() if len({tags.labels_NC[i].tobytes() for i in indices}) > 1
    ]
    if differ:
        raise InputError(
            f"{tags.origin} lists {len(differ):,} pictures several times with different labels; correct it,"
            f" or, if the labels are to be joined, say --layout list or pairs:{lists.as_lines(differ)}"
        )
    return [f"{len(repeated):,} pictures are listed several times with equal labels"] if repeated else []


def _joined(tags: Tags, rows: list[list[int]]) -> tuple[NDArray[np.int8], list[str], list[str]]:
    """(labels_NC, groups, splits) of the pictures with these rows of the tags."""
    first = np.array([indices[0] for indices in rows])
    labels_NC = tags.labels_NC[first]
    for picture, indices in enumerate(rows):
        if len(indices) > 1:
            labels_NC[picture] = tags.labels_NC[indices].max(axis=0)
    groups = [tags.groups[index] for index in first] if tags.groups else [""] * len(rows)
    return labels_NC, groups, [tags.splits[index] for index in first] if tags.splits else []


def alike(labels: tuple[str, ...]) -> list[str]:
    """Labels that differ by case, blanks or the way of writing accents only, as texts to show."""
    by_key: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        by_key["".join(key(label).split())].append(repr(label))
    return [" and ".join(same) for same in by_key.values() if len(same) > 1]
