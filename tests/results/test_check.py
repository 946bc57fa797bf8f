"""`python -m bench.check`: moved results give exit status 1, and accepting keeps all other records."""

import json
from typing import Any

import pytest

from bench import check
from bench.base import paths
from bench.data import cards
from bench.results import record
from bench.results.drift import tolerance
from bench.results.record import Record, group_records
from bench.results.seed_spread import Spread, shrink_spreads
from tests.records import fake, refused, write_all, write_card


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    """Folders without results, and one card."""
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(paths, "REPRODUCED", tmp_path / "reproduced")
    monkeypatch.setattr(cards, "CARDS", tmp_path / "cards")
    write_card(tmp_path / "cards", "demo")
    return tmp_path


@pytest.fixture
def accepted():
    """Two methods with three seeds each, mAP 80 + (-0.3, 0, 0.3) and 80 + (-0.1, 0, 0.1)."""
    shifts = {"srn": 0.3, "resnet101": 0.1}
    found = [fake(name, seed, shift=size * (seed - 1)) for name, size in shifts.items() for seed in range(3)]
    write_all(paths.REPRODUCED / "demo", *found)
    return found


def write_fresh(*records: Record) -> None:
    write_all(paths.RUNS / "demo", *records)


def checked(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str]:
    """(status, what the command prints)."""
    status = check.main(["--dataset", "demo", *args])
    return status, capsys.readouterr().out


def test_without_a_spread_the_tolerance_is_a_point(capsys):
    write_all(paths.REPRODUCED / "demo", fake(shift=0))
    write_fresh(fake(shift=0.99))
    status, text = checked(capsys)
    assert status == 0
    assert "tolerance in points: 1.0 where no method has two accepted seeds to show a spread" in text
    write_fresh(fake(shift=1.01))
    assert checked(capsys)[0] == 1


def test_the_same_numbers_pass_with_a_difference_of_nothing(accepted, capsys):
    """Seed 0 alone lies 0.3 below its method's mean; reproduced to the last bit it has not moved."""
    write_fresh(accepted[0], accepted[3])
    status, text = checked(capsys)
    assert status == 0
    assert "2 fresh records of" in text
    assert "srn seed 1, 2: accepted, but there is no fresh record" in text
    assert checked(capsys, "--strict")[0] == 1
    write_fresh(*accepted)
    status, text = checked(capsys, "--strict")
    assert status == 0
    assert "no number moved: 26 compared, the largest move is 0% of its tolerance" in text


@pytest.mark.usefixtures("accepted")
def test_a_difference_within_the_spread_passes_and_the_tolerances_are_stated(capsys):
    """Each method's tolerance is t sd sqrt(1/1 + 1/3), sd and t of its shrunk spread."""
    found = shrink_spreads({"resnet101": Spread(0.1, 2), "srn": Spread(0.3, 2)})
    allowed = {name: tolerance(one, 1, 3) for name, one in found.items()}
    assert allowed["resnet101"] < allowed["srn"]
    write_fresh(fake("srn", 0, shift=0.99 * allowed["srn"]), fake("resnet101", 0, shift=-0.1))
    status, text = checked(capsys)
    assert status == 0
    lines = [line.split() for line in text.splitlines()]
    for name, points in allowed.items():
        assert [f"{name},", "1:3", *[f"{points:.2f}"] * 13] in lines
    assert (
        "covers 99.9% of chance differences, given each method's spread between accepted seeds, shrunk"
        in text
    )
    assert "largest move is 99% of its tolerance (srn, mAP 80.00 -> " in text


def test_what_moved_is_named_with_its_numbers(accepted, capsys):
    moved = fake("srn", 0)
    moved["metrics"]["srn2017"]["top3"]["R-O"] -= 9
    write_fresh(moved, accepted[3])
    status, text = checked(capsys)
    assert status == 1
    lines = [line.split() for line in text.splitlines()]
    assert "1 of 26 numbers moved:" in text
    assert lines[-1] == ["srn", "top-3", "R-O", "75.00", "66.00", "-9.00", lines[-1][-1]]
    assert lines[-3] == ["moved", "metric", "accepted", "fresh", "difference", "tolerance"]


