"""Records: writing and reading them changes nothing; invalid ones are refused and overwrite nothing."""

import json
import subprocess
import sys
from typing import Any

import pytest

from bench.base import checksums
from bench.base.errors import InputError
from bench.base.paths import ROOT
from bench.results import record
from tests.records import fake, write_all


def test_what_is_written_is_read_back(tmp_path):
    made = fake(variant="budget=equal")
    assert record.read_record(record.write_record(made, tmp_path / "new" / "folder")) == made


def test_a_file_begins_with_the_schema_and_ends_in_a_line_feed(tmp_path):
    shuffled = dict(sorted(fake().items(), reverse=True))
    text = record.write_record(shuffled, tmp_path).read_text(encoding="utf-8")
    assert text.startswith(
        '{\n "schema": "multilabel-bench/record/1",\n "dataset": "demo",\n "method": "srn",'
    )
    assert text.endswith("\n}\n")
    assert "größer" in text
    assert list(json.loads(text)) == [*fake(), "checksum"]


@pytest.mark.parametrize(
    ("method", "variant", "seed", "name"),
    [
        ("srn", "", 0, "srn-seed0.json"),
        ("srn_att", "", 12, "srn_att-seed12.json"),
        ("srn", "budget=equal,lr=0.01", 1, "srn@budget=equal,lr=0.01-seed1.json"),
        ("srn", "trunk=a/b c", 0, "srn@trunk=a_b_c-seed0.json"),
        ("../../x", "", 0, ".._.._x-seed0.json"),
    ],
)
def test_the_file_name_tells_method_variant_and_seed(method, variant, seed, name):
    assert record.file_name(fake(method, seed, variant=variant)) == name


def test_a_variant_of_any_length_has_a_file_of_its_own(tmp_path):
    one, two = (fake(variant="note=" + "x" * 400 + end) for end in "ab")
    write_all(tmp_path, one, two)
    assert record.read_folder(tmp_path) == [one, two]
    assert max(len(record.file_name(made)) for made in (one, two)) < 150


def without(key: str) -> dict[str, Any]:
    made = fake()
    holder, _, name = key.rpartition(".")
    del (made[holder] if holder else made)[name]
    return made


def scored(**changes: Any) -> dict[str, Any]:
    return fake(metrics={"srn2017": fake()["metrics"]["srn2017"] | changes})


WRONG = [
    ([], "not an object"),
    ({}, "its schema is None, not 'multilabel-bench/record/1'"),
    (fake(schema="multilabel-bench/record/2"), "its schema is 'multilabel-bench/record/2', not"),
    (fake() | {"seed": "0"}, 'seed must be a whole number, not "0"'),
    (fake(seed=True), "seed must be a whole number, not true"),
    (fake(seed=-1), "seed must not be negative: -1"),
    (fake(stages=3), "stages must be a list, not 3"),
    (fake(images=[]), r"images must be an object, not \[\]"),
    (fake(data={"partial": "no"}), 'data.partial must be true or false, not "no"'),
    (fake(protocol={"top3": 3}), "protocol.top3 must be text or null, not 3"),
    (fake(protocol={"profile": "asl"}), r"metrics.asl \(protocol.profile\) is missing"),
    (fake(metrics={"asl": 1}), "metrics.asl must be an object"),
    (scored(AP=None), "metrics.srn2017.AP must be an object"),
    (scored(mAP=100.1), "metrics.srn2017.mAP must be a number from 0 to 100, not 100.1"),
    (scored(mAP=-0.1), "metrics.srn2017.mAP must be a number from 0 to 100, not -0.1"),
    (scored(mAP=None), "metrics.srn2017.mAP must be a number from 0 to 100, not null"),
    (scored(mAP=True), "metrics.srn2017.mAP must be a number from 0 to 100, not true"),
    (scored(top3={"F1-C": "high"}), 'metrics.srn2017.top3.F1-C must be a number from 0 to 100, not "high"'),
    (fake(metrics={"srn2017": {"mAP": 80.0}}), "metrics.srn2017.top3 is missing"),
    (fake(metrics={"srn2017": {"top3": {}}}), "metrics.srn2017.mAP is missing"),
    (fake(stages=[3]), r"stages\[0\] must be an object, not 3"),
    (fake(stages=[{"name": "main", "key": 1}]), r"stages\[0\].key must be text, not 1"),
    (fake(stages=[{"name": "main", "key": "1"}]), r"stages\[0\].epochs is missing"),
    (fake(data={"expected": {"train": 3}}), "data.expected.test is missing"),
    (fake(data={"expected": {"train": 3, "test": 0}}), "data.expected.test must be at least 1, not 0"),
    (fake(provenance={"commit": 3}), "provenance.commit must be text or null, not 3"),
    (fake(checksum=3), "checksum must be text or null, not 3"),
    (fake(protocol={"top3": "some"}), "unknown protocol.top3 'some'; choose from: forced, thresholded, null"),
    *((without(key), f"{key} is missing") for key in record.REQUIRED_TYPES if key != "schema"),
]


