"""`bench.site`: what the pages show, where their links lead, and what is refused."""

import json
import re
from pathlib import Path

import pytest

from bench.base import paths
from bench.results.record import file_name, write_record
from bench.site import __main__ as site
from bench.site import chart
from bench.site.chart import Axis, Point
from tests import records
from tests.records import refused
from tests.site import pages
from tests.site.pages import Page


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages.prepare(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, written once; a test that changes them writes its own."""
    place = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as patch:
        pages.prepare(place, patch)
        return pages.write(place / "site")


@pytest.fixture
def demo(folder: Path) -> Page:
    return Page(folder / "datasets" / "demo.html")


def names(page: Page) -> list[str]:
    return [row["data-name"] for row in page.rows.values()]


def of(page: Page, name: str, kind: str = "published") -> str:
    """The id of a row."""
    return next(r for r, d in page.rows.items() if (d["data-name"], d["data-kind"]) == (name, kind))


def text(page: Page, row: str) -> str:
    return " ".join(" ".join(cell["text"] for cell in page.cells[row]).split())


class TestTable:
    def test_has_every_row_the_highest_map_first_and_absent_values_last(self, demo: Page):
        found = ["Gamma", pages.HOSTILE, "SRN", pages.HOSTILE, "Alpha", "Alpha", "Delta"]
        assert names(demo) == found
        values = demo.column(1)
        assert [float(value) for value in values[:-1]] == sorted(map(float, values[:-1]), reverse=True)
        assert values[-1] == ""

    def test_numbers_are_sorted_by_all_their_digits(self, demo: Page):
        cell = demo.cells[of(demo, "SRN", "ours")][1]
        assert float(cell["data-value"]) == pytest.approx(80.1)
        assert cell["text"].split() == ["80.1", "±", "0.1"]
        assert "85.25" in text(demo, of(demo, pages.HOSTILE))  # as printed

    def test_our_rows_say_their_seeds_and_how_the_epoch_was_chosen(self, demo: Page):
        assert "ours, 3 seeds" in text(demo, of(demo, "SRN", "ours"))
        assert "last epoch" in text(demo, of(demo, "SRN", "ours"))
        assert "ours, 1 seed" in text(demo, of(demo, pages.HOSTILE, "ours"))

    def test_doubtful_rows_are_marked(self, demo: Page):
        assert "second-hand" in text(demo, of(demo, "Gamma"))
        assert "chosen on test" in text(demo, of(demo, pages.HOSTILE))
        assert "others' reproduction" in text(demo, of(demo, "Alpha", "others"))
        assert "chosen on test" not in text(demo, of(demo, "Alpha"))

    def test_a_number_read_in_anothers_table_has_a_note_and_leads_there(self, demo: Page):
        letters = re.findall(r"([a-z]): ([^.]*)\.", demo.text)
        assert "second-hand, read in ONE" in [meaning for _, meaning in letters]
        html = demo.path.read_text(encoding="utf-8")
        row = html[html.index(f'id="{of(demo, pages.HOSTILE)}"') :].partition("</tr>")[0]
        assert '<a href="#source-one" tabindex="-1">81.0</a>' in row
        assert '<a href="#source-two">85.25</a>' in row

    def test_comparable_rows_share_split_size_and_rule_of_map(self, demo: Page):
        groups = {name: demo.rows[of(demo, name)]["data-group"] for name in ("Gamma", "Alpha", "Delta")}
        assert groups == {"Gamma": "demo|448|mlgcn", "Alpha": "demo|448|srn2017", "Delta": ""}
        assert demo.rows[of(demo, "SRN", "ours")]["data-group"] == "demo|448|srn2017"
        assert demo.rows[of(demo, "Alpha", "others")]["data-group"] == ""

    def test_our_trunk_has_the_name_that_papers_print(self, demo: Page):
        assert demo.rows[of(demo, "SRN", "ours")]["data-trunk"] == "ResNet-101"

    def test_every_heading_and_filter_has_its_name(self, demo: Page):
        html = demo.path.read_text(encoding="utf-8")
        assert html.count("<th scope=") == len(demo.rows) + 12  # a row heading each, and 12 columns
        labels = re.findall(r'<label for="([^"]*)"', html)
        assert labels
        assert set(labels) <= set(demo.ids)
        assert '<form id="filters" hidden' in html  # without JavaScript it would do nothing


class TestLinks:
    def test_lead_to_what_is_in_the_folder(self, folder: Path):
        assert pages.broken_links(folder) == []
        assert all(len(page.ids) == len(set(page.ids)) for page in pages.pages(folder))

    def test_nothing_is_fetched(self, folder: Path):
        for page in pages.pages(folder):
            assert page.loaded == []
            assert not re.search(r"@import|url\(", page.path.read_text(encoding="utf-8"))

    def test_a_source_has_its_paper_table_page_and_address(self, demo: Page):
        assert "https://arxiv.org/abs/1901.00001" in demo.links
        assert "CVPR 2019, Table 2, p. 7" in demo.text

    def test_only_web_addresses_become_links(self, demo: Page):
        assert "javascript:alert(1)" in demo.text
        assert not any(link.startswith("javascript") for link in demo.links)

    def test_a_row_of_ours_leads_to_its_records(self, folder: Path, tmp_path: Path):
        page = Page(folder / "accepted" / "demo" / "srn.html")
        accepted = tmp_path / "reproduced" / "demo"
        for seed in range(3):
            name = f"srn-seed{seed}.json"
            assert name in page.links
            assert (page.path.parent / name).read_bytes() == (accepted / name).read_bytes()
        for fact in ("4b" * 32, "a processor", "resnet101.tv_in1k", "f1" * 32, "2025-01-01T00:00:00+00:00"):
            assert fact in page.text
        assert "mAP 80.10 ± 0.10" in page.text


def test_everything_is_escaped(folder: Path):
    for page in pages.pages(folder):
        html = page.path.read_text(encoding="utf-8")
        assert page.tags.count("script") == (1 if "results" in page.ids else 0)
        assert "<script>alert" not in html
        assert "<b>" not in html


def test_the_same_results_give_the_same_bytes(tmp_path: Path):
    folder = pages.write(tmp_path / "site")
    again = pages.write(tmp_path / "again")
    files = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    others = {path.relative_to(again): path.read_bytes() for path in again.rglob("*") if path.is_file()}
    assert files == others


class TestIndex:
    def test_counts_the_rows_and_has_the_best_comparable_one(self, folder: Path):
        page = Page(folder / "index.html")
        words = " ".join(page.text.split())
        assert "4 records of ours beside 5 rows from 2 published sources" in words
        assert "5 published rows, 2 of ours" in words
        best = "SRN 80.1 ± 0.1 ours, 3 seeds best of 3 with ResNet-101 at 448, mAP as srn2017"
        assert best in words

    def test_a_data_set_without_results_says_how_to_make_some(self, folder: Path):
        page = Page(folder / "datasets" / "wider.html")
        assert "No results yet" in page.text
        assert "python -m bench.run --dataset wider" in page.text


class TestCharts:
    def test_points_lead_to_rows(self, demo: Page):
        html = demo.path.read_text(encoding="utf-8")
        year = html[html.index('<svg id="year"') :].partition("</svg>")[0]
        points = re.findall(r'<a href="#(row-\d+)"', year)
        assert len(points) == len(set(points)) == 6  # Delta has no mAP
        assert "<title" in year
        assert "Gamma (TResNet-L, 448), 2020, mAP 100.0" in year

    def test_cost_is_of_our_rows_where_it_is_known(self, demo: Page):
        html = demo.path.read_text(encoding="utf-8")
        for name in ("seconds", "parameters"):
            svg = html[html.index(f'<svg id="{name}"') :].partition("</svg>")[0]
            assert len(re.findall('<a href="#row-', svg)) == 2
        assert "Measured on a processor" in demo.text
        assert "99 parameters" in html

    def test_time_that_was_not_measured_is_left_out(self, tmp_path: Path):
        for path in (tmp_path / "reproduced" / "demo").glob("*.json"):
            path.unlink()
        records.write_all(tmp_path / "reproduced" / "demo", records.fake(timing={"seconds": {"test": 1.0}}))
        html = (pages.write(tmp_path / "other") / "datasets" / "demo.html").read_text(encoding="utf-8")
        assert '<svg id="parameters"' in html
        assert '<svg id="seconds"' not in html

    def test_points_of_one_year_do_not_cover_each_other(self):
        points = [Point(2020, 80 + n / 100, f"row-{n}", f"m{n}", "published", f"m{n}") for n in range(9)]
        svg = chart.scatter(
            points, Axis("Year", [(2020, "2020"), (2021, "2021")], spread=True), name="n", title="t"
        )
        places = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)
        assert len(set(places)) == 9

    @pytest.mark.parametrize("value", [0.0, 1e-9, 50.0, 100.0])
    def test_one_point_is_a_chart_too(self, value: float):
        point = Point(value, value, "row-1", "one", "ours", "one")
        assert "nan" not in chart.scatter([point], Axis("Seconds"), name="n", title="t")

    def test_ticks_enclose_the_values(self):
        for low in (0.001 * n for n in range(1, 400, 7)):
            for high in (low, low * 1.1, low * 19, 100.0):
                ticks = chart._nice_ticks(low, high)
                assert ticks[0] <= low + 1e-9
                assert ticks[-1] >= high - 1e-9
                assert 2 <= len(ticks) <= 8


class TestGivenRecords:
    def test_stand_beside_the_accepted_ones(self, tmp_path: Path):
        runs = tmp_path / "runs"
        records.write_all(runs / "demo", records.fake(shift=5.0))
        for place in (runs, runs / "demo"):
            folder = pages.write(tmp_path / "site", "--records", str(place))
            page = Page(folder / "datasets" / "demo.html")
            assert [page.rows[of(page, "SRN", kind)]["data-name"] for kind in ("ours", "run")] == ["SRN"] * 2
            assert "ours, a run, 1 seed" in text(page, of(page, "SRN", "run"))
            assert (folder / "runs" / "demo" / "srn.html").is_file()
            assert pages.broken_links(folder) == []

    def test_those_equal_to_accepted_ones_are_not_repeated(self, demo: Page, tmp_path: Path):
        accepted = str(tmp_path / "reproduced" / "demo")
        page = Page(pages.write(tmp_path / "site", "--records", accepted) / "datasets" / "demo.html")
        assert page.rows == demo.rows

    def test_what_an_earlier_call_wrote_goes_and_other_files_stay(self, tmp_path: Path):
        records.write_all(tmp_path / "runs", records.fake(shift=5.0))
        folder = pages.write(tmp_path / "site", "--records", str(tmp_path / "runs"))
        (folder / "notes.txt").write_text("mine")
        pages.write(folder)
        assert not list(folder.glob("runs/demo/*"))
        assert (folder / "notes.txt").read_text() == "mine"


class TestRefusals:
    def refusal(self, tmp_path: Path, capsys: pytest.CaptureFixture[str], *given: Path) -> str:
        words = ["--output", str(tmp_path / "new"), "--records", *map(str, given)]
        message = refused(site.main, words, capsys)
        assert not (tmp_path / "new").exists()
        return message

    def test_a_folder_without_records(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        for place in (tmp_path / "nowhere", tmp_path / "published"):
            message = self.refusal(tmp_path, capsys, place)
            assert f"{place}: holds no records; give --records a folder such as runs/demo" in message

    def test_a_file_in_place_of_a_folder(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        place = tmp_path / "published" / "demo.toml"
        assert f"{place}: is not a folder" in self.refusal(tmp_path, capsys, place)

    @pytest.mark.parametrize("content", ["{", "[]", '{"schema": "other"}'])
    def test_a_broken_record(self, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        (tmp_path / "runs").mkdir()
        (tmp_path / "runs" / "srn-seed0.json").write_text(content)
        assert "srn-seed0.json" in self.refusal(tmp_path, capsys, tmp_path / "runs")

    def test_two_records_of_one_run(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        folders = [tmp_path / name for name in ("a", "b")]
        for shift, place in enumerate(folders):
            records.write_all(place, records.fake(shift=1.0 + shift))
        message = self.refusal(tmp_path, capsys, *folders)
        assert "two records of srn seed 0 on demo" in message
        assert "give one of the folders" in message

    @pytest.mark.parametrize("name", ["pets", "demo@../../up", "../demo"])
    def test_a_data_set_that_is_not_known(
        self, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ):
        record = records.fake(dataset=name)
        write_record(record, tmp_path / "runs")
        message = self.refusal(tmp_path, capsys, tmp_path / "runs")
        assert f"runs/{file_name(record)}: " in message

    def test_a_folder_with_other_files(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "index.html").write_text("mine")
        message = refused(site.main, ["--output", str(tmp_path / "mine")], capsys)
        assert "holds files that bench.site did not write" in message
        assert (tmp_path / "mine" / "index.html").read_text() == "mine"

    @pytest.mark.parametrize("names", [["../published/demo.toml"], {"a": 1}, [1]])
    def test_a_list_of_files_that_is_not_ours(
        self, names: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ):
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "site-files.json").write_text(json.dumps(names))
        message = refused(site.main, ["--output", str(tmp_path / "site")], capsys)
        assert "site-files.json" in message
        assert "give --output a new folder" in message
        assert (tmp_path / "published" / "demo.toml").exists()

    def test_a_record_that_was_edited_is_marked(self, tmp_path: Path):
        path = tmp_path / "reproduced" / "demo" / "srn-seed0.json"
        path.write_text(path.read_text().replace('"mAP": 80.0', '"mAP": 99.0'))
        page = Page(pages.write(tmp_path / "site") / "datasets" / "demo.html")
        assert "edited by hand" in text(page, of(page, "SRN", "ours"))
        assert page.rows[of(page, "SRN", "ours")]["data-group"] == ""


def test_the_rows_of_the_suite_are_all_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The published rows and accepted records of the repository itself: no row is lost, no link broken."""
    monkeypatch.setattr(paths, "PUBLISHED", paths.shipped("results/published"))
    monkeypatch.setattr(paths, "REPRODUCED", paths.shipped("results/reproduced"))
    folder = pages.write(tmp_path / "whole")
    assert pages.broken_links(folder) == []
    for path in paths.PUBLISHED.glob("*.toml"):
        headings = re.findall(r"\n\[\[(?:rows|later|others)\]\]", path.read_text(encoding="utf-8"))
        page = Page(folder / "datasets" / f"{path.stem}.html")
        assert sum(row["data-kind"] in ("published", "others") for row in page.rows.values()) == len(headings)
    copies = {path.name for path in folder.glob("accepted/*/*.json")}
    assert copies == {path.name for path in paths.REPRODUCED.glob("*/*.json")}
