"""`bench.table --since` and `--group`: later papers, headings, and what compares with our own rows."""

import csv
import io
import json

import pytest

from bench import table
from bench.base import paths
from bench.results import listing, published, published_rows, table_formats
from tests.records import fake, refused, write_all

DROPPED = "coco@unlabelled=dropped"
TRUNK = {"trunk": "resnet101.tv_in1k", "input_size": 448}


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    """Folders without results; the cards of the checkout."""
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(paths, "REPRODUCED", tmp_path / "reproduced")
    return tmp_path


def shown(capsys, *args):
    assert table.main([*args]) == 0
    return capsys.readouterr().out


def rows_of(capsys, *args):
    return json.loads(shown(capsys, *args, "--format", "json"))["rows"]


def own_run(**changes):
    record = fake("msrn", dataset=DROPPED, recipe=TRUNK, metrics={"mlgcn": {"mAP": 83.5}}, **changes)
    write_all(paths.RUNS / DROPPED, record)


def test_the_plain_table_has_no_later_paper_but_says_how_to_see_them(capsys):
    text = shown(capsys, "--dataset", "coco")
    later = published.load_published("coco").later
    assert "CPSD" not in text
    assert f"{len(later)} rows of later papers are not shown; for all of them: python -m bench.table" in text
    assert "later papers" not in shown(capsys, "--dataset", "demo")


def test_of_a_method_with_results_the_later_rows_are_shown_apart(capsys):
    write_all(paths.RUNS / DROPPED, fake("csra", dataset=DROPPED, recipe=TRUNK))
    text = shown(capsys, "--dataset", DROPPED)
    assert text.index("\nPublished\n") < text.index("\nLater papers\n") < text.index("\nReproduced\n")
    found = [row for row in rows_of(capsys, "--dataset", DROPPED) if row["source"] == "later"]
    assert {row["title"] for row in found} == {"CSRA"}
    assert [row["read"] for row in found] == ["first-hand"] * 3 + ["second-hand"]


@pytest.mark.parametrize("form", table_formats.FORMATS)
@pytest.mark.parametrize(
    ("group", "headings"),
    [
        ("size", ["Input size 224", "Input size 448", "Input size 576", "Input size not known"]),
        ("year", ["2017", "2019", "2021", "2024"]),
        ("trunk", ["ResNet-101", "Swin-L", "TResNet-L", "Trunk not known"]),
    ],
)
def test_every_format_has_the_headings_in_order(form, group, headings, capsys):
    text = shown(capsys, "--dataset", "coco", "--group", group, "--format", form).replace("-{}", "-")
    if form == "json":
        found = list(dict.fromkeys(row["group"] for row in json.loads(text)["rows"]))
    elif form == "csv":
        found = list(dict.fromkeys(row["group"] for row in csv.DictReader(io.StringIO(text))))
    else:
        lines = [" ".join(line.strip("|& \\").split()) for line in text.splitlines()]
        found = [h for line in lines for h in headings if line.removeprefix("<tr><td>").startswith(h)]
        found = list(dict.fromkeys(found))
    assert [heading for heading in found if heading in headings] == headings


def test_a_row_stands_below_its_heading_and_no_row_is_lost(capsys):
    paper = published.load_published("coco")
    count = len(paper.rows) + len(paper.later) + len(paper.others)
    for group in listing.GROUPINGS:
        found = rows_of(capsys, "--dataset", "coco", "--group", group)
        assert len(found) == count
    for row in found:
        assert row["group"] == (row["trunk"] or "Trunk not known")


def test_since_leaves_out_what_was_published_before(capsys):
    found = rows_of(capsys, "--dataset", "coco", "--since", "2021")
    assert {row["year"] for row in found} == {2021, 2022, 2023, 2024}
    assert "ResNet-SRN" not in {row["title"] for row in found}
    text = shown(capsys, "--dataset", "coco", "--since", "2021")
    assert "\nPublished rows since 2021 only.\n" in text
    assert "\nLater papers\n" in text


