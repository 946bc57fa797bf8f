"""The commands as a user types them: repeatable, skipped where nothing changed, mistakes in one line."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import __main__ as listing
from bench import run
from bench.base.errors import InputError
from bench.base.paths import ROOT
from bench.data import cards, store
from bench.deploy.find_run import find_run
from bench.results import record
from bench.scoring import metrics, predictions

FEW = ["--set", "epochs=1", "--set", "joint_epochs=1", "--set", "attention_epochs=1"]
FEW += ["--set", "regularization_epochs=1", "--set", "batch_size=32", "--device", "cpu", "--jobs", "1"]


@pytest.fixture
def command(small_cards: Path, tmp_path: Path) -> Any:
    """`bench.run` on the small demo; returns the records it left."""
    assert small_cards.exists()

    def go(*words: str, runs: str = "runs") -> list[dict[str, Any]]:
        places = ["--data", str(tmp_path / "data"), "--runs", str(tmp_path / runs)]
        assert run.main(["--dataset", "demo", *FEW, *places, *words]) == 0
        return record.read_folder(tmp_path / runs / "demo", dataset="demo")

    return go


def test_the_same_command_twice_gives_the_same_records_but_for_timing_and_provenance(command: Any):
    one, other = (command("--method", "SRN", "--seeds", "0,1", runs=runs) for runs in ("a", "b"))
    assert len(one) == 2
    for first, second in zip(one, other, strict=True):
        assert {key: first[key] for key in first if key not in record.VOLATILE} == {
            key: second[key] for key in second if key not in record.VOLATILE
        }
    assert one[0]["metrics"] != one[1]["metrics"]


def test_running_again_with_nothing_changed_trains_nothing_and_says_so(
    command: Any, capsys: pytest.CaptureFixture[str]
):
    before = command("--method", "resnet101")
    capsys.readouterr()
    after = command("--method", "resnet-101")
    printed = capsys.readouterr()
    assert after == before
    assert "ResNet-101 seed 0: unchanged, nothing to train" in printed.out
    assert printed.err == ""


def test_fresh_trains_again_what_is_stored(command: Any, capsys: pytest.CaptureFixture[str]):
    (before,) = command("--method", "resnet101")
    capsys.readouterr()
    (after,) = command("--method", "resnet101", "--fresh")
    assert "loss" in capsys.readouterr().err
    assert after["metrics"] == before["metrics"]


def test_a_changed_field_makes_a_variant_beside_the_usual_run(command: Any):
    command("--method", "resnet101")
    records = command("--method", "resnet101", "--set", "lr=0.01")
    assert [("lr=0.01" in one["variant"], one["recipe"]["lr"]) for one in records] == [
        (False, 0.05),
        (True, 0.01),
    ]


def test_a_methods_own_file_is_an_option_and_the_record_has_its_name(command: Any, tmp_path: Path):
    (tmp_path / "glove.txt").write_text(
        "".join(f"{label} {number} 1\n" for number, label in enumerate(cards.load_card("demo").labels)),
        encoding="utf-8",
    )
    (run_record,) = command(
        "--method", "msrn", "--word-vectors", str(tmp_path / "glove.txt"), "--word-size", "2", "--hidden=8"
    )
    assert re.fullmatch(
        r"epochs=1,hidden=8,word_size=2,word_vectors=glove.txt~[0-9a-f]{8}", run_record["variant"]
    )
    assert run_record["recipe"]["word_vectors"] == "glove.txt"


def test_another_input_size_gets_images_of_that_size(command: Any, tmp_path: Path):
    (small,) = command("--method", "resnet101", "--set", "input_size=32")
    assert "input_size=32" in small["variant"]
    stored = store.open_store(tmp_path / "data" / "demo@size=32")
    assert stored.fingerprint == small["data"]["fingerprint"]
    assert stored.test.images(np.arange(2)).shape == (2, 32, 32, 3)
    assert not (tmp_path / "data" / "demo").exists()


def test_a_field_set_to_what_it_is_makes_no_variant(command: Any):
    (run_record,) = command("--method", "resnet101", "--set", "lr=0.05")
    assert "lr=" not in run_record["variant"]


def test_the_budget_is_a_variant_of_a_baseline_and_no_change_to_srn(command: Any):
    (baseline,) = command("--method", "resnet101", "--budget", "equal", runs="a")
    (srn,) = command("--method", "srn", "--budget", "equal", runs="b")
    assert "budget=equal" in baseline["variant"]
    assert [stage["name"] for stage in baseline["stages"]] == ["main", "further"]
    assert baseline["epochs"] == srn["epochs"] == 4
    assert [stage["name"] for stage in srn["stages"]] == ["main", "attention", "regularization", "joint"]


def test_equal_terms_are_no_change_to_the_papers_own_methods(
    command: Any, capsys: pytest.CaptureFixture[str]
):
    (before,) = command("--method", "resnet101")
    (after,) = command("--method", "resnet101", "--terms", "equal")
    assert after == before
    assert "unchanged, nothing to train" in capsys.readouterr().out


def test_equal_terms_are_a_variant_of_a_method_whose_paper_has_terms_of_its_own(command: Any):
    (run_record,) = command("--method", "msrn", "--terms", "equal", "--set", "weight_decay=0.0005")
    assert "terms=equal" in run_record["variant"]
    assert "weight_decay" not in run_record["variant"]  # these terms have it
    assert (run_record["recipe"]["terms"], run_record["recipe"]["reduction"]) == ("equal", "sum")


def test_the_records_scores_are_those_of_its_predictions_file(command: Any, tmp_path: Path):
    (run_record,) = command("--method", "srn_att")
    file = (
        tmp_path
        / "runs"
        / "demo"
        / "predictions"
        / Path(record.file_name(run_record)).with_suffix(".safetensors")
    )
    found = predictions.read_predictions(file)
    scores = metrics.evaluate(found.logits_NC, found.labels_NC, top3="thresholded")
    assert run_record["metrics"]["srn2017"]["top3"] == scores["top3"]
    assert list(run_record["metrics"]["srn2017"]["AP"].values()) == scores["AP"].tolist()
    assert found.facts["label_names"] == list(cards.load_card("demo").labels)
    assert found.facts["ids"][:2] == ["test-00000", "test-00001"]


def test_several_methods_by_a_list_of_names(command: Any):
    records = command("--method", "resnet101,resnet107")
    assert [one["method"] for one in records] == ["resnet101", "resnet107"]


def test_without_test_labels_the_evaluation_servers_files_take_the_place_of_scores(
    command: Any, small_cards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    card = small_cards / "demo.toml"
    text = card.read_text(encoding="utf-8")
    card.write_text(
        text.replace("[evaluation]", '[evaluation]\nresult_files = "{label}.txt"'), encoding="utf-8"
    )
    assert command("--method", "resnet101") == []
    assert "ResNet-101 seed 0: 10 files for the evaluation server in" in capsys.readouterr().out
    (folder,) = (tmp_path / "runs" / "demo" / "results").iterdir()
    assert {path.stem for path in folder.iterdir()} == set(cards.load_card("demo").labels)
    assert len((folder / "nine.txt").read_text(encoding="utf-8").splitlines()) == 48


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dataset", "imagenet", "--method", "srn"], "unknown data set 'imagenet'; choose from: .*demo"),
        (["--dataset", "demo", "--method", "snr"], "unknown method 'snr'; choose from: .*srn"),
        (["--dataset", "demo", "--method", "srn", "--set", "lr"], "--set lr: give it as field=value"),
        (
            ["--dataset", "demo", "--method", "srn", "--set", "rate=1"],
            "unknown recipe field 'rate'; choose from",
        ),
        (["--dataset", "demo", "--method", "srn", "--seeds", "a"], "--seeds a: give whole numbers from 0 up"),
        (
            ["--dataset", "demo", "--method", "srn", "--seeds", "-1"],
            "--seeds -1: give whole numbers from 0 up",
        ),
        (["--dataset", "demo", "--method", "srn", "--device", "tpu"], "device 'tpu' cannot be used"),
        (["--dataset", "demo"], "required: --method"),
        (
            ["--dataset", "demo", "--method", "srn", "--budget", "double"],
            "budget=double: choose from: paper, equal",
        ),
        (
            ["--dataset", "demo", "--method", "srn", "--hidden", "8"],
            "unknown recipe field 'hidden'; choose from: .*lr",
        ),
        (["--dataset", "demo", "--method", "srn", "--lr"], "argument --lr: expected one argument"),
    ],
)
def test_a_mistake_is_named_before_any_work(words: list[str], message: str, tmp_path: Path):
    with pytest.raises(InputError, match=message):
        run.main([*words, "--runs", str(tmp_path / "runs"), "--data", str(tmp_path / "data")])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["--method", "mcar,srn,msrn", "--seeds", "0,1"], ["MCAR", "MSRN"]),
        (["--method", "mcar", "--terms", "equal"], []),  # no published row is at 224 pixels
        (["--method", "mcar", "--is-job"], []),  # the command that started it has said so
    ],
)
def test_a_method_whose_published_row_is_on_other_images_says_so_with_the_command(
    words: list[str], lines: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Its recipe does not choose the images: `--dataset` names all folders."""
    with pytest.raises(InputError, match="MS-COCO"):
        run.main(["--dataset", "coco", *words, "--runs", str(tmp_path), "--data", str(tmp_path)])
    assert [line for line in capsys.readouterr().err.splitlines() if "published" in line] == [
        f"the published row of {name} is on coco@unlabelled=dropped; to compare with it: python -m bench.run "
        f"--dataset coco@unlabelled=dropped --method {name.lower()}"
        for name in lines
    ]


