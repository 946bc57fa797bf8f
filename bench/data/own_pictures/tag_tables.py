"""Read the labels in a table: one 0/1 column per label, a list of tags in a cell, or a row for each pair."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.base import lists
from bench.base.errors import InputError
from bench.data.own_pictures import TEST, TRAIN, Tags
from bench.data.own_pictures.picture_folder import PictureFolder
from bench.data.own_pictures.tables import Table, TableOptions, read_table

LAYOUTS = ("columns", "list", "pairs")
SEPARATORS = {"comma": ",", "semicolon": ";", "bar": "|"}
TAG_SEPARATORS = (*SEPARATORS, "space", "none")
POSITIVE = ("1", "1.0", "true", "yes")
NEGATIVE = ("0", "0.0", "false", "no")
DOUBTFUL = ("empty", "?", "-1", "-1.0", "nan", "na", "n/a", "null", "none")
LIST_WIDTH = 2  # columns of a heading under which a row may have further cells, a tag each
SPLITS = {"train": TRAIN, "training": TRAIN, "test": TEST, "testing": TEST}


def read_tags(path: Path, pictures: PictureFolder, options: TableOptions) -> Tags:
    """The tags of a table, its rows in order; a picture may have several."""
    table = read_table(path, pictures, options)
    columns = _columns_of_labels(table, options)
    layout = options.layout or _layout(table, columns, options)
    _refuse_longer_rows(table, layout)
    read = {"columns": _from_columns, "list": _from_lists, "pairs": _from_pairs}[layout]
    labels, labels_NC = read(table, columns, options)
    groups = table.cells(table.column(options.group_column)) if options.group_column else []
    joins = layout == "pairs" or options.layout == "list"
    names = table.cells(table.image)
    tags = Tags(str(path), labels, names, labels_NC, groups, joins=joins, said=table.said)
    if options.split_column:
        tags.splits = _splits(table, table.column(options.split_column))
    return tags


def _refuse_longer_rows(table: Table, layout: str) -> None:
    """Raise InputError for a row with more cells than the heading, unless these are tags."""
    if not table.heading or (layout == "list" and table.width <= LIST_WIDTH):
        return
    for line, row in zip(table.lines, table.rows, strict=True):
        if any(row[table.width :]):
            raise InputError(
                f"{table.path}: line {line} has {len(row)} cells, the heading {table.width}; if a cell holds"
                " the separator, it must stand in quotation marks"
            )


def _columns_of_labels(table: Table, options: TableOptions) -> list[int]:
    """The columns that may hold labels."""
    if options.label_columns:
        return list(map(table.column, options.label_columns))
    if options.tags_column:
        return [table.column(options.tags_column)]
    others = (options.group_column, options.split_column, *options.ignore_columns)
    taken = {table.image, *(table.column(name) for name in others if name)}
    if columns := [column for column in range(table.width) if column not in taken]:
        return columns
    raise InputError(f"{table.path} has no column of labels; its columns: {lists.in_line(_titles(table))}")


def _titles(table: Table, columns: Iterable[int] | None = None) -> list[str]:
    return [table.title(column) for column in (range(table.width) if columns is None else columns)]


def _layout(table: Table, columns: Sequence[int], options: TableOptions) -> str:
    """How the labels stand in the columns, or an InputError that says which option decides."""
    if options.label_columns:
        return "columns"
    text = [column for column in columns if not _is_binary(table, column, options)]
    is_ragged = len({len(row) for row in table.rows}) > 1 and len(table.heading) in (0, LIST_WIDTH)
    if not text and len(columns) > 1 and not is_ragged:
        return "columns"
    if len(columns) == 1 and not (text or options.tags_column) and {"0", "1"} & {*table.cells(columns[0])}:
        raise InputError(
            f"{table.path}: {table.title(columns[0])} holds only 0 and 1: say --layout columns if it is one"
            " label that a picture has or has not, or --layout pairs if 0 and 1 are two labels"
        )
    if is_ragged:
        return "list"
    if len(columns) > 1:
        raise InputError(
            f"{table.path} has {len(columns)} columns beside the picture's, and {table.title(text[0])} is not"
            f" 0 and 1 (it has {_example(table, text[0])!r}); say what holds labels: --tags-column NAME (a"
            " list of tags), --label-columns NAME NAME (0 and 1), --layout list (a tag in each cell), or what"
            " does not: --ignore-columns, --group-column or --split-column NAME"
        )
    is_repeated = len(set(table.cells(table.image))) < len(table.rows)
    if is_repeated and any(mark in cell for cell in table.cells(columns[0]) for mark in SEPARATORS.values()):
        raise InputError(
            f"{table.path} names pictures several times, and {table.title(columns[0])} has lists; say"
            " --layout pairs if a cell is one label, or --layout list to join the lists of a picture"
        )
    return "pairs" if is_repeated else "list"


def _example(table: Table, column: int) -> str:
    return next((cell for cell in table.cells(column) if cell not in ("", "0", "1")), "")[:40]


def _word(cell: str) -> str:
    return cell.lower() or "empty"


def _is_binary(table: Table, column: int, options: TableOptions) -> bool:
    """Whether all cells are 0 and 1, or other words for these, or may mean that it is not known."""
    words = {_word(cell) for cell in table.cells(column)}
    given = {*map(str.lower, (*options.positive, *options.negative, *options.unknown))}
    sure = {*POSITIVE, *NEGATIVE, *given}
    return words <= {*sure, *DOUBTFUL}


def _from_columns(
    table: Table, columns: Sequence[int], options: TableOptions
) -> tuple[tuple[str, ...], NDArray[np.int8]]:
    if not table.heading:
        raise InputError(f"{table.path} has no heading; its first line must name the label of each column")
    labels = [table.heading[column] for column in columns]
    if twice := [label for label, number in Counter(labels).items() if number > 1]:
        raise InputError(f"{table.path}: several columns are called {twice[0]!r}; rename or remove one")
    values = dict.fromkeys(POSITIVE, 1) | dict.fromkeys(NEGATIVE, -1)
    given: dict[str, int] = {}
    for words_of_value, value in ((options.positive, 1), (options.negative, -1), (options.unknown, 0)):
        for word in map(str.lower, words_of_value):
            if given.setdefault(word, value) != value:
                raise InputError(f"cells {word!r} are given two meanings; give one")
    values |= given
    labels_NC = np.empty((len(table.rows), len(columns)), np.int8)
    for c, column in enumerate(columns):
        words = list(map(_word, table.cells(column)))
        if strange := {*words} - {*values}:
            row = next(index for index, word in enumerate(words) if word in strange)
            raise _strange(table, row, column, words[row])
        labels_NC[:, c] = [values[word] for word in words]
    unknown = int((labels_NC == 0).sum())
    more = f", {unknown:,} cells not known" if options.unknown else ""
    table.said.append(f"{len(columns)} columns of 0 and 1, a label each{more}")
    return tuple(labels), labels_NC


def _strange(table: Table, row: int, column: int, word: str) -> InputError:
    where = f"{table.path}: line {table.lines[row]}, {table.title(column)}"
    shown = "empty" if word == "empty" else repr(word[:40])
    given = word if word.isalnum() else f"'{word[:40]}'"
    if word in DOUBTFUL:
        meaning = f"not known: --unknown={given}, or not in the picture: --negative={given}"
        return InputError(f"{where} is {shown}; say what such cells mean: {meaning}")
    return InputError(
        f"{where} is {shown}, neither 0 nor 1; say what such cells mean: --positive={given},"
        f" --negative={given} or --unknown={given}; or without it: --ignore-columns {_quoted(table, column)}"
    )


def _quoted(table: Table, column: int) -> str:
    return f"'{table.heading[column]}'" if table.heading else str(column + 1)


def _from_lists(
    table: Table, columns: Sequence[int], options: TableOptions
) -> tuple[tuple[str, ...], NDArray[np.int8]]:
    last = max(map(len, table.rows))
    if len(columns) > 1 or last > table.width:  # tags in cells of their own
        first = min(columns)
        table.said.append(f"the cells from {table.title(first)} on are tags, one a cell")
        tags_N = [[cell for cell in row[first:] if cell] for row in table.rows]
    else:
        cells = table.cells(columns[0])
        name, split = _splitter(table, columns[0], cells, options.tag_separator)
        table.said.append(f"{table.title(columns[0])} is a list of tags{name}")
        tags_N = [[tag.strip() for tag in split(cell) if tag.strip()] for cell in cells]
    return matrix(tags_N)


def _from_pairs(
    table: Table, columns: Sequence[int], _options: TableOptions
) -> tuple[tuple[str, ...], NDArray[np.int8]]:
    if len(columns) > 1:
        raise InputError(f"{table.path}: say which column has the label of a pair: --tags-column NAME")
    table.said.append(f"a row for each pair of picture and label; {table.title(columns[0])} is the label")
    return matrix([[cell] if cell else [] for cell in table.cells(columns[0])])


def matrix(tags_N: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], NDArray[np.int8]]:
    """(labels in alphabetical order, labels_NC) of a list of tags for each row.

    >>> matrix([["sun", "sea"], []])
    (('sea', 'sun'), array([[ 1,  1],
           [-1, -1]], dtype=int8))
    """
    labels = sorted({tag for tags in tags_N for tag in tags})
    columns = {label: column for column, label in enumerate(labels)}
    labels_NC = np.full((len(tags_N), len(labels)), -1, np.int8)
    for row_C, tags in zip(labels_NC, tags_N, strict=True):
        row_C[[columns[tag] for tag in tags]] = 1
    return tuple(labels), labels_NC


Splitter = Callable[[str], list[str]]


def _splitter(table: Table, column: int, cells: Sequence[str], given: str) -> tuple[str, Splitter]:
    """(words that say what separates the tags of a cell, the function that separates them)."""
    where = f"{table.path}: {table.title(column)}"
    if all(cell.startswith("[") and cell.endswith("]") for cell in cells if cell):
        raise InputError(f"{where} has lists in brackets, as {cells[0][:60]!r}; write them as beach,sunset")
    used = [name for name, mark in SEPARATORS.items() if any(mark in cell for cell in cells)]
    if not given and len(used) > 1:
        raise InputError(f"{where} has {' and '.join(used)}; say what separates tags: --tag-separator NAME")
    if name := given if given in SEPARATORS else ("" if given else "".join(used)):
        return f", separated by {name}", lambda cell: cell.split(SEPARATORS[name])
    if given == "none" or (not given and not any(" " in cell for cell in cells)):
        return ", one tag a cell", lambda cell: [cell]
    if not given and not _blanks_separate(cells):
        example = next(cell for cell in cells if " " in cell)[:60]
        raise InputError(
            f"{where}: {example!r} may be one tag or several: --tag-separator none or --tag-separator space"
        )
    return ", separated by blanks (--tag-separator none: a cell is one tag)", str.split


def _blanks_separate(cells: Iterable[str]) -> bool:
    """Whether blanks separate tags: every word is in several different cells, and some are a cell alone."""
    different = {tuple(cell.split()) for cell in cells if cell}
    number = Counter(word for words in different for word in {*words})
    alone = {words[0] for words in different if len(words) == 1}
    together = {word for words in different if len(words) > 1 for word in words}
    return all(number[word] > 1 for word in together) and bool(alone & together)


def _splits(table: Table, column: int) -> list[str]:
    cells = table.cells(column)
    for line, cell in zip(table.lines, cells, strict=True):
        if cell.lower() not in SPLITS:
            raise InputError(
                f"{table.path}: line {line}, {table.title(column)} is {cell[:40]!r}; write train or test"
                " (images for validation are taken from those for training)"
            )
    return [SPLITS[cell.lower()] for cell in cells]
