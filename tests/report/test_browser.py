"""The report's page in a real browser: it loads without errors and shows its figures on every screen.

`nox -s browser` runs these tests; they need Playwright and Chromium.
"""

from pathlib import Path
from typing import Any

import pytest

from bench.report import figure, html_page
from bench.report.figure import QUESTIONS, ReportFigure
from bench.report.figure_style import Canvas
from bench.report.label_gains import _draw_gain
from bench.results.comparison_table import build_table

pytestmark = pytest.mark.browser
ROWS = [{"label": f"label {n}", "gain": 3.0 - n, "companions": 2.0} for n in range(8)]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with two figures, as the command writes it."""
    folder = tmp_path_factory.mktemp("report")
    drawn = [
        figure.draw(ReportFigure(f"figure-{n}", QUESTIONS[n], "Gain", "A caption.", "Bars.", draw, {}, ROWS))
        for n in range(2)
    ]
    for drawn_figure in drawn:
        figure.write(drawn_figure, folder / "figures")
    table = build_table("demo", folder)
    text = html_page.build(
        "A report", headline=["Does it help? Yes."], table=table, drawn_figures=drawn, missing=["None."]
    )
    (folder / "index.html").write_text(text, encoding="utf-8")
    return folder / "index.html"


def draw(canvas: Canvas) -> Any:
    return _draw_gain(ROWS, canvas)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_shows_its_figures_without_errors(browser: Any, report: Path, width: int, scheme: str):
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    errors: list[str] = []
    tab.on("console", lambda message: errors.append(message.text))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("requestfailed", lambda request: errors.append(request.url))
    tab.goto(report.as_uri())
    boxes = [svg.bounding_box() for svg in tab.query_selector_all("figure svg") if svg.is_visible()]
    assert errors == []
    assert len(boxes) == 2  # each figure once, in the width for this screen
    for box in boxes:
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert min(box["width"], box["height"]) > 100
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert readable(tab), "text of figures is smaller than 7 pixels"
    tab.close()


def test_text_stands_out_from_the_background(browser: Any, report: Path):
    """At least 7 to 1, the enhanced contrast of the Web Content Accessibility Guidelines 2.2."""
    for scheme in ("light", "dark"):
        tab = browser.new_page(color_scheme=scheme)
        tab.goto(report.as_uri())
        colours = tab.evaluate(
            "() => { const style = getComputedStyle(document.body);"
            " const text = getComputedStyle(document.querySelector('figure .wide svg text'));"
            " return [style.backgroundColor, style.color, text.fill]; }"
        )
        background, page_text, figure_text = (luminance(colour) for colour in colours)
        for text in (page_text, figure_text):
            bright, dark = max(text, background), min(text, background)
            assert (bright + 0.05) / (dark + 0.05) >= 7, scheme
        tab.close()


def readable(tab: Any) -> bool:
    """Whether every text of the figures that are shown is at least 7 pixels high."""
    return bool(
        tab.evaluate(
            "() => [...document.querySelectorAll('figure svg text')]"
            ".filter(text => text.getBoundingClientRect().width > 0)"
            ".every(text => parseFloat(getComputedStyle(text).fontSize)"
            " * text.ownerSVGElement.getScreenCTM().a >= 7)"
        )
    )


def luminance(colour: str) -> float:
    """The relative luminance of `rgb(r, g, b)`, 0 to 1."""
    parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