def test_a_wrong_option_of_the_data_set_is_all_that_is_said(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(InputError, match=r"^wider.toml: options.margin=-3: give a number from 0 to 2$"):
        run.main(["--dataset", "wider@margin=-3", "--method", "srn", "--device", "cpu"])
    assert capsys.readouterr() == ("", "")


def test_a_record_that_is_damaged_is_named_and_left_alone(command: Any, tmp_path: Path):
    (run_record,) = command("--method", "resnet101")
    path = tmp_path / "runs" / "demo" / record.file_name(run_record)
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=f"{path.name}.*not a record"):
        command("--method", "resnet101")
    assert path.read_text(encoding="utf-8") == "{}"


@pytest.mark.parametrize("module", ["bench.run", "bench.table", "bench.prepare", "bench.check"])
def test_a_command_ends_a_mistake_with_one_line_and_status_2(module: str):
    words = [sys.executable, "-m", module, "--dataset", "imagenet"] + ["--method", "srn"] * (
        module == "bench.run"
    )
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: unknown data set 'imagenet'; choose from:")
    assert done.stderr.count("\n") == 1


def test_the_list_names_every_command_method_and_card(capsys: pytest.CaptureFixture[str]):
    assert listing.main([]) == 0
    printed = capsys.readouterr().out
    for name in ("bench.run", "bench.table", "bench.check", "bench.prepare", "srn_att", "resnet107", "demo"):
        assert f"  {name} " in printed
    assert all(len(line) <= 150 for line in printed.splitlines())


