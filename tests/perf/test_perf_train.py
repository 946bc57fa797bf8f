"""`python -m bench.perf train` with a small network on the CPU, without optional packages."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import rehearse
from bench.base import method_names
from bench.base.errors import InputError
from bench.base.paths import ROOT
from bench.base.run_folder import RunFolder
from bench.perf import gpu, speed_record
from bench.perf import train as perf
from bench.perf.synthetic import SMALL, AlternatingFeed, SyntheticStore
from bench.training import batches, method, run_options
from bench.training.batches import InputTransform
from bench.training.stages import Stage

BARE = """
import sys
for name in ("datasets", "sklearn", "scipy", "tabulate", "pyarrow", "pandas", "matplotlib"):
    sys.modules[name] = None
from bench.perf import train
train.main(["--device", "cpu", "--method", "srn_att,srn", "--steps", "2", "--output", sys.argv[1]])
"""


def test_on_the_cpu_it_measures_a_small_network_and_writes_a_dated_record(tmp_path: Path):
    """Without the packages that only data, tables and comparisons need."""
    done = subprocess.run(
        [sys.executable, "-c", BARE, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("train-*-cpu.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["schema"] == speed_record.SCHEMA
    figures = record["images_per_second"]["eager"]["srn"]
    assert list(figures["stages"]) == ["main", "attention", "regularization", "joint"]
    for stage in figures["stages"].values():
        assert set(stage) == {"pipeline", "resident", "ratio", "memory_bytes", "first_step_seconds"}
        assert min(stage.values()) > 0
    assert min(figures["evaluation"], figures["evaluation_resident"]) > 0
    shared = {name: rates["stages"] for name, rates in record["images_per_second"]["eager"].items()}
    for name in ("main", "attention"):  # trained once for both methods, and measured once
        assert shared["srn"][name] == shared["srn_att"][name]
    assert shared["srn"]["joint"] != shared["srn_att"]["joint"]
    assert record["projected_hours"] == {"eager": {}}  # nothing is projected from a small network
    assert record["provenance"]["threads"] >= 1
    assert "srn joint, eager" in done.stdout
    assert f"written to {path}" in done.stdout


def test_hours_add_up_and_equal_stages_count_once():
    stages = {key: {"pipeline": 1000.0} for key in ("main", "attention", "regularization", "joint")}
    rates_by_method: dict[str, Any] = {
        name: {"stages": stages, "evaluation": 10_000.0} for name in ("resnet101", "srn_att", "srn")
    }
    hours = speed_record.hours(rates_by_method, 100_000)
    epoch = (95_000 / 1000 + 5_000 / 10_000) / 3600
    assert hours["resnet101"] == pytest.approx(30 * epoch)
    assert hours["srn"] == hours["srn_att"] == pytest.approx(60 * epoch)
    assert hours["all"] == pytest.approx((30 + 10 + 2 * 20) * epoch)  # main and attention are shared


def test_the_table_names_projected_hours_and_ratios():
    rate = {
        "pipeline": 96.0,
        "resident": 100.0,
        "ratio": 0.97,
        "memory_bytes": 2**30,
        "first_step_seconds": 1.5,
    }
    figures = {"srn": {"stages": {"main": rate}, "evaluation": 5.0}}
    record = {"size": {"trunk": "t", "batch": 96}, "provenance": {"hardware": "H"}}
    record |= {"images_per_second": {"eager": figures}, "projected_hours": {"eager": {"coco": {"srn": 1.25}}}}
    text = "\n".join(speed_record.lines(record))
    assert "0.97   1.0 GiB" in text
    assert "projected hours, coco, eager: srn 1.25" in text


def test_pipeline_and_one_resident_batch_take_turns():
    store, feed = SyntheticStore(SMALL), AlternatingFeed()
    _, stages = perf.build("resnet101", SMALL, torch.device("cpu"))
    pixels = InputTransform((0.5,) * 3, (0.2,) * 3, torch.device("cpu"))
    epochs, expected = [], []
    for epoch in range(1, 5):
        options: dict[str, Any] = {"stage": stages[0], "seed": 0, "epoch": epoch}
        plan = batches.plan(store.fitted, **options)
        epochs.append(list(feed(store.train, plan, pixels=pixels, **options)))
        expected.append(list(batches.training(store.train, plan, pixels=pixels, **options)))
    for number in (0, 2):
        for batch, real in zip(epochs[number], expected[number], strict=True):
            assert torch.equal(batch.images_BCHW, real.images_BCHW)
    assert len(epochs[1]) == len(epochs[3]) == SMALL.steps
    assert all(batch is epochs[1][0] for batch in epochs[1] + epochs[3])
    assert torch.equal(epochs[1][0].images_BCHW, expected[1][0].images_BCHW)
    assert feed.first_step_seconds > 0


def test_modes_are_compared_with_the_eager_one():
    rate = {"pipeline": 10.0, "resident": 10.0, "ratio": 1.0, "memory_bytes": 0, "first_step_seconds": 1.0}
    by_mode = {
        mode: {"srn": {"stages": {"main": {**rate, "pipeline": images}}, "evaluation": images}}
        for mode, images in (("eager", 100.0), ("fused", 150.0))
    }
    record = {"size": {"trunk": "t", "batch": 96}, "provenance": {"hardware": "H"}, "projected_hours": {}}
    text = "\n".join(speed_record.lines({**record, "images_per_second": by_mode}))
    assert len(re.findall(r"srn main, eager +100 +1\.00", text)) == 1
    assert len(re.findall(r"srn (?:main|evaluation), fused +150 +1\.50", text)) == 2


def test_the_usual_loop_and_the_kernels_of_a_step_are_measured_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["--device", "cpu", "--method", "resnet101", "--steps", "2", "--quick", "--output", str(tmp_path)]
    perf.main([*words, "--against", "loader", "--profile"])
    (path,) = tmp_path.glob("train-*-cpu.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["usual_loop"]["images_per_second"] > 0
    kernels = record["profile"]["kernels"]
    assert sum(kernel["share"] for kernel in kernels) == pytest.approx(1, abs=0.1)
    assert kernels == sorted(kernels, key=lambda kernel: -kernel["share"])
    printed = capsys.readouterr().out
    assert "usual loop, 0 workers" in printed
    assert "aten::convolution_backward" in printed


def test_an_unknown_mode_is_refused_with_those_that_exist():
    with pytest.raises(InputError, match="unknown mode 'fast'.*eager"):
        perf.main(["--modes", "eager,fast", "--device", "cpu"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_its_measurement_names_the_one_for_the_cpu():
    with pytest.raises(InputError, match="there is no GPU; python -m bench.perf train"):
        gpu.main(["--part", "1"])


def test_too_few_steps_are_refused():
    with pytest.raises(InputError, match="--steps 1: give at least 2"):
        perf.main(["--steps", "1"])


@pytest.mark.parametrize("name", method_names.methods_in_order())
def test_no_method_diverges_on_random_labels(name: str):
    """It would end the measurement, and the methods after it would have no results."""
    stages = method.load_method(name).stages(perf.measured_recipe(name, SMALL))
    trained = [stage for stage in stages if isinstance(stage, Stage)]
    assert all(stage.schedule.lr * max(stage.trains.values()) <= 1e-7 for stage in trained)


def test_changes_of_a_recipe_are_refused_instead_of_left_out():
    with pytest.raises(InputError, match="leave out the changes of srn"):
        perf.main(["--device", "cpu", "--method", "resnet101,srn@budget=equal"])


def checks(tmp_path: Path, seconds: float) -> gpu.Checks:
    return gpu.Checks(tmp_path / "gpu.json", tmp_path, torch.device("cpu"), seconds)


class TestGpu:
    """`bench.perf gpu`, without a GPU."""

    def test_part_1_has_options_that_exist(self):
        args = perf._parser().parse_args(gpu.STEPS)
        assert perf._methods(args.method)
        assert perf._modes(args.modes, is_gpu=True)[-1] == "further"  # whose kernels are listed

    def test_part_2_runs_tests_that_need_a_gpu_and_commands_that_exist(self, tmp_path: Path):
        assert "not torch.cuda.is_available()" in (ROOT / gpu.TESTS[-1]).read_text(encoding="utf-8")
        (_, [_tests]), (_, [rehearsal]), (_, [_prepare]), *seeds = gpu.works(tmp_path)
        assert rehearse._parser().parse_args(rehearsal[2:]).dataset == "coco"
        assert len(seeds) == len(gpu.SEEDS)
        parsed = [
            run_options.parse(words[2:], description=None) for _, together in seeds for words in together
        ]
        assert {(args.seeds, args.precision) for args in parsed} == {
            (str(seed), precision) for seed in gpu.SEEDS for precision in gpu.PRECISIONS
        }

    def test_part_2_fails_with_the_status_of_the_first_work_that_fails(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ):
        die = ("-c", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
        works = [
            ("good", [("-c", "")]),
            ("bad", [("-c", ""), die]),
            ("worse", [("-c", "raise SystemExit(3)")]),
        ]
        assert checks(tmp_path, 60).run(works) == -15
        content = json.loads((tmp_path / "gpu.json").read_text())
        assert {name: work["statuses"] for name, work in content["works"].items()} == {
            "good": [0],
            "bad": [0, -15],
            "worse": [3],
        }
        assert "bad: " in (printed := capsys.readouterr().out)
        assert "FAILED with status -15" in printed
        assert content["left_out"] == []

    def test_part_2_stops_in_time_and_lists_what_is_left_out(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ):
        endless = ("-c", "import time; time.sleep(600)")
        assert checks(tmp_path, 0.5).run([("endless", [endless]), ("late", [endless])]) == 0
        content = json.loads((tmp_path / "gpu.json").read_text())
        assert (content["works"], content["left_out"]) == ({}, ["endless", "late"])
        assert "not measured, as the time was over: endless, late" in capsys.readouterr().out

    def test_precisions_are_set_beside_the_spread_of_float32s_seeds(self):
        values = {"fp32": {"srn": [97.0, 97.2]}, "fp16": {"srn": [97.3]}}
        content = {"provenance": {"hardware": "NVIDIA H100 80GB HBM3"}, "works": {}, "left_out": []}
        first, *others = gpu.lines({**content, "demo_mAP": values})
        assert first == "NVIDIA H100 80GB HBM3"
        assert others[-1] == (
            "demo, srn, fp16: mAP 97.30; on average +0.20 beside fp32, whose seeds differ by 0.20"
        )

    def test_the_demos_records_are_read(self, tmp_path: Path):
        folder = RunFolder.of("demo", tmp_path / "bf16").path
        folder.mkdir(parents=True)
        (file,) = (ROOT / "results" / "reproduced" / "demo").glob("srn-seed0.json")
        shutil.copy(file, folder)
        assert gpu.demo_map(tmp_path) == {"bf16": {"srn": [pytest.approx(97.143, abs=1e-3)]}}


def test_nothing_begins_after_the_time_that_is_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["--device", "cpu", "--method", "resnet101", "--seconds", "-1", "--profile"]
    perf.main([*words, "--output", str(tmp_path)])
    (path,) = tmp_path.glob("train-*-cpu.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["left_out"] == ["resnet101 eager", "profile"]
    assert "not measured, as the time was over: resnet101 eager, profile" in capsys.readouterr().out


@pytest.mark.parametrize("mode", ["graph", "fused", "further", "fp16"])
def test_a_mode_that_a_cpu_does_not_have_is_refused(mode: str):
    with pytest.raises(
        InputError, match=f"^--modes eager,{mode}: {mode} needs a GPU; on a CPU give eager or"
    ):
        perf.main(["--device", "cpu", "--modes", f"eager,{mode}"])
