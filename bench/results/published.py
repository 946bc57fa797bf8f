"""Read the published results of a data set, with the papers that print them (`results/published/*.toml`)."""

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
from bench.results.fields import check_percentage, check_type, require_key
from bench.scoring import profiles
from bench.scoring.profiles import Profile


@dataclass(frozen=True)
class Source:
    """The paper that prints numbers; table and page are empty where they are not known."""

    title: str
    authors: str
    venue: str
    arxiv: str
    table: str = ""
    page: str = ""

    def __str__(self) -> str:
        table = f", {self.table}, p. {self.page}" if self.table else ""
        return f'{self.authors}, "{self.title}", {self.venue}, arXiv {self.arxiv}{table}'


@dataclass(frozen=True)
class PublishedRow:
    """One row of a paper's table, in percent; metrics that the paper does not print are absent.

    source: key of the paper that prints it. cites: the publication that this paper took the row from, if any.
    profile: how the numbers were computed. f1c: definition of F1-C, where it differs from the profile's.
    trunk, input_size (pixels): of the method as printed, where known.
    marks: word beside the row's name -> what it means.
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
        """The profile by which the row's numbers were computed, with the row's own definition of F1-C."""
        rules = profiles.get_profile(self.profile)
        return dataclasses.replace(rules, f1_c=self.f1c) if self.f1c else rules

    @property
    def setting(self) -> str:
        """Trunk and input size as far as they are known, such as `ResNet-101 at 224`."""
        return f"{self.trunk} at {self.input_size}" if self.input_size else self.trunk


@dataclass(frozen=True)
class PublishedTable:
    """The published results of one data set: columns, top-3 rule, sources, and rows in the papers' order."""

    title: str
    columns: tuple[str, ...]
    sources: Mapping[str, Source]
    rows: tuple[PublishedRow, ...]
    top3: Top3 | None = None

    @property
    def common_setting(self) -> str:
        """The setting of all rows that the first paper ran itself; empty where they differ."""
        first = next(iter(self.sources))
        settings = {row.setting for row in self.rows if row.source == first and not row.cites}
        return settings.pop() if len(settings) == 1 else ""

    def row(self, method: str, *, trunk: str = "", input_size: int | None = None) -> PublishedRow | None:
        """The only row of a method, trunk and input size; None if there is no such row or more than one.

        Spellings of the method's name do not matter. Trunk and size are compared where both sides state them.
        """
        rows = [row for row in self.rows if normalised(row.name) == normalised(method)]
        rows = [row for row in rows if not trunk or _is_trunk(trunk, row.trunk)]
        rows = [row for row in rows if None in (input_size, row.input_size) or input_size == row.input_size]
        return rows[0] if len(rows) == 1 else None


def _is_trunk(timm_name: str, printed: str) -> bool:
    """Whether a trunk of timm is the one that a paper prints; always, if the paper prints none.

    timm's `mobilenetv2_100.ra_in1k` is `MobileNetV2`; its pre-activation `resnetv2_101` is `ResNet-101`.
    """
    name = normalised(timm_name.partition(".")[0]).replace("resnetv2", "resnet")
    return not printed or name.removesuffix("100") == normalised(printed).removesuffix("100")


def published_datasets() -> list[str]:
    """The names of the data sets with published results."""
    return sorted(path.stem for path in paths.PUBLISHED.glob("*.toml"))


def known_datasets() -> list[str]:
    """The names of the data sets with a card, with published results, or with both."""
    return sorted({*cards.names(), *published_datasets()})


def full_dataset_name(name: str) -> str:
    """The name of the data set's folders; InputError with the list of data sets if the name is unknown."""
    if cards.base(name) not in known_datasets():
        raise unknown("data set", cards.base(name), known_datasets())
    return cards.load_card(name).name if "@" in name else name


def load_published(name: str) -> PublishedTable | None:
    """The published results of a data set (options after `@` are ignored); None if it has none."""
    stem = cards.base(full_dataset_name(name))
    return read_published_file(paths.PUBLISHED / f"{stem}.toml") if stem in published_datasets() else None


def read_published_file(path: Path) -> PublishedTable:
    """The published results in a file; InputError gives the file, the row and what is wrong."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return _parse_table(table)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, InputError) as error:
        raise InputError(f"{path.name}: {error}") from error


def _parse_table(table: Mapping[str, Any]) -> PublishedTable:
    _check_keys(PublishedTable, table, where="the file")
    sources = {key: _parse_source(key, entry) for key, entry in table["sources"].items()}
    rows = tuple(_parse_row(entry, sources, table["columns"]) for entry in table["rows"])
    return PublishedTable(**{**table, "columns": tuple(table["columns"]), "sources": sources, "rows": rows})


def _parse_source(key: str, entry: Mapping[str, Any]) -> Source:
    _check_keys(Source, entry, where=f"source {key!r}")
    return Source(**entry)


def _parse_row(entry: Mapping[str, Any], sources: Iterable[str], columns: Iterable[str]) -> PublishedRow:
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
    """InputError unless the keys are fields of the dataclass, and all fields without a default are there."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in entry:
        if key not in fields:
            raise unknown(f"key of {where}", key, fields)
    for name, item in fields.items():
        if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            require_key(entry, name, name=f"{where}: {name}")


def _check_numbers(values: Mapping[str, Any], names: Iterable[str], *, where: str) -> None:
    for name, value in values.items():
        if name not in names:
            raise unknown(f"metric in {where}", name, names)
        check_type(value, (float,), name=f"{where}: {name}")
        check_percentage(value, name=f"{where}: {name}")
