"""The results of each data set as the pages show them: published rows and records, a row each."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from bench.base.protocol import Column
from bench.data import cards
from bench.results import agreement, listing, published
from bench.results.comparison_table import build_table
from bench.results.listing import Listing
from bench.results.published_rows import NOT_KNOWN, Source
from bench.results.record import file_name
from bench.results.table_model import Table, TableRow
from bench.scoring import profiles
from bench.site.records import RecordFile

MAP: Column = ("all", "mAP")
EVERY_ROW = Listing(since=1)  # also those of later papers, and no empty rows of ours
UNSTATED = "images that the source does not state"  # as results/published/*.toml have it
Kind = Literal["ours", "run", "published", "others"]
KINDS: dict[Kind, str] = {
    "ours": "ours, accepted",
    "run": "ours, of a run",
    "published": "published",
    "others": "others' reproductions",
}


@dataclass(frozen=True)
class SiteRow:
    """One row of a data set's page.

    id: of the element. files: its records, one a seed; of a published row none. source: key of the source
    that prints it. images: the split, as a data set's name with options or in words. trunk: as papers print
    it. group: what comparable rows share, (images, input size, name of the rule of mAP); None if the row does
    not state all of it.
    """

    id: str
    row: TableRow
    kind: Kind
    images: str
    trunk: str
    group: tuple[str, int, str] | None
    files: tuple[RecordFile, ...] = ()
    source: str = ""
    columns_from: str = ""

    @property
    def name(self) -> str:
        """The method, with the changes of our runs: `ResNet-101 [budget=equal]`."""
        changes = f" [{self.row.variant}]" if self.files and self.row.variant else ""
        return self.row.title + changes

    @property
    def mean_ap(self) -> float | None:
        return self.row.values.get(MAP)

    @property
    def page(self) -> str:
        """The page of the row's records, from the site's folder."""
        first = self.files[0]
        stem = file_name(first.record).rpartition("-seed")[0]
        return f"{first.origin}/{first.record['dataset']}/{stem}.html"

    @property
    def training_seconds(self) -> float | None:
        """The measured seconds of all training stages, a mean over the seeds; None where one has none."""
        seconds = [_training_seconds(file) for file in self.files]
        known = [value for value in seconds if value is not None]
        return statistics.fmean(known) if known and len(known) == len(seconds) else None

    @property
    def parameters(self) -> int | None:
        return self.files[0].record["parameters"] if self.files else None


@dataclass(frozen=True)
class Results:
    """One data set: its name without options, what it is, and its rows, the highest mAP first."""

    name: str
    title: str
    summary: str
    columns: tuple[Column, ...]
    rows: tuple[SiteRow, ...]
    sources: Mapping[str, Source]
    table: Table

    @property
    def ours(self) -> list[SiteRow]:
        return [row for row in self.rows if row.files]


def all_results(files: Iterable[RecordFile]) -> list[Results]:
    """The results of every data set that has a card, published rows or records; sorted by name."""
    by_name: dict[str, dict[str, list[RecordFile]]] = defaultdict(lambda: defaultdict(list))
    for file in files:
        by_name[cards.base(file.record["dataset"])][file.record["dataset"]].append(file)
    return [_results(name, by_name[name]) for name in published.known_datasets()]


def _results(name: str, files: Mapping[str, Sequence[RecordFile]]) -> Results:
    paper = published.load_published(name)
    table = build_table(name, [], wanted=EVERY_ROW)
    rows = [_published_row(row, name, paper.sources if paper else {}) for row in table.rows]
    printed = [row.trunk for row in rows if row.trunk]
    for dataset in sorted(files):
        for origin in ("accepted", "runs"):
            own = [file for file in files[dataset] if file.origin == origin]
            rows += [_own_row(row, dataset, own, printed) for row in _reproduced(dataset, own)]
    rows.sort(key=lambda row: (-(row.mean_ap if row.mean_ap is not None else -math.inf), row.name))
    card = cards.load_card(name) if name in cards.names() else None
    return Results(
        name,
        card.title if card else table.about[0],
        card.summary if card else "",
        table.columns,
        tuple(replace(row, id=f"row-{number}") for number, row in enumerate(rows, start=1)),
        paper.sources if paper else {},
        table,
    )


def _reproduced(dataset: str, files: Sequence[RecordFile]) -> Iterator[TableRow]:
    records = [file.record for file in files]
    table = build_table(dataset, records, wanted=EVERY_ROW)
    yield from (row for row in table.rows if row.source == "reproduced")


def _own_row(row: TableRow, dataset: str, files: Sequence[RecordFile], printed: Sequence[str]) -> SiteRow:
    own = tuple(
        file for file in files if (file.record["method"], file.record["variant"]) == (row.method, row.variant)
    )
    facts = row.facts
    return SiteRow(
        id="",
        row=_without_mark(row, "own"),
        kind="ours" if own[0].origin == "accepted" else "run",
        images=dataset,
        trunk=listing.as_printed(facts["trunk"], printed),
        group=None if row.marks.keys() & agreement.INCOMPARABLE else _group(dataset, facts),
        files=own,
    )


def _published_row(row: TableRow, name: str, sources: Mapping[str, Source]) -> SiteRow:
    keys = {str(source): key for key, source in sources.items()}
    facts = row.facts
    variant = facts["images"]
    images = variant if variant and "=" not in variant else "@".join(filter(None, [name, variant]))
    can_compare = images != UNSTATED and row.source != "others" and not _own_marks(row)
    return SiteRow(
        id="",
        row=_without_mark(row, "comparable"),
        kind="others" if row.source == "others" else "published",
        images=images,
        trunk=facts["trunk"],
        group=_group(images, facts) if can_compare else None,
        source=keys[facts["printed_in"]],
        columns_from=keys.get(facts["columns_from"], ""),
    )


def _without_mark(row: TableRow, name: str) -> TableRow:
    return replace(row, marks={mark: text for mark, text in row.marks.items() if mark != name})


def _own_marks(row: TableRow) -> set[str]:
    """The marks that say how a published row differs from the usual; not who read it where."""
    return {mark for mark in row.marks if mark not in (published.EDITED, "comparable") and "via " not in mark}


def _group(images: str, facts: Mapping[str, Any]) -> tuple[str, int, str] | None:
    if not facts["input_size"] or facts["profile"] == NOT_KNOWN:
        return None
    return images, facts["input_size"], rule_of_map(facts["profile"])


def rule_of_map(profile: str) -> str:
    """The first profile that computes mAP as this one does.

    >>> rule_of_map("csra"), rule_of_map("srn2017")
    ('mlgcn', 'srn2017')
    """
    rules = profiles.get_profile(profile)
    return next(
        name for name, other in profiles.PROFILES.items() if profiles.is_comparable(other, rules, "mAP")
    )


def _training_seconds(file: RecordFile) -> float | None:
    """The seconds of the record's stages; None unless all of them were measured."""
    seconds = file.record["timing"].get("seconds")
    names = [stage.get("name") for stage in file.record["stages"] if isinstance(stage, dict)]
    if not names or not isinstance(seconds, dict) or not all(_is_number(seconds.get(name)) for name in names):
        return None
    return math.fsum(seconds[name] for name in names)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
