"""The formats of a table: complete, aligned, and safe against special characters in names."""

import csv
import io
import json
from html.parser import HTMLParser

import pytest

from bench.base.protocol import ALL, TOP3, Column
from bench.results.table_model import Table, TableRow, as_csv, as_json
from bench.results.typeset import as_html, as_latex, as_markdown, as_text

COLUMNS: tuple[Column, ...] = (*(("all", name) for name in ALL), *(("top3", name) for name in TOP3))
ODD = "note=<b>|50%_{x}&*"


def numbers(first: float) -> dict[Column, float]:
    return {column: first + place for place, column in enumerate(COLUMNS)}


def table(*rows: TableRow, columns: tuple[Column, ...] = COLUMNS) -> Table:
    return Table(
        "demo", ("Title, 5 %", "Published: <here>."), columns, rows, ("sd: a note",), "fresh records"
    )


PRINTED = TableRow(
    "paper",
    "srn",
    "ResNet-SRN",
    values={("top3", "F1-C"): 48.9},
    marks={"extra data": "m"},
    remarks={("top3", "F1-C"): "another & convention"},
    facts={"f1c": "h"},
)
BELOW = {"std": numbers(0.25), "difference": numbers(-0.04), "verdict": {("all", "mAP"): "within"}}
MADE = TableRow("reproduced", "srn", "SRN", ODD, 3, numbers(60.04), BELOW)
LACKING = TableRow("reproduced", "resnet101", "ResNet-101", n=0, remedy="python -m x")


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_text_has_three_lines_for_a_reproduced_row_and_one_decimal():
    lines = words(as_text(table(PRINTED, MADE)))
    place = lines.index(["SRN", f"[{ODD}]", "3", *(f"{60 + k}.0" for k in range(13))])
    assert lines[place + 1][:3] == ["sd", "0.2", "1.2"]
    assert lines[place + 2][:3] == ["diff", "+0.0", "+1.0"], "a rounded zero has no minus"
    assert lines[place + 3] == ["verdict", "within"]


def test_a_letter_behind_a_number_leads_to_the_remark_on_it():
    text = as_text(table(PRINTED, MADE))
    assert " 48.9a" in text
    assert "\na: another & convention.\n" in text
    (printed,) = [line for line in text.splitlines() if "48.9a" in line]
    (made,) = [line for line in text.splitlines() if " 67.0 " in line]
    assert printed.index("48.9a") == made.index("67.0 "), "the numbers stand below each other"


def test_text_sets_all_apart_from_top3_and_published_from_reproduced():
    lines = as_text(table(PRINTED, MADE)).splitlines()
    heads = next(line for line in lines if "mAP" in line)
    above = lines[lines.index(heads) - 1]
    assert above.split() == ["All", "top-3"]
    assert above.index("All") + 3 == heads.index("mAP") + 3
    assert above.index("top-3") + 5 == heads.rindex("F1-C") + 4
    assert heads[heads.rindex("F1-C") - 5 : heads.rindex("F1-C")] == "     "
    assert [line for line in lines if line in ("Published", "Reproduced")] == ["Published", "Reproduced"]


def test_text_fits_140_columns_whatever_a_variant_is_called():
    variants = ["", "budget=equal", "x" * 30, "a=1," * 60 + "b=2"]
    rows = [
        TableRow("reproduced", "srn", "SRN", name, 3, numbers(80), {"difference": numbers(-20)})
        for name in variants
    ]
    lines = as_text(table(*rows)).splitlines()
    assert max(map(len, lines)) <= 140
    assert f"SRN [{variants[-1]}]" in "".join(line.strip() for line in lines)
    numbered = [line for line in lines if "80.0" in line]
    assert len({line.index("80.0") for line in numbered}) == 1, "the numbers stand below each other"


@pytest.mark.parametrize("typeset", [as_text, as_markdown, as_latex, as_html])
def test_a_row_without_records_says_so_with_the_command(typeset):
    text = typeset(table(PRINTED, LACKING))
    assert "no records" in text
    assert "python -m x" in text


def test_what_a_paper_does_not_print_is_a_dash():
    assert ["ResNet-SRN", "(extra", "data)", *"-" * 7, "48.9a", *"-" * 5] in words(as_text(table(PRINTED)))


@pytest.mark.parametrize("typeset", [as_text, as_markdown, as_latex, as_html])
def test_a_table_without_top3_does_not_speak_of_it(typeset):
    text = typeset(table(PRINTED, MADE, columns=COLUMNS[:1]))
    assert "top-3" not in text
    assert "F1-C" not in text