def test_other_data_have_moved_whatever_the_numbers_are(accepted, capsys):
    write_fresh(*(one | {"data": one["data"] | {"fingerprint": "0d" * 32}} for one in accepted))
    status, text = checked(capsys)
    assert status == 1
    assert (
        text.splitlines()[1]
        == "resnet101: moved: the data, fingerprint f1f1f1f1f1f1 accepted, 0d0d0d0d0d0d fresh"
    )


def test_another_protocol_has_moved(accepted, capsys):
    write_fresh(*(one | {"protocol": one["protocol"] | {"top3": "forced"}} for one in accepted))
    status, text = checked(capsys)
    assert (status, "srn: moved: the evaluation protocol" in text) == (1, True)


@pytest.mark.parametrize("part", ["a class's AP", "another profile"])
def test_what_differs_while_the_main_numbers_are_the_same_has_moved(part, capsys):
    """The same seed to the last bit in what the table shows: then something is computed otherwise."""
    metrics = fake()["metrics"]["srn2017"] | {"AP": {"cat": 80.0, "dog": 80.0}}
    write_all(paths.REPRODUCED / "demo", fake(metrics={"srn2017": metrics, "caffe": metrics}))
    same = {"srn2017": metrics, "caffe": metrics}
    write_fresh(fake(metrics=same))
    assert checked(capsys)[0] == 0
    key, change = ("srn2017", {"AP": {"cat": 50.0}}) if part == "a class's AP" else ("caffe", {"mAP": 1.0})
    write_fresh(fake(metrics=same | {key: metrics | change}))
    status, text = checked(capsys)
    assert status == 1
    assert f"srn: moved: metrics of profile {key}, while the main numbers are the same" in text


def test_a_recipe_that_is_another_seeds_is_mentioned(capsys):
    recipes = [{"lr": 0.5}, {"lr": 0.1}]
    write_all(paths.REPRODUCED / "demo", *(fake(seed=n, recipe=it) for n, it in enumerate(recipes)))
    write_fresh(*(fake(seed=n, recipe={"lr": 0.5}) for n in range(2)))
    assert "srn: the recipe differs from the accepted one" in checked(capsys)[1]


def test_a_metric_that_is_gone_has_moved(accepted, capsys):
    del accepted[0]["metrics"]["srn2017"]["P-C"]
    write_fresh(accepted[0])
    status, text = checked(capsys)
    assert (status, "srn: moved: the fresh records have no P-C" in text) == (1, True)


@pytest.mark.usefixtures("accepted")
def test_another_card_recipe_or_partial_data_are_mentioned(capsys):
    data = {"card": "cb" * 32, "partial": True}
    write_fresh(fake("srn", 0, shift=-0.3, recipe={"lr": 0.5}, data=data))
    status, text = checked(capsys)
    assert status == 0
    assert "srn: the data set's card has changed since the records were accepted" in text
    assert "srn: the recipe differs from the accepted one" in text
    assert "srn: made from partial data" in text


def test_a_method_on_one_side_only_is_mentioned_and_fails_where_strict(accepted, capsys):
    write_fresh(accepted[0], fake("resnet107"))
    status, text = checked(capsys)
    assert status == 0
    assert "resnet107: fresh, but nothing is accepted to compare it with" in text
    assert "resnet101: accepted, but there is no fresh record" in text
    assert checked(capsys, "--strict")[0] == 1


def test_best_on_test_is_not_compared(accepted, capsys):
    best = {"stage": "main", "epoch": 1, "mAP": 99.0, "difference": 19.0, "epochs": []}
    write_fresh(*(one | {"best_on_test": best} for one in accepted))
    status, text = checked(capsys, "--strict")
    assert status == 0
    assert "no number moved: 26 compared, the largest move is 0% of its tolerance" in text


@pytest.mark.usefixtures("accepted")
def test_a_variant_is_compared_with_its_own_kind(capsys):
    write_fresh(fake("srn", variant="budget=equal", shift=9))
    status, text = checked(capsys)
    assert status == check.NOTHING_COMPARED
    assert "srn [budget=equal]: fresh, but nothing is accepted" in text
    assert "nothing compared: fresh and accepted records have no method in common" in text
    assert checked(capsys, "--strict")[0] == 1


