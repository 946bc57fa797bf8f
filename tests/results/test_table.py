"""`python -m bench.table`: published rows, reproduced rows, differences, marks and verdicts."""

import json
import subprocess
import sys
from typing import Any

import pytest

from bench import table
from bench.base import paths
from bench.base.errors import InputError
from bench.base.protocol import ALL, TOP3
from bench.data import cards
from bench.results import published, table_formats
from bench.results.record import check_record
from tests.records import fake, refused, write_all, write_card

HEADS = [*ALL, *TOP3]


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    """Folders without results, and no card but what a test writes."""
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(paths, "REPRODUCED", tmp_path / "reproduced")
    monkeypatch.setattr(cards, "CARDS", tmp_path / "cards")
    write_card(tmp_path / "cards", "demo", evaluation='top3 = "thresholded"')
    return tmp_path


@pytest.fixture
def real_cards(monkeypatch):
    """The cards of the checkout: their options are known."""
    monkeypatch.setattr(cards, "CARDS", paths.CARDS)


def shown(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """What the command prints."""
    assert table.main([*args]) == 0
    return capsys.readouterr().out


def as_json(capsys: pytest.CaptureFixture[str], dataset: str = "demo") -> Any:
    return json.loads(shown(capsys, "--dataset", dataset, "--format", "json"))


def row_of(found: Any, method: str, *, variant: str = "", source: str = "reproduced") -> Any:
    keys = ("method", "variant", "source")
    (row,) = [row for row in found["rows"] if [row[key] for key in keys] == [method, variant, source]]
    return row


@pytest.mark.parametrize("form", table_formats.FORMATS)
@pytest.mark.parametrize("dataset", ["demo", "nuswide", "coco", "wider"])
def test_a_fresh_checkout_has_a_table_whose_rows_say_what_lacks(dataset, form, capsys):
    text = shown(capsys, "--dataset", dataset, "--format", form)
    found = text.replace("\\_", "_").replace("\\", "")
    for method in ("resnet101", "resnet107", "resnet101_semantic", "srn_att", "srn"):
        assert f"python -m bench.run --dataset {dataset} --method {method}" in found
    assert ("ResNet-SRN-att" in text) == (dataset != "demo")


def test_the_row_itself_says_that_it_has_no_records(capsys):
    lines = shown(capsys, "--dataset", "coco").splitlines()
    found = [" ".join(line.split()) for line in lines if line.startswith("SRN ")]
    assert found == ["SRN 0 no records; run: python -m bench.run --dataset coco --method srn"]


def test_it_imports_neither_torch_nor_numpy():
    """So it answers in a fraction of a second."""
    code = (
        "import sys; from bench.table import main; main(['--dataset', 'coco']); "
        "assert not {'torch', 'numpy', 'scipy'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "ResNet-SRN-att" in done.stdout


@pytest.mark.parametrize("dataset", ["nuswide", "coco"])
def test_columns_stand_in_the_papers_order(dataset, capsys):
    lines = shown(capsys, "--dataset", dataset).splitlines()
    heads = next(place for place, line in enumerate(lines) if "mAP" in line and "F1-C" in line)
    assert lines[heads].split() == ["n", *HEADS]
    assert lines[heads - 1].split() == ["All", "top-3"]


def test_wider_has_the_three_columns_of_table_3(capsys):
    lines = [line.split() for line in shown(capsys, "--dataset", "wider").splitlines()]
    assert ["n", "mAP", "F1-C", "F1-O"] in lines
    assert ["ResNet-SRN", "86.2", "75.9", "81.3"] in lines
    assert ["R*CNN", "80.5", "-", "-"] in lines


def test_a_data_set_without_a_top3_rule_has_no_top3_columns(results, capsys):
    write_card(results / "cards", "plain")
    write_all(paths.RUNS / "plain", fake(dataset="plain", protocol={"top3": None}))
    assert ["n", *ALL] in [line.split() for line in shown(capsys, "--dataset", "plain").splitlines()]
    assert row_of(as_json(capsys, "plain"), "srn")["top3"] == {}


def test_published_rows_are_in_the_json_as_printed(capsys):
    found = as_json(capsys, "nuswide")
    assert found["dataset"] == "nuswide"
    srn = row_of(found, "srn", source="paper")
    assert (srn["title"], srn["n"]) == ("ResNet-SRN", None)
    assert srn["all"] == dict(zip(ALL, (62.0, 58.5, 65.2, 55.8, 73.4, 75.5, 71.5), strict=True))
    assert srn["top3"] == dict(zip(TOP3, (48.9, 48.2, 58.9, 62.2, 56.2, 69.6), strict=True))
    assert "Table 1, p. 6" in srn["printed_in"]
    knn = row_of(found, "knn", source="paper")
    assert (knn["all"], knn["f1c"], knn["top3"]["F1-C"]) == ({}, "harmonic", 24.3)


def test_a_reproduced_row_has_mean_sample_deviation_and_difference_to_the_paper(capsys):
    """mAP 80, 80.3, 81.2: mean 80.5, squares 0.25 + 0.04 + 0.49 = 0.78, sd sqrt(0.78 / 2); paper: 77.1."""
    seeds = [fake(seed=seed, dataset="coco", shift=shift) for seed, shift in enumerate((0, 0.3, 1.2))]
    write_all(paths.RUNS / "coco", *seeds)
    row = row_of(as_json(capsys, "coco"), "srn")
    assert (row["n"], row["seeds"], row["title"]) == (3, [0, 1, 2], "SRN")
    assert row["all"]["mAP"] == pytest.approx(80.5, abs=1e-12)
    assert row["std"]["all"]["mAP"] == pytest.approx(0.39**0.5, abs=1e-12)
    assert row["difference"]["all"]["mAP"] == pytest.approx(80.5 - 77.1, abs=1e-12)
    assert row["difference"]["top3"]["R-O"] == pytest.approx(75.5 - 62.5, abs=1e-12)
    assert list(row["all"]) == list(ALL)
    lines = [line.split() for line in shown(capsys, "--dataset", "coco").splitlines()]
    place = next(place for place, line in enumerate(lines) if line[:2] == ["SRN", "3"])
    assert [line[:3] for line in lines[place : place + 3]] == [
        ["SRN", "3", "80.5"],
        ["sd", "0.6", "0.6"],
        ["diff", "+3.4", "+10.3"],
    ]


def test_one_seed_has_no_deviation_and_no_published_row_no_difference(capsys):
    write_all(paths.RUNS / "demo", fake())
    row = row_of(as_json(capsys), "srn")
    assert (row["n"], row["std"], row["difference"]) == (1, {"all": {}, "top3": {}}, {"all": {}, "top3": {}})
    text = shown(capsys, "--dataset", "demo")
    assert "Published: no results for this data set" in text
    assert not {"sd", "diff", "tol", "verdict"} & set(text.split())


def test_methods_stand_in_the_papers_order_with_their_variants_behind(capsys):
    others = [fake("resnet101", variant="budget=equal"), fake("aardvark"), fake("resnet101")]
    write_all(paths.RUNS / "demo", *others)
    rows = [(row["title"], row["variant"]) for row in as_json(capsys)["rows"]]
    before = ["KNN", "WARP", "Linear probe", "ResNet-101"]
    after = ["ResNet-107", "ResNet-101-semantic", "SRN-att", "SRN"]
    assert rows[:9] == [
        *((name, "") for name in before),
        ("ResNet-101", "budget=equal"),
        *((name, "") for name in after),
    ]
    assert rows[-1] == ("aardvark", "")
    assert "\nResNet-101 [budget=equal] " in shown(capsys, "--dataset", "demo")


def test_fresh_records_hide_the_accepted_ones_and_the_table_says_which(capsys):
    assert "Reproduced: no records yet" in shown(capsys, "--dataset", "demo")
    write_all(paths.REPRODUCED / "demo", fake(seed=0), fake(seed=1))
    text = shown(capsys, "--dataset", "demo")
    assert (
        f"Reproduced: accepted records of {paths.REPRODUCED}/demo (2); there are no fresh records"
        in " ".join(text.split())
    )
    write_all(paths.RUNS / "demo", fake(seed=0))
    assert f"Reproduced: fresh records of {paths.RUNS}/demo (1)." in " ".join(
        shown(capsys, "--dataset", "demo").split()
    )
    assert row_of(as_json(capsys), "srn")["n"] == 1


def test_runs_may_lie_elsewhere(results, capsys):
    write_all(results / "other" / "demo", fake())
    assert "fresh records of" in shown(capsys, "--dataset", "demo", "--runs", str(results / "other"))


def test_rows_that_do_not_compare_are_marked_and_the_mark_is_explained(capsys):
    write_all(
        paths.RUNS / "demo",
        fake(seed=0, data={"partial": True}),
        fake("resnet101", 0),
        fake("resnet101", 1, recipe={"lr": 0.5}, data={"fingerprint": "f2" * 32, "card": "cb" * 32}),
        fake("resnet107", 0, protocol={"top3": "forced"}),
    )
    text = shown(capsys, "--dataset", "demo")
    assert "\nSRN (partial) " in text
    assert "\npartial: the data set was incomplete" in text
    assert "\nResNet-101 (mixed) " in text
    assert "mixed: the seeds of resnet101 differ in recipe, card, images." in text
    assert "\nResNet-107 (other protocol) " in text
    assert "other protocol: scored with another rule for top-3" in text


def test_a_record_edited_by_hand_is_marked_in_every_format_and_gets_no_verdict(capsys):
    write_all(paths.RUNS / "demo", fake())
    path = paths.RUNS / "demo" / "srn-seed0.json"
    path.write_text(path.read_text(encoding="utf-8").replace(": 80.0", ": 99.0"), encoding="utf-8")
    for form in table_formats.FORMATS:
        assert "edited by hand" in shown(capsys, "--dataset", "demo", "--format", form)
    text = " ".join(shown(capsys, "--dataset", "demo").split())
    assert "edited by hand: srn seed 0 changed after being written, as the checksum does not fit" in text


def test_records_without_a_checksum_are_counted(capsys):
    (paths.RUNS / "demo").mkdir(parents=True)
    (paths.RUNS / "demo" / "srn-seed0.json").write_text(json.dumps(fake()), encoding="utf-8")
    text = " ".join(shown(capsys, "--dataset", "demo").split())
    assert "Without a checksum, so that an edit by hand would not be seen: 1 of 1 records" in text


def test_rows_on_different_data_are_marked(capsys):
    """Of images of another size the fingerprint is another and says nothing."""
    sized = {"recipe": {"input_size": 32}, "data": {"fingerprint": "f3" * 32}}
    other = fake("resnet101", data={"fingerprint": "f2" * 32})
    write_all(paths.RUNS / "demo", fake(), fake("mcar", **sized))
    assert "(data " not in shown(capsys, "--dataset", "demo")
    write_all(paths.RUNS / "demo", other)
    text = shown(capsys, "--dataset", "demo")
    assert "SRN (data f1f1f1f1)" in text
    assert "ResNet-101 (data f2f2f2f2)" in text
    assert "\nMCAR  " in text
    assert "data f2f2f2f2: made with the data of fingerprint f2f2f2f2; rows of another" in " ".join(
        text.split()
    )


def test_rows_on_equal_sources_with_other_pixels_say_so(capsys):
    one, other = (
        {"fingerprint": letter * 64, "sources": "s" * 64, "libraries": {"Pillow": version}}
        for letter, version in (("a", "12.0.0"), ("b", "13.0.0"))
    )
    write_all(paths.RUNS / "demo", fake("srn", data=one), fake("srn_att", data=other))
    marks = row_of(as_json(capsys), "srn")["marks"]
    reason = "equal sources, other pixels: Pillow 12.0.0 and 13.0.0"
    assert marks == {"data aaaaaaaa": f"made with the data of fingerprint aaaaaaaa; {reason}"}


def test_ties_that_decide_the_top_3_mark_a_row(capsys):
    tied = fake("knn")
    tied["metrics"]["srn2017"]["ties"] = {"top3": 7}
    write_all(paths.RUNS / "demo", tied)
    marks = row_of(as_json(capsys), "knn")["marks"]
    assert marks["ties"].startswith(
        "in up to 7 of 2,000 test images equal logits, and so the order of labels"
    )


def test_a_record_that_says_nothing_of_empty_classes_says_that(capsys):
    old = fake("srn")
    del old["metrics"]["srn2017"]["empty_classes"]
    write_all(paths.RUNS / "demo", old, fake("srn_att"))
    found = as_json(capsys)
    remark = row_of(found, "srn")["remarks"]["all"]["F1-C"]
    assert remark.startswith(
        "1 of 3 classes have no positive; the record does not say how many of them count"
    )
    assert not row_of(found, "srn_att")["remarks"]["all"]


def test_seeds_of_one_recipe_are_not_marked(capsys):
    write_all(paths.RUNS / "demo", fake(seed=0), fake(seed=1, shift=0.5))
    assert row_of(as_json(capsys), "srn")["marks"] == {}


def test_harmonic_rows_are_marked_and_take_no_part_in_a_difference(capsys):
    """A reproduced KNN has its F1-C by the profile, the printed one is harmonic: they do not subtract."""
    write_all(paths.RUNS / "nuswide", fake("knn", dataset="nuswide", protocol={"top3": "forced"}))
    text = shown(capsys, "--dataset", "nuswide")
    assert ["KNN", *"-" * 7, "24.3a", "32.6", "19.3"] in [line.split()[:11] for line in text.splitlines()]
    assert "\na: harmonic mean of P-C and R-C, not the mean of the classes' F1.\n" in text
    difference = row_of(as_json(capsys, "nuswide"), "knn")["difference"]["top3"]
    assert list(difference) == ["P-C", "R-C", "F1-O", "P-O", "R-O"]


def test_a_row_printed_by_another_convention_is_marked_and_not_subtracted(results, capsys, monkeypatch):
    text = (paths.PUBLISHED / "wider.toml").read_text(encoding="utf-8")
    monkeypatch.setattr(paths, "PUBLISHED", results)
    (results / "wider.toml").write_text(text.replace("srn2017", "mlgcn"), encoding="utf-8")
    write_all(paths.RUNS / "wider", fake(dataset="wider", protocol={"top3": None}))
    found = as_json(capsys, "wider")
    remarks = row_of(found, "srn", source="paper")["remarks"]
    assert remarks["all"] == dict.fromkeys(("mAP", "F1-C", "F1-O"), "profile mlgcn, not srn2017")
    assert row_of(found, "srn")["difference"] == {"all": {}, "top3": {}}


def test_no_f1_c_of_another_family_or_profile_stands_unmarked_in_a_column(capsys):
    """Whatever profile the reproduced rows have, and in whatever table."""
    everything = dict.fromkeys(ALL, 50.0) | {"top3": dict.fromkeys(TOP3, 50.0)}
    metrics = {"metrics": {"mlgcn": everything, "mcar": everything}}
    for dataset, profile in [("coco", "mlgcn"), ("nuswide", "mcar"), ("wider", "mlgcn")]:
        write_all(paths.RUNS / dataset, fake(dataset=dataset, **metrics))
        printed = shown(capsys, "--dataset", dataset, "--format", "json", "--profile", profile)
        for row in json.loads(printed)["rows"]:
            other = row.get("profile", "srn2017") != "srn2017"
            harmonic = row.get("f1c") == "harmonic"
            for group in ("all", "top3"):
                marked = set(row["remarks"][group])
                assert marked == (
                    set(row[group]) if other else {"F1-C"} & set(row[group]) if harmonic else set()
                )


def test_rows_of_another_profile_are_asked_for_by_name_and_marked_number_by_number(capsys):
    seeds = [
        fake(seed=seed, dataset="coco", metrics={"mcar": {"mAP": 70.0 + seed, "F1-C": 60.0}})
        for seed in (0, 1)
    ]
    write_all(paths.RUNS / "coco", *seeds)
    text = shown(capsys, "--dataset", "coco", "--profile", "mcar")
    assert "reproduced rows of profile mcar" in text
    (row,) = [line.split() for line in text.splitlines() if line.split()[:2] == ["SRN", "2"]]
    letter = row[2][-1]
    assert row[2:4] == [f"70.5{letter}", f"60.0{letter}"]
    assert f"\n{letter}: profile mcar, not srn2017.\n" in text
    assert "MCAR [ResNet-101 at 448]" in text


@pytest.mark.usefixtures("real_cards")
def test_later_papers_are_compared_with_runs_of_their_trunk_and_size_by_their_own_convention(capsys):
    """mcar and mlgcn have one mAP, srn2017 another: only the former is subtracted from MCAR's 83.8."""
    recipe = {"trunk": "resnet101.tv_in1k", "input_size": 448}
    dataset = "coco@unlabelled=dropped"
    mine = fake("mcar", dataset=dataset, recipe=recipe, metrics={"mlgcn": {"mAP": 84.0, "F1-C": 80.0}})
    write_all(paths.RUNS / dataset, mine)

    def difference(profile: str) -> Any:
        text = shown(capsys, "--dataset", dataset, "--format", "json", "--profile", profile)
        return row_of(json.loads(text), "mcar")["difference"]["all"]

    assert difference("mlgcn") == pytest.approx({"mAP": 0.2})
    assert difference("srn2017") == {}


@pytest.mark.parametrize(
    ("dataset", "method", "place"),
    [
        ("coco", "mcar", "coco@unlabelled=dropped"),
        ("coco@unlabelled=dropped", "srn", "coco"),
        ("nuswide", "msrn", "the split that the authors of ASL offer"),
    ],
)
@pytest.mark.usefixtures("real_cards")
def test_a_row_on_other_images_than_the_published_one_is_marked_and_not_judged(
    dataset, method, place, capsys
):
    recipe = {"trunk": "resnet101.tv_in1k", "input_size": 224 if method == "srn" else 448}
    protocol = {"top3": published.load_published(dataset).top3}
    write_all(paths.RUNS / dataset, fake(method, dataset=dataset, recipe=recipe, protocol=protocol))
    found = as_json(capsys, dataset)
    row = row_of(found, method)
    assert list(row["marks"]) == ["other variant"]
    assert f" is on {place}; " in row["marks"]["other variant"]
    assert row["difference"] == row["verdict"] == {"all": {}, "top3": {}}
    (printed, *_) = [row for row in found["rows"] if (row["source"], row["method"]) == ("paper", method)]
    assert printed["remarks"]["all"]["mAP"].startswith(f"on {place}")


@pytest.mark.usefixtures("real_cards")
def test_on_the_images_of_a_published_row_there_is_a_verdict(capsys):
    dataset, recipe = "coco@unlabelled=dropped", {"trunk": "resnet101.tv_in1k", "input_size": 448}
    mine = fake("msrn", dataset=dataset, recipe=recipe, metrics={"mlgcn": {"mAP": 83.5}})
    write_all(paths.RUNS / dataset, mine)
    text = shown(capsys, "--dataset", dataset, "--format", "json", "--profile", "mlgcn")
    row = row_of(json.loads(text), "msrn")
    assert (row["marks"], row["verdict"]["all"]) == ({}, {"mAP": "within"})
    assert shown(capsys, "--dataset", dataset).startswith("MS-COCO, with unlabelled=dropped\n")
    other = shown(capsys, "--dataset", "nuswide@keep=all")
    assert other.startswith("NUS-WIDE, with keep=all, which no published row has\n")


def test_what_others_got_stands_in_rows_of_its_own_with_its_source(capsys):
    found = as_json(capsys, "coco")
    rows = [row for row in found["rows"] if row["source"] == "others"]
    assert [row["all"]["mAP"] for row in rows] == [73.8, 73.9, 77.3, 79.4, 81.3]
    for row in rows:
        assert row["method"] == "resnet101"
        assert row["difference"] == row["verdict"] == {"all": {}, "top3": {}}
        assert row["printed_in"] in row["marks"].values()
    text = shown(capsys, "--dataset", "coco")
    published_at, others_at, reproduced_at = (
        text.index(f"\n{section}\n") for section in ("Published", "Others' reproductions", "Reproduced")
    )
    assert published_at < others_at < reproduced_at
    assert "\nsrn-18: LifeBeyondExpectations, " in text
    assert "Published (SRN-18)" not in text


def test_a_verdict_stands_below_every_difference_within_the_seeds_spread_or_not(capsys):
    """mAP 80, 80.3, 81.2: sd 0.6245; t of 2 degrees 4.303; 4.303 sd sqrt(4/3) = 3.10 points from 77.1."""
    seeds = [fake(seed=seed, dataset="coco", shift=shift) for seed, shift in enumerate((0, 0.3, 1.2))]
    write_all(paths.RUNS / "coco", *seeds)
    row = row_of(as_json(capsys, "coco"), "srn")
    assert row["tolerance"]["all"]["mAP"] == pytest.approx(3.1029, abs=1e-4)
    printed = row_of(as_json(capsys, "coco"), "srn", source="paper")
    assert row["verdict"].keys() == row["difference"].keys()
    for group, words in row["verdict"].items():
        assert list(words) == list(printed[group]) == list(row["tolerance"][group])
        for name, word in words.items():
            off, tolerance = row["difference"][group][name], row["tolerance"][group][name]
            assert word == ("within" if abs(off) <= tolerance else "above" if off > 0 else "below")
    assert {*row["verdict"]["all"].values(), *row["verdict"]["top3"].values()} == {"within", "above", "below"}
    text = shown(capsys, "--dataset", "coco")
    assert (
        "\ntol: t sd sqrt(1 + 1 / n) for 95 %, sd of the method's seeds, shrunk towards the pooled value"
        in text
    )
    assert "\nverdict: within, if the mean differs from the published value by at most tol" in text


def test_without_spread_the_tolerance_is_stated_and_may_be_given(capsys):
    write_all(paths.RUNS / "coco", fake(dataset="coco", shift=-1.4))  # mAP 78.6, published: 77.1
    assert row_of(as_json(capsys, "coco"), "srn")["verdict"]["all"]["mAP"] == "above"
    text = shown(capsys, "--dataset", "coco", "--tolerance", "1.6")
    assert "tol: 1.6 points, as no method has two seeds" in text
    (verdict,) = [line.split() for line in text.splitlines() if line.split()[:1] == ["verdict"]]
    assert verdict[1] == "within"


def test_a_methods_own_marks_stand_beside_its_name_and_take_its_verdict(capsys):
    """KNN sees other features here than in its publication: a difference is shown, no verdict."""
    write_all(paths.RUNS / "nuswide", fake("knn", dataset="nuswide", protocol={"top3": "forced"}))
    row = row_of(as_json(capsys, "nuswide"), "knn")
    assert list(row["marks"]) == ["other features"]
    assert row["difference"]["top3"]
    assert row["verdict"] == {"all": {}, "top3": {}}
    text = shown(capsys, "--dataset", "nuswide")
    assert "\nKNN (other features) " in text
    assert "\nother features: on the trunk's features" in text
    write_all(paths.RUNS / "demo", fake("knn"))
    assert row_of(as_json(capsys), "knn")["marks"] == {}  # there is no published row to compare it with


def test_partial_data_get_no_verdict(capsys):
    write_all(paths.RUNS / "coco", fake(dataset="coco", data={"partial": True}))
    row = row_of(as_json(capsys, "coco"), "srn")
    assert (row["verdict"], row["tolerance"]) == ({"all": {}, "top3": {}}, {"all": {}, "top3": {}})
    assert "verdict" not in shown(capsys, "--dataset", "coco")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--profile", "coco"], "unknown profile 'coco'; choose from: srn2017, mlgcn, "),
        (["--tolerance", "-1"], "--tolerance -1.0 is not allowed; give points from 0 to 100"),
        (["--tolerance", "nan"], "--tolerance nan is not allowed; give points from 0 to 100"),
    ],
)
def test_a_profile_or_tolerance_that_is_none_is_refused(option, message, capsys):
    assert refused(table.main, ["--dataset", "coco", *option], capsys).startswith(f"error: {message}")


