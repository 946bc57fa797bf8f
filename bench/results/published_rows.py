"""The published results of a data set in memory: sources, rows, and the row to compare with."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.base.method_names import normalised
from bench.base.protocol import Top3
from bench.scoring import profiles
from bench.scoring.profiles import Profile


@dataclass(frozen=True)
class Source:
    """The paper or page that prints numbers; what it does not have or is not known is empty."""

    title: str
    authors: str
    venue: str
    arxiv: str = ""
    table: str = ""
    page: str = ""
    url: str = ""

    def __str__(self) -> str:
        arxiv = f"arXiv {self.arxiv}" if self.arxiv else ""
        page = f"p. {self.page}" if self.page else ""
        places = [place for place in (self.venue, arxiv, self.table, page, self.url) if place]
        return f'{self.authors}, "{self.title}", {", ".join(places)}'


@dataclass(frozen=True)
class PublishedRow:
    """One row of a paper's table, in percent; metrics that the paper does not print are absent.

    source: key of the paper that prints it. cites: the publication that this paper took the row from, if any.
    profile: how the numbers were computed. f1c: definition of F1-C, where it differs from the profile's.
    trunk, input_size (pixels): of the method as printed, where known.
    variant: the images that the numbers are on: the card's options that choose them, as in
    `unlabelled=dropped`, or, where no card has them, a description. Empty: those of the card without options.
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
    variant: str = ""
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

    def images(self, base: str) -> str:
        """The images of the row: a data set's name with options, or a description; base: its name without."""
        is_described = self.variant and "=" not in self.variant
        return self.variant if is_described else "@".join(filter(None, [base, self.variant]))


@dataclass(frozen=True)
class PublishedTable:
    """The published results of one data set: columns, top-3 rule, sources, and rows in the papers' order.

    others: rows of others who trained a method again, each from the source that says so; never compared with.
    """

    title: str
    columns: tuple[str, ...]
    sources: Mapping[str, Source]
    rows: tuple[PublishedRow, ...]
    others: tuple[PublishedRow, ...] = ()
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