@pytest.mark.parametrize("fresh", [[], [fake()]])
def test_without_accepted_records_it_says_that_nothing_was_compared(fresh, capsys):
    write_fresh(*fresh)
    status, text = checked(capsys)
    assert status == checked(capsys, "--strict")[0] == 3
    assert text.startswith("demo: nothing compared: no accepted records in ")
    assert text.endswith("--accept\n" if fresh else "make some with python -m bench.run\n")


@pytest.mark.usefixtures("accepted")
@pytest.mark.parametrize("args", [[], ["--accept"], ["--records", "nowhere"]])
def test_without_fresh_records_it_names_the_command_that_makes_them(args, capsys):
    message = refused(check.main, ["--dataset", "demo", *args], capsys)
    assert message.startswith("error: no fresh records in ")
    assert message.endswith("; make them with: python -m bench.run --dataset demo --method all\n")


def test_an_unknown_data_set_gets_the_list(capsys):
    message = refused(check.main, ["--dataset", "dmeo"], capsys)
    assert message.startswith("error: unknown data set 'dmeo'; choose from: coco, demo, ")


def test_accepting_makes_the_fresh_records_the_accepted_ones(capsys):
    write_fresh(fake(seed=0), fake(seed=1))
    status, text = checked(capsys, "--accept")
    assert (status, text) == (0, "srn seed 0: new, mAP 80.00\nsrn seed 1: new, mAP 80.00\n")
    assert record.read_folder(paths.REPRODUCED / "demo") == [fake(seed=0), fake(seed=1)]
    assert checked(capsys, "--strict")[0] == 0


@pytest.mark.usefixtures("accepted")
def test_accepting_says_what_changes_and_keeps_what_has_no_counterpart(capsys):
    write_fresh(fake("srn", 0, shift=1, recipe={"lr": 0.5}))
    _, text = checked(capsys, "--accept")
    lines = text.splitlines()
    assert lines[0] == "srn seed 0: mAP 79.70 -> 81.00; changed: metrics, recipe"
    assert "srn seed 1: kept, there is no fresh record" in lines
    assert len(record.read_folder(paths.REPRODUCED / "demo")) == 6


def test_accepting_what_differs_in_time_and_place_only_changes_nothing(accepted, capsys):
    path = paths.REPRODUCED / "demo" / "srn-seed0.json"
    before = path.read_bytes()
    write_fresh(accepted[0] | {"timing": {"seconds": {}}, "provenance": {"commit": "abc"}})
    assert checked(capsys, "--accept")[1].splitlines()[0] == "srn seed 0: unchanged"
    assert path.read_bytes() == before


def test_partial_data_are_accepted_only_on_demand(capsys):
    write_fresh(fake(seed=0), fake(seed=1, data={"partial": True}))
    message = refused(check.main, ["--dataset", "demo", "--accept"], capsys)
    assert message == "error: made from partial data: srn seed 1; add --allow-partial to accept them\n"
    assert not paths.REPRODUCED.exists()
    assert checked(capsys, "--accept", "--allow-partial")[0] == 0
    assert len(record.read_folder(paths.REPRODUCED / "demo")) == 2


@pytest.mark.usefixtures("accepted")
def test_records_of_another_machine_are_compared_and_accepted(results, capsys):
    elsewhere = ["--records", str(results / "elsewhere")]
    write_all(results / "elsewhere", fake("srn", 7, shift=9))
    assert checked(capsys, *elsewhere)[0] == 1
    assert checked(capsys, *elsewhere, "--accept")[1].startswith("srn seed 7: new, mAP 89.00\n")
    assert len(record.read_folder(paths.REPRODUCED / "demo")) == 7


