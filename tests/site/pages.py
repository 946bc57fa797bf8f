"""Small results for the tests of the pages, and a reader of their HTML."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest

from bench.base import paths
from bench.site import __main__ as site
from tests import records

HOSTILE = "<script>alert(1)</script>"
PUBLISHED = """
title = "Digits"
columns = ["mAP", "F1-C"]
[sources.one]
title = "A <b>title</b> & more"
authors = "A, B"
venue = "CVPR 2019"
arxiv = "1901.00001"
table = "Table 2"
page = "7"
[sources.two]
title = "Second"
authors = "C"
venue = "ICCV 2021"
url = "javascript:alert(1)"
[[rows]]
name = "Alpha"
source = "one"
profile = "srn2017"
trunk = "ResNet-101"
input_size = 448
all = { mAP = 9.5, F1-C = 80.0 }
[[later]]
name = "<script>alert(1)</script>"
source = "two"
profile = "mlgcn"
trunk = "ResNet-101"
input_size = 448
selection = "best epoch on the test images"
columns_from = "one"
all = { mAP = 85.25, F1-C = 81.0 }
[[later]]
name = "Gamma"
source = "one"
profile = "csra"
trunk = "TResNet-L"
input_size = 448
cites = "Someone, ICCV 2020"
all = { mAP = 100.0 }
[[later]]
name = "Delta"
source = "two"
profile = "mlgcn"
input_size = 448
variant = "images that the source does not state"
all = { F1-C = 70.0 }
[[others]]
name = "Alpha"
source = "two"
profile = "srn2017"
trunk = "ResNet-101"
input_size = 448
all = { mAP = 8.0 }
"""


def prepare(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Published rows of the demo, and accepted records: srn with three seeds, another method with one."""
    (folder / "published").mkdir()
    (folder / "published" / "demo.toml").write_text(PUBLISHED, encoding="utf-8")
    own = {"trunk": "resnet101.tv_in1k", "input_size": 448, "select": "last"}
    three = [records.fake(seed=seed, shift=seed / 10, recipe=own) for seed in range(3)]
    other = records.fake(HOSTILE, recipe=own, parameters=99)
    records.write_all(folder / "reproduced" / "demo", *three, other)
    patch.setattr(paths, "PUBLISHED", folder / "published")
    patch.setattr(paths, "REPRODUCED", folder / "reproduced")


def write(output: Path, *words: str) -> Path:
    assert site.main(["--output", str(output), *words]) == 0
    return output


class Page(HTMLParser):
    """What a page contains: ids, links, the cells of its table's rows, its whole text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []  # what a browser fetches by itself
        self.tags: list[str] = []
        self.rows: dict[str, dict[str, Any]] = {}
        self.cells: dict[str, list[dict[str, str]]] = {}
        self.text = ""
        self._row = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        if "id" in values:
            self.ids.append(values["id"])
        if "href" in values:
            (self.loaded if tag == "link" else self.links).append(values["href"])
        self.loaded += [values[name] for name in ("src", "xlink:href", "srcset") if name in values]
        if tag == "tr":
            self._row = values.get("id", "")
            if self._row:
                self.rows[self._row], self.cells[self._row] = dict(values), []
        if tag in ("td", "th") and self._row:
            self.cells[self._row].append({**values, "text": ""})

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr":
            self._row = ""

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._row and self.cells[self._row]:
            self.cells[self._row][-1]["text"] += data

    def column(self, place: int) -> list[str]:
        """The values that a column is sorted by, from the first row to the last."""
        return [cells[place]["data-value"] for cells in self.cells.values()]


def pages(folder: Path) -> Iterator[Page]:
    yield from map(Page, sorted(folder.rglob("*.html")))


def broken_links(folder: Path) -> list[str]:
    """The links to files that are not there or outside of the folder, and to elements that are not there."""
    found = {page.path: page for page in pages(folder)}
    broken = []
    for page in found.values():
        for link in page.links:
            place, fragment = urldefrag(link)
            if place.startswith(("http://", "https://")):
                continue
            target = (page.path.parent / unquote(place)).resolve() if place else page.path
            inside = target.is_relative_to(folder.resolve()) and target.is_file()
            if not inside or (fragment and unquote(fragment) not in map(unquote, found[target].ids)):
                broken.append(f"{page.path.name}: {link}")
    return broken