class TestAtTheEnd:
    def test_the_command_that_labels_images_and_the_meaning_of_the_number_are_printed(
        self, command: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ):
        (facts,) = command("--method", "resnet101", "--name", "mine")
        path = tmp_path / "runs" / "demo" / record.file_name(facts)
        meaning, copy = capsys.readouterr().out.splitlines()[-2:]
        mean_ap = facts["metrics"][facts["protocol"]["profile"]]["mAP"]
        assert meaning.startswith(f"mAP {mean_ap:.2f}: for each of 10 labels the ")
        runs = tmp_path / "runs"
        assert (
            copy
            == f"label your own images: python -m bench.predict --run mine --runs {runs} --images PATH..."
        )
        assert find_run("mine", runs) == path

    def test_a_run_without_a_name_is_called_by_data_set_and_record(
        self, command: Any, capsys: pytest.CaptureFixture[str]
    ):
        command("--method", "resnet101", "--seeds", "0,1", "--jobs", "1")
        last = capsys.readouterr().out.splitlines()[-1]
        assert re.search(r" --run '?demo/resnet101@\S+-seed1'? ", last)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (
                ["--seeds", "0,1", "--name", "mine"],
                "--name mine: a name is for one run; give one method and one",
            ),
            (["--name", "a/b"], "--name 'a/b': give a short name without slashes"),
        ],
    )
    def test_a_name_that_fits_no_run_is_refused_before_any_work(
        self, words: list[str], message: str, tmp_path: Path
    ):
        places = ["--data", str(tmp_path / "data"), "--runs", str(tmp_path / "runs")]
        with pytest.raises(InputError, match=f"^{re.escape(message)}"):
            run.main(["--dataset", "demo", "--method", "resnet101", *places, *words])
        assert not list(tmp_path.iterdir())