@pytest.mark.parametrize(
    ("made", "name", "message"),
    [
        (
            fake(dataset="coco"),
            "srn-seed0.json",
            "the record is of data set 'coco', not of 'demo'; move it elsewhere",
        ),
        (
            fake(seed=1),
            "srn-seed0.json",
            "the file name does not match the record; rename it to srn-seed1.json or move it elsewhere",
        ),
        (
            fake(metrics={}, protocol={"profile": "x"}),
            "srn-seed0.json",
            "not a record: metrics.x (protocol.profile) is missing",
        ),
    ],
)
def test_records_of_another_machine_are_refused_before_anything_is_accepted(
    made, name, message, results, capsys
):
    folder = results / "elsewhere"
    write_all(folder, fake("resnet101"))
    (folder / name).write_text(json.dumps(made), encoding="utf-8")
    assert refused(check.main, ["--dataset", "demo", "--accept", "--records", str(folder)], capsys).endswith(
        f"{name}: {message}\n"
    )
    assert not paths.REPRODUCED.exists()


def test_runs_may_lie_elsewhere(accepted, results, capsys):
    write_all(results / "other" / "demo", accepted[0])
    assert checked(capsys, "--runs", str(results / "other"))[0] == 0


PIXELS = {"fingerprint": "0d" * 32, "sources": "50" * 32, "libraries": {"Pillow": "13.0.0", "libtiff": "4"}}


def test_other_pixels_of_equal_sources_name_the_libraries_and_do_not_count_as_moved():
    old = {**PIXELS, "fingerprint": "f1" * 32, "libraries": {"Pillow": "12.0.0", "libtiff": "4"}}
    accepted = [fake("srn", seed, data=old) for seed in (0, 1)]
    fresh = [fake("srn", seed, data=PIXELS) for seed in (0, 1)]
    lines, status = check.report(group_records(accepted), group_records(fresh), strict=False)
    assert "srn: equal sources, other pixels: Pillow 12.0.0 and 13.0.0 (accepted and fresh)" in lines
    assert not any("moved: the data" in line for line in lines)
    assert status == 0


@pytest.mark.parametrize(
    "change", [{"sources": "51" * 32}, {"libraries": PIXELS["libraries"]}, {"sources": ""}]
)
def test_other_sources_or_other_pixels_of_the_same_libraries_are_other_data(change: dict[str, Any]):
    old = {**PIXELS, "fingerprint": "f1" * 32, "libraries": {"Pillow": "12.0.0"}, **change}
    lines, status = check.report(
        group_records([fake("srn", 0, data=old)]), group_records([fake("srn", 0, data=PIXELS)]), strict=False
    )
    assert any(
        "moved: the data, fingerprint f1f1f1f1f1f1 accepted, 0d0d0d0d0d0d fresh" in one for one in lines
    )
    assert status == 1


def edit(folder, old=": 80.0", new=": 99.0"):
    path = folder / "demo" / "srn-seed0.json"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")


class TestEditedRecords:
    def test_one_counts_as_moved_and_is_not_accepted(self, capsys):
        write_all(paths.REPRODUCED / "demo", fake(seed=0))
        write_fresh(fake(seed=0))
        edit(paths.RUNS)
        status, text = checked(capsys)
        assert status == 1
        assert "srn seed 0: the fresh record was edited by hand, as its checksum does not fit" in text
        message = refused(check.main, ["--dataset", "demo", "--accept"], capsys)
        assert message == "error: edited by hand: srn seed 0; make them again with python -m bench.run\n"

    def test_an_accepted_one_counts_even_where_no_number_moved(self, capsys):
        write_all(paths.REPRODUCED / "demo", fake(seed=0))
        write_fresh(fake(seed=0))
        edit(paths.REPRODUCED, "a processor", "another")
        status, text = checked(capsys)
        assert (status, "the accepted record was edited by hand" in text) == (1, True)
        assert checked(capsys, "--accept")[1] == "srn seed 0: unchanged, with a checksum that fits now\n"
        assert checked(capsys)[0] == 0

    def test_records_without_checksum_are_counted_where_strict_and_get_one_when_accepted(self, capsys):
        for folder in (paths.REPRODUCED, paths.RUNS):
            (folder / "demo").mkdir(parents=True)
            (folder / "demo" / "srn-seed0.json").write_text(json.dumps(fake()), encoding="utf-8")
        assert "without checksum" not in checked(capsys)[1]
        status, text = checked(capsys, "--strict")
        assert status == 0
        assert "1 of 1 accepted records are without checksum" in text
        checked(capsys, "--accept")
        assert "accepted records are without" not in checked(capsys, "--strict")[1]