def test_markdown_has_as_many_cells_in_every_line_and_escapes_what_would_be_markup():
    text = as_markdown(table(PRINTED, MADE, LACKING))
    lines = [line.replace("\\|", "") for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {16}
    assert set(lines[1]) == set("|-:")
    assert [cell.strip() for cell in lines[0].split("|")[2:-1]] == [
        "n",
        *ALL,
        *(f"{name}@3" for name in TOP3),
    ]
    assert r"SRN [note=\<b>\|50%_{x}&\*]" in text
    assert "- @3: top-3" in text


def test_latex_spans_the_groups_and_escapes_every_special_character():
    text = as_latex(table(PRINTED, MADE, LACKING))
    assert r"\multicolumn{7}{c}{All} & \multicolumn{6}{c}{top-3} \\" in text
    assert r"\cmidrule(lr){3-9}\cmidrule(lr){10-15}" in text
    assert r"\caption{Title, 5 \%. Published: \textless{}here\textgreater{}.}" in text
    assert r"|50\%\_\{x\}\&*" in text
    body = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.replace(r"\&", "").count("&") for line in body} == {14}
    assert text.index(r"\begin{table*}") < text.index(r"\begin{tabular}") < text.index(r"\end{table*}")


class Cells(HTMLParser):
    """The texts of a page's cells, row by row; a cell that spans columns counts as so many."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.within = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.within = tag in ("td", "th")
        if tag == "tr":
            self.rows.append([])
        elif self.within:
            self.rows[-1] += [""] * int(dict(attrs).get("colspan") or 1)

    def handle_data(self, data: str) -> None:
        if self.within:
            self.rows[-1][-1] += data.strip()


def test_html_is_a_page_of_rows_of_equal_length_and_escapes_names():
    page = as_html(table(PRINTED, MADE, LACKING))
    assert page.startswith("<!doctype html>")
    assert "<title>Title, 5 %</title>" in page
    assert not {"<b>", "<here>"} & set(page.split())
    rows = Cells(page).rows
    assert {len(row) for row in rows} == {15}
    assert rows[1] == ["", "n", *ALL, *TOP3]
    assert f"SRN [{ODD}]" in [row[0] for row in rows]


def test_csv_holds_every_digit():
    rows = list(csv.DictReader(io.StringIO(as_csv(table(PRINTED, MADE, LACKING)))))
    names = [*ALL, *(f"top3 {name}" for name in TOP3)]
    facts = ["method", "title", "variant", "source", "n", "marks", "remarks", "run"]
    below = ("", "std ", "difference ", "tolerance ", "verdict ")
    assert list(rows[0]) == [*facts, *(start + name for start in below for name in names)]
    printed, made, lacking = rows
    assert (printed["n"], printed["mAP"], printed["top3 F1-C"], printed["marks"]) == (
        "",
        "",
        "48.9",
        "extra data",
    )
    assert printed["remarks"] == "top3 F1-C: another & convention"
    assert (made["variant"], made["n"], made["mAP"], made["difference mAP"]) == (ODD, "3", "60.04", "-0.04")
    assert float(made["std top3 R-O"]) == BELOW["std"]["top3", "R-O"]
    assert (made["verdict mAP"], made["verdict R-O"], made["tolerance mAP"]) == ("within", "", "")
    assert (lacking["n"], lacking["mAP"], lacking["run"]) == ("0", "", "python -m x")


def test_json_holds_every_digit_under_the_names_as_printed():
    found = json.loads(as_json(table(PRINTED, MADE, LACKING)))
    assert (found["dataset"], found["records"], found["notes"]) == ("demo", "fresh records", ["sd: a note"])
    printed, made, lacking = found["rows"]
    assert (printed["n"], printed["all"], printed["top3"], printed["f1c"]) == (None, {}, {"F1-C": 48.9}, "h")
    assert (made["method"], made["variant"], made["source"], made["n"]) == ("srn", ODD, "reproduced", 3)
    assert list(made["all"].items()) == [(name, MADE.values["all", name]) for name in ALL]
    assert made["std"]["top3"]["R-O"] == BELOW["std"]["top3", "R-O"]
    assert (made["verdict"]["all"], made["tolerance"]["all"]) == ({"mAP": "within"}, {})
    assert printed["remarks"]["top3"] == {"F1-C": "another & convention"}
    assert made["difference"]["all"]["mAP"] == -0.04
    assert (lacking["n"], lacking["all"], lacking["run"]) == (0, {}, "python -m x")