class TestElsewhere:
    def test_the_list_is_a_command_for_each_run_and_each_can_be_run_by_itself(
        self, command: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], small_cards: Path
    ):
        asked = ("--method", "srn,resnet101@budget=equal", "--seeds=0,1", "--jobs=2", "--table", "--list")
        assert command(*asked) == []
        printed = capsys.readouterr()
        lines = [shlex.split(line) for line in printed.out.splitlines()]
        assert [line[:3] for line in lines] == [[sys.executable, "-m", "bench.run"]] * 4
        assert not {"--table", "--list"} & {word for line in lines for word in line}
        assert [line[line.index("--method") + 1 : line.index("--method") + 4] for line in lines] == [
            [method, "--seeds", seed] for method in ("srn", "resnet101@budget=equal") for seed in "01"
        ]
        assert all(line.count(option) == 1 for line in lines for option in ("--method", "--seeds", "--jobs"))
        now = f"or first: python -m bench.prepare --dataset demo --data {tmp_path}/data"
        assert (
            printed.err
            == f"{tmp_path}/data/demo is not there: one run prepares it while the others wait; {now}\n"
        )
        assert {path.name for path in tmp_path.iterdir()} == {small_cards.name}
        assert run.main(lines[3][3:]) == 0
        (facts,) = record.read_folder(tmp_path / "runs" / "demo")
        assert (facts["method"], facts["seed"]) == ("resnet101", 1)
        assert "budget=equal" in facts["variant"]

    def test_a_name_with_a_blank_or_a_quote_is_quoted(
        self, command: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ):
        command("--method", "srn", "--list", "--name", "it's mine")
        (line,) = capsys.readouterr().out.splitlines()
        assert line.startswith(f"{sys.executable} -m bench.run --dataset demo ")
        assert """ --name 'it'"'"'s mine' """ in line
        assert str(tmp_path) in line

    def test_slurm_gets_the_same_commands(
        self,
        command: Any,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ):
        given: list[Any] = []

        def submit(commands: Any, options: Any, **how: Any) -> str:
            given.extend([commands, options, how])
            return "4711"

        monkeypatch.setattr(run.cluster, "submit", submit)
        asked = ("--method", "srn,knn", "--slurm", "partition=gpu,time=60", "--seeds", "0")
        command(*asked)
        said = capsys.readouterr().out.splitlines()
        command(*asked, "--list")
        listed = [shlex.split(line)[1:] for line in capsys.readouterr().out.splitlines()]
        folder = tmp_path / "runs" / "demo" / "cluster"
        how = {"folder": folder, "name": "multilabel-bench demo"}
        assert given == [listed, {"slurm_partition": "gpu", "timeout_min": 60}, how]
        assert said[0] == f"submitted 2 runs as Slurm job 4711; what they print: {folder}"
        table = f"python -m bench.table --dataset demo --runs {tmp_path}/runs"
        assert said[1].startswith(f"their results: {table}; the same command again does what failed")

    def test_a_wrong_recipe_is_named_before_anything_is_submitted(self, command: Any, tmp_path: Path):
        with pytest.raises(InputError, match="unknown recipe field 'hidden'"):
            command("--method", "srn", "--hidden", "8", "--slurm", "time=60")
        assert {path.name for path in tmp_path.iterdir()} == {"cards"}