@pytest.mark.parametrize(("content", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_is_no_record_is_refused_with_its_fault(content, message, tmp_path):
    path = tmp_path / "srn-seed0.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=f"srn-seed0.json: not a record: {message}"):
        record.read_record(path)
    with pytest.raises(InputError, match=message):
        record.check_record(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b'{"schema": ', "not JSON"),
        (b"\xff\xfe", "line 1 is not UTF-8 text"),
        (b"[" * 100_000, "not JSON that can be read: nested too deeply"),
        (b'{"schema": NaN}', "it holds NaN, which is no number in JSON"),
        (b'{"mAP": 1, "x": -Infinity}', "it holds -Infinity"),
    ],
)
def test_a_damaged_file_is_named(content, message, tmp_path):
    path = tmp_path / "srn-seed0.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"srn-seed0.json: {message}"):
        record.read_record(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.json: there is no such file"):
        record.read_record(tmp_path / "none.json")


def test_a_number_that_is_too_large_for_a_float_is_no_percentage(tmp_path):
    path = record.write_record(fake(), tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("80.0", "1e999"), encoding="utf-8")
    with pytest.raises(InputError, match="must be a number from 0 to 100, not Infinity"):
        record.read_record(path)


def test_a_perfect_recall_may_pass_100_by_its_rounding_error(tmp_path):
    """(tp + eps) / (gp + eps) + eps with tp = gp is 1 + 2^-52."""
    made = scored(**{"R-C": 100 * (1 + 2.0**-52)})
    assert record.read_record(record.write_record(made, tmp_path)) == made


@pytest.mark.parametrize("wrong", [scored(mAP=float("nan")), fake(recipe={"lr": float("inf")})])
def test_what_is_not_finite_is_not_written_and_the_older_record_stays(wrong, tmp_path):
    path = record.write_record(fake(), tmp_path)
    with pytest.raises(ValueError, match="from 0 to 100|a number that is too large"):
        record.write_record(wrong, tmp_path)
    assert record.read_record(path) == fake()
    assert list(tmp_path.iterdir()) == [path]


class TestChecksum:
    def test_a_number_changed_by_hand_is_read_and_known_as_such_and_stays_so_in_a_copy(self, tmp_path):
        path = record.write_record(fake(), tmp_path)
        path.write_text(path.read_text(encoding="utf-8").replace(": 80.0", ": 99.0"), encoding="utf-8")
        found = record.read_record(path)
        assert found["metrics"]["srn2017"]["mAP"] == 99.0
        assert record.is_edited(found)
        assert not record.lacks_checksum(found)
        assert record.is_edited(record.read_record(record.write_record(found, tmp_path / "copy")))

    def test_a_file_without_one_is_known_as_such(self, tmp_path):
        path = record.write_record(fake(), tmp_path)
        path.write_text(json.dumps(fake()), encoding="utf-8")
        found = record.read_record(path)
        assert record.lacks_checksum(found)
        assert not record.is_edited(found)
        assert record.read_record(record.write_record(found, tmp_path)) == fake()

    def test_layout_and_order_of_keys_do_not_matter(self, tmp_path):
        path = record.write_record(fake(), tmp_path)
        content = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(dict(sorted(content.items())), indent=3), encoding="utf-8")
        assert record.read_record(path) == fake()


def test_a_folder_gives_its_records_by_method_variant_and_seed(tmp_path):
    ordered = [fake("resnet101", 3), fake("srn", 2), fake("srn", 10), fake("srn", 0, variant="lr=0.01")]
    write_all(tmp_path, *reversed(ordered))
    assert record.read_folder(tmp_path, dataset="demo") == ordered


def test_only_json_files_directly_in_the_folder_are_records(tmp_path):
    write_all(tmp_path, fake())
    for name in ("stages/x.json", "log.txt", ".srn-seed0.json.1f.tmp", "._srn-seed0.json", "folder.json/x"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("no record", encoding="utf-8")
    assert record.read_folder(tmp_path) == [fake()]


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    assert record.read_folder(tmp_path / "none") == []


def test_a_record_of_another_data_set_is_refused(tmp_path):
    write_all(tmp_path, fake())
    with pytest.raises(
        InputError, match=r"srn-seed0\.json: the record is of data set 'demo', not of 'coco'; move it"
    ):
        record.read_folder(tmp_path, dataset="coco")


def test_a_copy_of_a_record_cannot_count_twice(tmp_path):
    path = record.write_record(fake(), tmp_path)
    (tmp_path / "srn-seed0 (1).json").write_bytes(path.read_bytes())
    with pytest.raises(
        InputError,
        match=r"seed0 \(1\).json: the file name does not match .*; rename it to srn-seed0.json or move it",
    ):
        record.read_folder(tmp_path)


def test_groups_hold_what_differs_in_its_seed_only():
    one, two, other = fake(seed=0), fake(seed=1), fake(variant="lr=0.01")
    assert record.group_records([one, other, two]) == {("srn", ""): [one, two], ("srn", "lr=0.01"): [other]}


def test_scores_are_the_columns_of_one_profile():
    found = record.metric_values(fake(), "srn2017")
    assert len(found) == 13
    assert (found["all", "mAP"], found["all", "F1-C"], found["top3", "F1-C"]) == (80.0, 81.0, 70.0)
    assert record.metric_values(fake(), "voc2007") == {("all", "mAP"): 79.0}


def test_a_profile_that_a_record_lacks_is_named():
    with pytest.raises(
        InputError, match=r"record of srn \[lr=1\] seed 0 has no metrics of profile 'mcar'; run the"
    ):
        record.metric_values(fake(variant="lr=1"), "mcar")


def test_paths_are_shown_from_the_root_of_the_checkout(tmp_path):
    assert record.shown(ROOT / "runs" / "demo") == "runs/demo"
    assert record.shown(tmp_path) == str(tmp_path.resolve())


def test_reading_records_needs_neither_torch_nor_numpy():
    code = "import sys, bench.results.record; assert not {'torch', 'numpy'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_number_that_only_infinity_could_stand_for_is_refused(tmp_path):
    path = record.write_record(fake(), tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("123456", "1e999"), encoding="utf-8")
    with pytest.raises(InputError, match=r"srn-seed0\.json"):
        record.read_record(path)
    with pytest.raises(InputError, match="a number that is too large"):
        checksums.of_object({"a": float("inf")})