def test_an_unknown_data_set_or_format_is_one_line_that_lists_the_choices(capsys):
    assert refused(table.main, ["--dataset", "cocoa"], capsys) == (
        f"error: unknown data set 'cocoa'; choose from: {', '.join(published.known_datasets())}\n"
    )
    assert "invalid choice: 'pdf' (choose from " in refused(
        table.main, ["--dataset", "demo", "--format", "pdf"], capsys
    )


def test_a_file_that_is_no_record_is_named_and_refused(capsys):
    write_all(paths.RUNS / "demo", fake())
    path = paths.RUNS / "demo" / "srn-seed1.json"
    path.write_text("[]", encoding="utf-8")
    message = refused(table.main, ["--dataset", "demo"], capsys)
    assert message == f"error: {path}: not a record: not an object\n"


def test_records_without_the_profile_of_the_card_are_named(results):
    write_card(results / "cards", "demo", evaluation='profile = "mcar"')
    write_all(paths.RUNS / "demo", fake())
    with pytest.raises(InputError, match="the record of srn seed 0 has no metrics of profile 'mcar'"):
        table.main(["--dataset", "demo"])


def test_output_goes_to_the_file_whole(results, capsys):
    printed = shown(capsys, "--dataset", "coco", "--format", "markdown")
    path = results / "new" / "coco.md"
    assert (
        shown(capsys, "--dataset", "coco", "--format", "markdown", "--output", str(path))
        == f"written: {path}\n"
    )
    assert path.read_text(encoding="utf-8") == printed
    assert list(path.parent.iterdir()) == [path]


