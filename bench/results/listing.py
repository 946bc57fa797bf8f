"""Which published rows a table lists, under which headings, and which of them compare with our own rows."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.base.method_names import normalised
from bench.data import cards
from bench.results.published_rows import (
    NOT_KNOWN,
    PublishedRow,
    PublishedTable,
    is_trunk,
    pretraining_of,
)
from bench.results.record import Record
from bench.results.table_model import TableRow
from bench.scoring import profiles

GROUPINGS = ("size", "year", "trunk")
COMPARABLE = (
    "a row of ours has the same images, trunk, input size and, where the row states it, pretraining, and its "
    "mAP is computed in the same way"
)
OWN = "trained here; mean of the n seeds"
FACTS = (  # of the JSON object of a row, which CSV has as columns in a listing
    *("year", "trunk", "input_size", "pretraining", "profile", "selection", "images", "read", "printed_in"),
)


@dataclass(frozen=True)
class Listing:
    """What the user asks for: published rows since a year (0: all), in groups ("": by their source).

    With neither, a table shows the first paper's table and, of later papers, the methods that have results.
    """

    since: int = 0
    group: str = ""

    @property
    def is_plain(self) -> bool:
        return not (self.since or self.group)


def select(paper: PublishedTable, listing: Listing, methods: Collection[str]) -> PublishedTable:
    """The published rows to show. methods: those that have results, as their files are named."""
    if listing.is_plain:
        known = set(map(normalised, methods))
        return replace(paper, later=tuple(row for row in paper.later if normalised(row.name) in known))
    rows, others, later = (
        tuple(row for row in part if paper.year(row) >= listing.since)
        for part in (paper.rows, paper.others, paper.later)
    )
    return replace(paper, rows=rows, others=others, later=later)


def arrange(rows: Sequence[TableRow], listing: Listing) -> list[TableRow]:
    """The rows with their marks and headings; in a listing, without methods that have no results."""
    if listing.is_plain:
        return list(rows)
    own = [row for row in rows if row.source == "reproduced" and row.n]
    marked = [_with_mark(row, own) for row in rows if row.source != "reproduced" or row.n]
    return list(_grouped(marked, listing.group)) if listing.group else marked


def notes(
    shown: PublishedTable | None, paper: PublishedTable | None, listing: Listing, dataset: str
) -> Iterator[str]:
    """Where the later rows were read, how their epoch was chosen, and how to see those that are not shown."""
    if shown is None or paper is None:
        return
    if hidden := len(paper.later) - len(shown.later) if listing.is_plain else 0:
        command = f"python -m bench.table --dataset {cards.base(dataset)} --group size"
        yield f"{hidden} rows of later papers are not shown; for all of them: {command} (or year, trunk)."
    keys = [key for row in shown.later for key in (row.source, row.columns_from) if key]
    yield from (f"{key.upper()}: {shown.sources[key]}." for key in dict.fromkeys(keys))
    by_rule: dict[str, list[str]] = defaultdict(list)
    for row in shown.later:
        by_rule[row.selection].append(row.name)
    for rule, names in by_rule.items():
        which = f"The number is of the {rule}" if rule else "No source says which epoch the number is of"
        yield f"{which}: {', '.join(dict.fromkeys(names))}."


def facts_of_records(members: Sequence[Record], profile: str) -> dict[str, Any]:
    """What the JSON object of a reproduced row has besides: its seeds, and what a comparable row shares."""
    recipe = members[0]["recipe"]
    trunk = str(recipe.get("trunk", ""))
    tagged = "a file of weights" if recipe.get("trunk_weights") else pretraining_of(trunk)
    return {
        "seeds": [member["seed"] for member in members],
        "profile": profile,
        "trunk": trunk,
        "input_size": recipe.get("input_size"),
        "pretraining": "none" if recipe.get("from_scratch") else tagged,
        "images": cards.variant(members[0]["dataset"]),
    }


def _with_mark(row: TableRow, own: Sequence[TableRow]) -> TableRow:
    """The row, marked if it is ours or a published one that compares with one of ours."""
    if row.source == "reproduced":
        return replace(row, marks={"own": OWN, **row.marks})
    names = [ours.name for ours in own if _is_comparable(row, ours)]
    if row.source == "others" or not names:
        return row
    return replace(
        row, marks={"comparable": COMPARABLE, **row.marks}, facts={**row.facts, "comparable_with": names}
    )


def _is_comparable(row: TableRow, ours: TableRow) -> bool:
    """Whether a published row and one of ours are of the same images, trunk, size, pretraining and AP."""
    printed, own = row.facts, ours.facts
    stated = printed["trunk"] and printed["input_size"] and printed["profile"] != NOT_KNOWN
    if not stated or row.marks.keys() - {"edited by hand"} - _second_hand(row):
        return False
    return bool(
        printed["images"] == own["images"]
        and is_trunk(own["trunk"], printed["trunk"])
        and printed["input_size"] == own["input_size"]
        and (not printed["pretraining"] or printed["pretraining"] == own["pretraining"])
        and profiles.is_comparable(
            profiles.get_profile(printed["profile"]), profiles.get_profile(own["profile"]), "mAP"
        )
    )


def _second_hand(row: TableRow) -> set[str]:
    return {mark for mark in row.marks if mark.startswith("via ")}


def _grouped(rows: Sequence[TableRow], group: str) -> Iterator[TableRow]:
    """The rows in the order of their headings, each with its heading."""
    trunks = [row.facts["trunk"] for row in rows if row.source != "reproduced" and row.facts["trunk"]]
    headings = [_heading(row, group, trunks) for row in rows]
    for heading in sorted(set(headings)):
        for own, row in zip(headings, rows, strict=True):
            if own == heading:
                yield replace(row, section=heading[-1])


def _heading(row: TableRow, group: str, trunks: Sequence[str]) -> tuple[int, int, str]:
    """Sort key and, last, the heading of a row: numbers by value, names by letter, what is not known last."""
    if group == "trunk":
        trunk = row.facts["trunk"]
        if row.source == "reproduced":
            trunk = as_printed(trunk, trunks)
        return (0, 0, trunk) if trunk else (1, 0, "Trunk not known")
    if group == "size":
        size = row.facts["input_size"] or 0
        return (0, size, f"Input size {size}") if size else (1, 0, "Input size not known")
    year = row.facts.get("year", 0)
    return (0, year, str(year)) if year else (1, 0, "Trained here")


def as_printed(trunk: str, printed: Sequence[str]) -> str:
    """The name that papers print for a trunk of timm; without one, timm's name without its tag.

    >>> as_printed("resnet101.tv_in1k", ["TResNet-L", "ResNet-101"]), as_printed("vit_small.x", ["ViT-L"])
    ('ResNet-101', 'vit_small')
    """
    return next((name for name in printed if is_trunk(trunk, name)), trunk.partition(".")[0])


def second_hand(row: PublishedRow) -> dict[str, str]:
    """The mark of a row that was read in another's table; empty for the others."""
    if not row.cites:
        return {}
    key = row.source.upper()
    return {f"via {key}": f"second-hand: read in {key}, not in the method's own paper or code"}