def test_what_compares_with_our_rows_is_marked_and_nothing_else(capsys):
    own_run()
    words = ("--dataset", DROPPED, "--group", "size", "--profile", "mlgcn")
    found = rows_of(capsys, *words)
    marked = {(row["title"], row["all"]["mAP"]) for row in found if "comparable" in row["marks"]}
    expected = {("MSRN", 83.4), ("ML-GCN", 83.0), ("ADD-GCN", 84.2), ("CSRA", 83.3), ("TDRG", 84.56)}
    expected |= {("MCAR", 83.8), ("DSDL", 81.7), ("CPSD", 83.1), ("CPSD on Query2Label", 84.9)}
    assert marked == expected
    (ours,) = [row for row in found if row["source"] == "reproduced"]
    assert list(ours["marks"]) == ["own"]
    assert ours["group"] == "Input size 448"
    text = shown(capsys, *words)
    assert "comparable: a row of ours has the same images, trunk, input size" in text
    assert "(own)" in text


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": {"trunk": "resnet50.tv_in1k", "input_size": 448}},
        {"recipe": {"trunk": "resnet101.tv_in1k", "input_size": 320}},
    ],
)
def test_a_run_with_another_trunk_or_size_compares_with_no_row(change, capsys):
    record = fake("msrn", dataset=DROPPED, metrics={"mlgcn": {"mAP": 83.5}}, **change)
    write_all(paths.RUNS / DROPPED, record)
    found = rows_of(capsys, "--dataset", DROPPED, "--since", "2018", "--profile", "mlgcn")
    names = {row["title"] for row in found if "comparable" in row["marks"]}
    assert names == ({"MCAR"} if change["recipe"]["trunk"].startswith("resnet50") else set())


def test_a_run_from_scratch_compares_with_no_row_that_states_a_pretraining(capsys):
    recipe = {**TRUNK, "from_scratch": True}
    record = fake("msrn", dataset=DROPPED, recipe=recipe, metrics={"mlgcn": {"mAP": 60.0}})
    write_all(paths.RUNS / DROPPED, record)
    found = rows_of(capsys, "--dataset", DROPPED, "--since", "2018", "--profile", "mlgcn")
    assert not [row for row in found if "comparable" in row["marks"] and row["pretraining"]]


def test_a_later_row_is_compared_with_only_on_its_images_pretraining_and_profile(capsys):
    """CSRA's 83.3 is of profile csra, whose mAP is that of mlgcn, and not that of srn2017."""
    record = fake("csra", dataset=DROPPED, recipe=TRUNK, metrics={"csra": {"mAP": 83.0}})
    write_all(paths.RUNS / DROPPED, record)

    def difference(profile):
        found = rows_of(capsys, "--dataset", DROPPED, "--profile", profile)
        (row,) = [row for row in found if (row["method"], row["source"]) == ("csra", "reproduced")]
        return row["difference"]["all"]

    assert difference("csra") == pytest.approx({"mAP": -0.3})
    assert difference("srn2017") == {}


def test_second_hand_rows_and_columns_say_where_they_were_read(capsys):
    text = shown(capsys, "--dataset", "coco", "--group", "year")
    assert "\nC-Tran [ResNet-101 at 576] (via Q2L) " in text
    assert "via Q2L: second-hand: read in Q2L, not in the method's own paper or code." in text
    found = {row["title"]: row for row in rows_of(capsys, "--dataset", "coco", "--group", "year")}
    assert found["ML-GCN"]["remarks"]["all"]["F1-C"].endswith("second-hand, read in CPSD")
    assert "second-hand" not in found["ML-GCN"]["remarks"]["all"]["mAP"]
    assert "The number is of the best epoch on the test images: ML-GCN, " in " ".join(text.split())


def test_every_remark_of_a_listing_has_a_letter(capsys):
    for name in ("coco", "nuswide", "voc2007"):
        text = shown(capsys, "--dataset", name, "--group", "size")
        found = rows_of(capsys, "--dataset", name, "--group", "size")
        remarks = {remark for row in found for part in row["remarks"].values() for remark in part.values()}
        squeezed = " ".join(text.split())
        assert all(f": {remark}." in squeezed for remark in remarks)


def test_csv_has_the_facts_of_a_published_row_in_a_listing_only(capsys):
    first = csv.DictReader(
        io.StringIO(shown(capsys, "--dataset", "coco", "--since", "2020", "--format", "csv"))
    )
    assert set(listing.FACTS) <= set(first.fieldnames)
    plain = csv.DictReader(io.StringIO(shown(capsys, "--dataset", "coco", "--format", "csv")))
    assert not {"group", *listing.FACTS} & set(plain.fieldnames)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--group", "weight"], "error: unknown --group 'weight'; choose from: size, year, trunk"),
        (["--since", "20"], "error: --since 20 is not a year; give one such as 2020"),
    ],
)
def test_a_wrong_option_is_refused(words, message, capsys):
    assert refused(table.main, ["--dataset", "coco", *words], capsys).startswith(message)


@pytest.mark.parametrize(
    ("trunk", "images"),
    [
        ("resnet101.tv_in1k", "ImageNet-1k"),
        ("convnext_base.fb_in22k_ft_in1k", "ImageNet-21k"),
        ("resnext50_32x4d.fb_swsl_ig1b_ft_in1k", ""),
        ("resnet101", ""),
    ],
)
def test_the_tag_of_a_trunk_says_its_pretraining_or_nothing(trunk, images):
    assert published_rows.pretraining_of(trunk) == images