def test_an_output_that_cannot_be_written_is_named(results, capsys):
    (results / "file").touch()
    message = refused(table.main, ["--dataset", "coco", "--output", str(results / "file" / "x.md")], capsys)
    assert message.startswith(f"error: {results}/file/x.md: cannot be written: Not a directory; give")


@pytest.mark.parametrize(
    ("there", "mark", "is_judged"), [(79_000, "other images", True), (10, "fewer images", False)]
)
def test_a_row_on_fewer_images_says_so_and_on_far_fewer_gets_no_verdict(there, mark, is_judged, capsys):
    """Photographs of NUS-WIDE are gone at their owners'; no two copies have the same."""
    images = {"train": 118_000, "held_out": 1_892, "test": there}
    facts = {"expected": {"train": 119_892, "test": 80_283}}
    protocol = {"top3": published.load_published("nuswide").top3}
    made = fake(dataset="nuswide", images=images, data=facts, protocol=protocol)
    write_all(paths.RUNS / "nuswide", made)
    row = row_of(as_json(capsys, "nuswide"), "srn")
    assert row["marks"] == {
        mark: f"images: 119,892 of 119,892 for train, {there:,} of 80,283 for test",
    }
    assert bool(row["verdict"]["all"]) == is_judged


class TestBestOnTest:
    def best(self, value: float) -> Any:
        epochs = [{"epoch": 3, "test_mAP": value}]
        return {"stage": "main", "epoch": 3, "mAP": value, "difference": value - 80.0, "epochs": epochs}

    def test_it_stands_below_the_row_and_changes_no_other_number(self, capsys):
        write_all(paths.RUNS / "demo", *(fake(seed=seed) for seed in (0, 1)))
        plain = as_json(capsys)
        values = (81.0, 82.0)
        with_it = [fake(seed=seed) | {"best_on_test": self.best(v)} for seed, v in enumerate(values)]
        write_all(paths.RUNS / "demo", *with_it)
        marked = as_json(capsys)
        (note,) = [text for text in marked["notes"] if text not in plain["notes"]]
        assert "chosen on the test set: not comparable" in note
        row = row_of(marked, "srn")
        assert row.pop("best_on_test")["all"] == {"mAP": 81.5}
        assert row.pop("best_on_test_difference")["all"] == {"mAP": 1.5}
        assert row == row_of(plain, "srn")
        text = shown(capsys, "--dataset", "demo")
        assert "\n  best on test (not comparable)" in text
        assert ",best_on_test mAP," in shown(capsys, "--dataset", "demo", "--format", "csv")

    def test_of_some_seeds_only_it_is_not_shown_but_said(self, capsys):
        write_all(paths.RUNS / "demo", fake(seed=0), fake(seed=1) | {"best_on_test": self.best(81.0)})
        found = as_json(capsys)
        assert "best_on_test" not in row_of(found, "srn")
        said = "best on test of srn: known of 1 of 2 seeds only; train the others with --watch-test --fresh."
        assert said in found["notes"]

    @pytest.mark.parametrize(("key", "value"), [("mAP", 101.0), ("epoch", "3"), ("epochs", [3])])
    def test_a_wrong_one_is_no_record(self, key: str, value: Any):
        with pytest.raises(InputError, match=f"best_on_test.{key}"):
            check_record(fake() | {"best_on_test": self.best(81.0) | {key: value}})
