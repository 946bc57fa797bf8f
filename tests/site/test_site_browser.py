"""The leaderboard in a real browser: sorting, filters, comparable rows, on every screen, without network.

`nox -s browser` runs these tests; they need Playwright and Chromium.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.site import pages

pytestmark = pytest.mark.browser
SCREENS = [(1280, "light"), (390, "dark")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("browser")
    with pytest.MonkeyPatch.context() as patch:
        pages.prepare(place, patch)
        return pages.write(place / "site")


@pytest.fixture(params=SCREENS, ids=str)
def tab(request: pytest.FixtureRequest, browser: Any) -> Iterator[Any]:
    """A tab that fails the test if its page logs anything or asks for anything but files."""
    width, scheme = request.param
    tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    faults: list[str] = []
    tab.on("console", lambda message: faults.append(message.text))
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("request", lambda asked: faults.extend([asked.url] * (not asked.url.startswith("file:"))))
    yield tab
    tab.close()
    assert faults == []


@pytest.fixture
def demo(tab: Any, folder: Path) -> Any:
    tab.goto((folder / "datasets" / "demo.html").as_uri())
    return tab


def shown(tab: Any) -> list[str]:
    """The names of the rows that are shown, from above."""
    rows = "[...document.querySelectorAll('#results tbody tr')].filter(row => !row.hidden)"
    return list(tab.evaluate(f"{rows}.map(row => row.dataset.name)"))


def test_no_page_is_wider_than_the_screen(tab: Any, folder: Path):
    for name in ("index.html", "datasets/demo.html", "datasets/wider.html", "accepted/demo/srn.html"):
        tab.goto((folder / name).as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= tab.viewport_size["width"], name


def test_a_heading_sorts_numbers_as_numbers_with_absent_ones_last(demo: Any):
    heading = demo.locator("#results thead th", has_text="mAP").first
    assert heading.get_attribute("aria-sort") == "descending"
    down = shown(demo)
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    up = shown(demo)
    assert (down[0], down[-1]) == ("Gamma", "Delta")
    assert up == ["Alpha", "Alpha", pages.HOSTILE, "SRN", pages.HOSTILE, "Gamma", "Delta"]


def test_the_keyboard_sorts_too(demo: Any):
    button = demo.get_by_role("button", name="Method")
    button.focus()
    demo.keyboard.press("Enter")
    assert shown(demo)[-1] == "SRN"
    demo.keyboard.press("Enter")
    assert shown(demo)[0] == "SRN"
    sorts = demo.evaluate("[...document.querySelectorAll('#results thead th')].map(th => th.ariaSort)")
    assert sorts.count("descending") == 1
    assert sorts.count("none") == len(sorts) - 1


def test_filters_hide_rows_and_points_and_say_how_many_are_left(demo: Any):
    demo.get_by_label("Text in a row").fill("gam")
    assert shown(demo) == ["Gamma"]
    assert demo.inner_text("#status") == "1 of 7 rows"
    assert demo.locator("svg#year a.point:visible").count() == 1
    demo.get_by_label("Text in a row").fill("no such row")
    assert "no row has all of this" in demo.inner_text("#status")
    demo.get_by_role("button", name="Show all").click()
    assert len(shown(demo)) == 7


@pytest.mark.parametrize(
    ("label", "choice", "names"),
    [
        ("Origin", "ours", ["SRN", pages.HOSTILE]),
        ("Year", "2021", [pages.HOSTILE, "Alpha", "Delta"]),
        ("Trunk", "TResNet-L", ["Gamma"]),
        ("Trunk", "", ["Delta"]),
        ("Profile", "csra", ["Gamma"]),
        ("Selection", "last epoch", ["SRN", pages.HOSTILE]),
        ("Split", "images that the source does not state", ["Delta"]),
    ],
)
def test_each_filter(demo: Any, label: str, choice: str, names: list[str]):
    demo.get_by_label(label, exact=True).select_option(choice)
    assert shown(demo) == names


def test_rows_comparable_with_one(demo: Any):
    button = demo.get_by_role("button", name="Only rows comparable with SRN")
    button.click()
    assert shown(demo) == ["SRN", pages.HOSTILE, "Alpha"]
    assert button.get_attribute("aria-pressed") == "true"
    assert "comparable with SRN" in demo.inner_text("#status")
    button.click()
    assert len(shown(demo)) == 7


def test_a_link_to_a_row_that_is_filtered_shows_it(demo: Any):
    demo.get_by_label("Text in a row").fill("gamma")
    demo.evaluate("location.hash = '#row-7'")
    demo.wait_for_function("document.getElementById('row-7').hidden === false")
    assert len(shown(demo)) == 7


def test_every_control_has_a_name(demo: Any):
    unnamed = demo.evaluate(
        "() => [...document.querySelectorAll('button, input, select, svg[id]')].filter(element => "
        "!(element.ariaLabel || element.textContent.trim() || element.labels?.length)).length"
    )
    assert unnamed == 0


def test_without_javascript_the_table_is_plain(browser: Any, folder: Path):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 800})
    tab = context.new_page()
    tab.goto((folder / "datasets" / "demo.html").as_uri())
    assert tab.locator("#results tbody tr:visible").count() == 7
    assert tab.locator("button:visible, select:visible, input:visible").count() == 0
    context.close()
