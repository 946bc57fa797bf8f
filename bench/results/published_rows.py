"""The published results of a data set in memory: sources, rows, and the row to compare with."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.base.method_names import normalised
from bench.base.protocol import Top3
from bench.scoring import profiles
from bench.scoring.profiles import Profile

NOT_KNOWN = "not known"  # profile of a row of which no source says how its numbers were computed


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

    source: key of the paper that prints it. cites: the publication that this paper took the row from, if any:
    then the row is second-hand. columns_from: key of the source of all columns but mAP, where it is another.
    profile: how the numbers were computed, or "not known". f1c: definition of F1-C, where it differs from the
    profile's. trunk, input_size (pixels), pretraining: of the method as printed, where known.
    selection: how the epoch was chosen, where known. AP: of each label, where printed.
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
    pretraining: str = ""
    selection: str = ""
    columns_from: str = ""
    variant: str = ""
    AP: Mapping[str, float] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)

    @property
    def convention(self) -> Profile | None:
        """The profile of the row's numbers, with its own definition of F1-C; None if it is not known."""
        if self.profile == NOT_KNOWN:
            return None
        rules = profiles.get_profile(self.profile)
        return dataclasses.replace(rules, f1_c=self.f1c) if self.f1c else rules

    @property
    def setting(self) -> str:
        """Trunk and input size as far as they are known, such as `ResNet-101 at 224`."""
        return f"{self.trunk} at {self.input_size}".strip() if self.input_size else self.trunk

    def images(self, base: str) -> str:
        """The images of the row: a data set's name with options, or a description; base: its name without."""
        is_described = self.variant and "=" not in self.variant
        return self.variant if is_described else "@".join(filter(None, [base, self.variant]))


@dataclass(frozen=True)
class PublishedTable:
    """The published results of one data set: columns, top-3 rule, sources, and rows in the papers' order.

    others: rows of others who trained a method again, each from the source that says so; never compared with.
    later: rows of papers since 2018 that stand apart, as there are many.
    """

    title: str
    columns: tuple[str, ...]
    sources: Mapping[str, Source]
    rows: tuple[PublishedRow, ...]
    others: tuple[PublishedRow, ...] = ()
    later: tuple[PublishedRow, ...] = ()
    top3: Top3 | None = None

    @property
    def common_setting(self) -> str:
        """The setting of all rows that the first paper ran itself; empty where they differ."""
        first = next(iter(self.sources))
        settings = {row.setting for row in self.rows if row.source == first and not row.cites}
        return settings.pop() if len(settings) == 1 else ""

    def row(
        self, method: str, *, trunk: str = "", input_size: int | None = None, pretraining: str = ""
    ) -> PublishedRow | None:
        """The only row of a method, trunk, input size and pretraining; None if there is none or several.

        Spellings of the method's name do not matter. The others are compared where both sides state them. Of
        several rows, the only one that is not second-hand.
        """
        rows = [row for row in (*self.rows, *self.later) if normalised(row.name) == normalised(method)]
        rows = [row for row in rows if not trunk or is_trunk(trunk, row.trunk)]
        rows = [row for row in rows if None in (input_size, row.input_size) or input_size == row.input_size]
        rows = [row for row in rows if "" in (pretraining, row.pretraining) or pretraining == row.pretraining]
        if len(rows) > 1:
            rows = [row for row in rows if not row.cites]
        return rows[0] if len(rows) == 1 else None

    def year(self, row: PublishedRow) -> int:
        """The year of the publication that the row is of: the one that its source cites, or the source."""
        years = re.findall(r"\b(?:19|20)\d\d\b", row.cites or self.sources[row.source].venue)
        return int(years[-1]) if years else 0


def pretraining_of(trunk: str) -> str:
    """The images that a trunk of timm was trained on, by its tag; "" if that does not say it.

    >>> pretraining_of("resnet101.tv_in1k"), pretraining_of("swin_large_patch4_window12_384.ms_in22k_ft_in1k")
    ('ImageNet-1k', 'ImageNet-21k')
    """
    tag = trunk.partition(".")[2]
    if re.search(r"in2[12]k", tag):
        return "ImageNet-21k"
    return "ImageNet-1k" if re.search(r"in1k", tag) and "_ft_" not in tag else ""


def is_trunk(timm_name: str, printed: str) -> bool:
    """Whether a trunk of timm is the one that a paper prints; always, if the paper prints none.

    timm's `mobilenetv2_100.ra_in1k` is `MobileNetV2`; its pre-activation `resnetv2_101` is `ResNet-101`.
    """
    name = normalised(timm_name.partition(".")[0]).replace("resnetv2", "resnet")
    return not printed or name.removesuffix("100") == normalised(printed).removesuffix("100")
