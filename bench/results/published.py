"""`results/published/*.toml` -> frozen `Published`: the numbers that papers print, each with its source."""

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench.base import paths
from bench.base.errors import InputError, unknown
from bench.base.method_names import normalised
from bench.base.protocol import TOP3, Top3
from bench.data import cards
from bench.scoring import profiles
from bench.scoring.profiles import Profile


@dataclass(frozen=True)
class Source:
    """Where a paper prints its numbers; table and page where they are known."""

    title: str
    authors: str
    venue: str
    arxiv: str
    table: str = ""
    page: str = ""

    def __str__(self) -> str:
        place = f", {self.table}, p. {self.page}" if self.table else ""
        return f'{self.authors}, "{self.title}", {self.venue}, arXiv {self.arxiv}{place}'


@dataclass(frozen=True)
class PublishedRow:
    """One printed row, in percent; what the paper does not print is absent.

    source: key of the paper that prints it; cites: the publication that it was taken from, if another.
    profile: the convention of its numbers; f1c: what F1-C means, where that is not what the profile says.
    trunk, input_size (pixels): of the method as printed, where known.
    marks: word beside the name -> what it means.
    """

    name: str
    source: str
    profile: str
    all: Mapping[str, float]
    top3: Mapping[str, float] = field(default_factory=dict)
    f1c: Literal["", "mean", "harmonic"] = ""
    cites: str = ""
    trunk: str = ""
    input_size: int | None = None
    marks: Mapping[str, str] = field(default_factory=dict)

    @property
    def convention(self) -> Profile:
        """What the row's numbers mean."""
        rules = profiles.get_profile(self.profile)
        return dataclasses.replace(rules, f1_c=self.f1c) if self.f1c else rules

    @property
    def setting(self) -> str:
        """`ResNet-101 at 224`, as far as it is known."""
        return f"{self.trunk} at {self.input_size}" if self.input_size else self.trunk


@dataclass(frozen=True)
class PublishedTable:
    """All that is printed about one data set: its columns, its top-3 rule, and rows in the papers' order."""

    title: str
    columns: tuple[str, ...]
    sources: Mapping[str, Source]
    rows: tuple[PublishedRow, ...]
    top3: Top3 | None = None

    @property
    def usual(self) -> str:
        """The setting that all rows of the first paper share, apart from those it took from others."""
        first = next(iter(self.sources))
        settings = {row.setting for row in self.rows if row.source == first and not row.cites}
        return settings.pop() if len(settings) == 1 else ""

    def row(self, method: str, *, trunk: str = "", input_size: int | None = None) -> PublishedRow | None:
        """A method's row under any spelling of its name; of that trunk and size, where both sides say."""
        found = [row for row in self.rows if normalised(row.name) == normalised(method)]
        found = [row for row in found if not trunk or _is_trunk(trunk, row.trunk)]
        found = [row for row in found if None in (input_size, row.input_size) or input_size == row.input_size]
        return found[0] if len(found) == 1 else None


def _is_trunk(timm_name: str, printed: str) -> bool:
    """Whether timm's `mobilenetv2_100.ra_in1k` is the `MobileNetV2` of a paper; any is, if it names none.

    A pre-activation ResNet, `resnetv2_101`, is a ResNet in print.
    """
    name = normalised(timm_name.partition(".")[0]).replace("resnetv2", "resnet")
    return not printed or name.removesuffix("100") == normalised(printed).removesuffix("100")


def published_datasets() -> list[str]:
    """The data sets that have published numbers, by file name."""
    return sorted(path.stem for path in paths.PUBLISHED.glob("*.toml"))


def known_datasets() -> list[str]:
    """The data sets that a table can be made for: those with a card, with published numbers, or with both."""
    return sorted({*cards.names(), *published_datasets()})


def full_dataset_name(name: str) -> str:
    """The data set's name as its folders have it; InputError lists the data sets there are."""
    if cards.base(name) not in known_datasets():
        raise unknown("data set", cards.base(name), known_datasets())
    return cards.load_card(name).name if "@" in name else name


def load_published(name: str) -> PublishedTable | None:
    """The published numbers of a data set, whatever its options; None if it has none."""
    stem = cards.base(full_dataset_name(name))
    return read_published_file(paths.PUBLISHED / f"{stem}.toml") if stem in published_datasets() else None


def read_published_file(path: Path) -> PublishedTable:
    """The published numbers in a file; InputError names the file, the row and what does not belong there."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return _published(table)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, InputError) as mistake:
        raise InputError(f"{path.name}: {mistake}") from mistake


def _published(table: Mapping[str, Any]) -> PublishedTable:
    _check_keys(PublishedTable, table, where="the file")
    sources = {key: _source(key, entry) for key, entry in table["sources"].items()}
    rows = tuple(_row(entry, sources, table["columns"]) for entry in table["rows"])
    return PublishedTable(**{**table, "columns": tuple(table["columns"]), "sources": sources, "rows": rows})


def _source(key: str, entry: Mapping[str, Any]) -> Source:
    _check_keys(Source, entry, where=f"source {key!r}")
    return Source(**entry)


def _row(entry: Mapping[str, Any], sources: Iterable[str], columns: Iterable[str]) -> PublishedRow:
    where = f"row {entry.get('name')!r}"
    _check_keys(PublishedRow, entry, where=where)
    row = PublishedRow(**entry)
    if row.source not in sources:
        raise unknown(f"source of {where}", row.source, sources)
    if row.f1c not in ("", "mean", "harmonic"):
        raise unknown(f"f1c of {where}", row.f1c, ("mean", "harmonic"))
    if row.profile not in profiles.PROFILES:
        raise unknown(f"profile of {where}", row.profile, profiles.PROFILES)
    _check_numbers(row.all, columns, where=f"all of {where}")
    _check_numbers(row.top3, TOP3, where=f"top3 of {where}")
    return row


def _check_keys(kind: Any, entry: Mapping[str, Any], *, where: str) -> None:
    fields = {item.name: item for item in dataclasses.fields(kind)}
    for key in entry:
        if key not in fields:
            raise unknown(f"key of {where}", key, fields)
    for name, item in fields.items():
        optional = item.default is not dataclasses.MISSING or item.default_factory is not dataclasses.MISSING
        if name not in entry and not optional:
            raise InputError(f"{where} lacks {name}")


def _check_numbers(values: Mapping[str, Any], names: Iterable[str], *, where: str) -> None:
    for name, value in values.items():
        if name not in names:
            raise unknown(f"metric in {where}", name, names)
        if type(value) is not float or not 0 <= value <= 100:
            raise InputError(f"{where}: {name} must be a percentage such as 59.8, not {value!r}")
