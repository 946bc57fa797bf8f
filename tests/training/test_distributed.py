"""Several processes train like a single one, and validate and predict exactly like it."""

import doctest
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from bench.base.errors import InputError
from bench.base.paths import ROOT
from bench.data.store import Store
from bench.training import distributed, method, stage_cache, stages, tensor_file, trunk
from bench.training.distributed import SINGLE_PROCESS, Processes, build_stage_loss
from bench.training.stage_cache import StageContext
from tests import process_group as work
from tests.base.test_signals import COMMAND
from tests.conftest import small_recipe
from tests.killing import stage_run


@pytest.fixture(scope="module")
def results(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the results of 1, 2 and 3 processes."""
    folder = tmp_path_factory.mktemp("processes")
    for size in (2, 3):
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={size}"]
        words = [
            "-m",
            "tests.process_group",
            "cpu",
            str(store.folder),
            str(folder),
            "steps",
            "recipe",
            "same",
            "collected",
        ]
        finished = subprocess.run(
            [*launch, *words, *(["stages", "captured"] if size == 2 else [])],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
    for do_work in (work.steps_in_float64, work.recipe_in_float64, work.same_weights, work.collected):
        do_work(store, folder, SINGLE_PROCESS)
    return folder


@pytest.mark.parametrize("size", [2, 3])
def test_in_float64_with_frozen_norms_20_steps_agree_within_1e_12(size: int, results: Path):
    """A batch of 32 over three processes is an uneven split: 10, 11 and 11."""
    single, _ = tensor_file.load(results / "float64-1.safetensors")
    several, facts = tensor_file.load(results / f"float64-{size}.safetensors")
    assert len(facts["history"]) * 4 == 20
    assert single.keys() == several.keys()
    assert any(name.startswith("momentum.") for name in single)
    for name, tensor in single.items():
        torch.testing.assert_close(several[name], tensor, atol=1e-12, rtol=0)
    assert not torch.equal(single["model.classifier.bias"], torch.zeros_like(single["model.classifier.bias"]))


def test_captured_steps_exchange_gradients_as_plain_ones_do(results: Path):
    """To the bit, as `process_group.captured` found on each of two processes."""
    assert len(list(results.glob("captured-equal-*"))) == 2


@pytest.mark.parametrize("size", [2, 3])
def test_adamw_one_cycle_average_and_augmentation_agree_too(size: int, results: Path):
    single, facts = tensor_file.load(results / "recipe-1.safetensors")
    several, facts_of_several = tensor_file.load(results / f"recipe-{size}.safetensors")
    assert {name.partition(".")[0] for name in single} == {
        *("model", "average", "best", "step", "exp_avg", "exp_avg_sq")
    }
    for name, tensor in single.items():
        torch.testing.assert_close(several[name], tensor, atol=1e-9, rtol=0)
    for row, other in zip(facts["history"], facts_of_several["history"], strict=True):
        assert other == pytest.approx(row, rel=1e-9)


@pytest.mark.parametrize("size", [2, 3])
def test_with_the_same_weights_validation_and_predictions_are_exactly_equal(size: int, results: Path):
    (single,) = results.glob("same-1-*.json")
    all_results = [json.loads(path.read_text()) for path in results.glob(f"same-{size}-*.json")]
    assert len(all_results) == size
    assert all(result == json.loads(single.read_text()) for result in all_results)


@pytest.mark.parametrize("size", [2, 3])
def test_a_stage_without_gradients_collects_the_same(size: int, results: Path):
    (first, _), *others = (
        tensor_file.load(results / f"voters-{processes}-{rank}.safetensors")
        for processes, rank in [(1, 0), *((size, rank) for rank in range(size))]
    )
    assert len(others) == size
    assert all(torch.equal(other[name], first[name]) for other, _ in others for name in ("rows", "logits"))


def test_all_stages_of_a_method_end_alike_on_every_process(results: Path):
    """Statistics of local batch norm included, which are the first process's."""
    (first, facts), (second, second_facts) = (
        tensor_file.load(results / f"view-2-{rank}.safetensors") for rank in (0, 1)
    )
    assert facts == second_facts
    assert [len(epochs) for epochs in facts["epochs"]] == [2, 1, 1, 1]
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert len(list((results / "stages-2").iterdir())) == 4


@pytest.mark.slow
def test_sigterm_to_the_launcher_saves_and_the_same_command_goes_on(small_cards: Path, tmp_path: Path):
    (tmp_path / "command.py").write_text(COMMAND, encoding="utf-8")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    launch += [str(tmp_path / "command.py"), str(small_cards), "--dataset", "demo", "--method", "resnet101"]
    launch += ["--set", "batch_size=32", "--set", "epochs=6", "--device", "cpu"]
    launch += ["--data", str(tmp_path / "data"), "--runs", str(tmp_path / "runs")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        launch, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout
        while "main 1/6" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        said = process.stdout.read()
    assert said.count("stopped by SIGTERM; run the same command again to resume") == 1
    assert len(list((tmp_path / "runs" / "demo" / "stages").glob("*.unfinished.safetensors"))) == 1
    again = subprocess.run(launch, capture_output=True, text=True, check=True, env=environment)
    assert "main 1/6" not in again.stderr
    assert again.stdout.count("recorded, mAP") == 1


class TestNorms:
    def test_frozen_statistics_stand_still_while_their_weights_learn(self, store: Store, tmp_path: Path):
        model, settings = stage_run(store, tmp_path / "c")
        stages.prepare(model, replace(settings.stage, batch_norm="frozen"))
        before = {name: tensor.clone() for name, tensor in model.named_buffers()}
        settings.stage.loss(model, torch.randn(4, 3, 64, 64), torch.ones(4, 10))[0].backward()
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.named_buffers())
        assert all(parameter.grad is not None for parameter in model.parameters())

    def test_synchronised_ones_need_gpus_on_several_processes(self, store: Store, tmp_path: Path):
        model, _ = stage_run(store, tmp_path / "c")
        with pytest.raises(
            InputError, match="batch_norm=sync on several processes needs GPUs; set it to local"
        ):
            distributed.synchronise_statistics(model, torch.device("cpu"), Processes(0, 2))

    def test_synchronised_ones_take_the_layers_places_and_keep_their_tensors(
        self, store: Store, tmp_path: Path
    ):
        model, _ = stage_run(store, tmp_path / "c")
        before = dict(model.named_parameters())
        names = list(model.state_dict())
        distributed.synchronise_statistics(model, torch.device("cuda"), Processes(0, 2))
        assert any(isinstance(module, torch.nn.SyncBatchNorm) for module in model.modules())
        assert all(parameter is before[name] for name, parameter in model.named_parameters())
        assert list(model.state_dict()) == names

    @pytest.mark.parametrize(("kind", "differ"), [("local", True), ("sync", False), ("frozen", False)])
    def test_only_under_local_ones_the_number_of_processes_makes_another_result(
        self, kind: str, differ: bool, context: StageContext
    ):
        module, config = method.load_method("srn"), small_recipe("srn", batch_norm=kind)
        single, several = (
            stage_cache.stage_keys(module, config, replace(context, processes=processes), 0)
            for processes in (SINGLE_PROCESS, Processes(1, 2))
        )
        assert all(
            (single_key != several_key) == differ
            for single_key, several_key in zip(single, several, strict=True)
        )


def test_more_processes_than_images_in_a_batch_are_refused(store: Store, tmp_path: Path):
    model, settings = stage_run(store, tmp_path / "c", batch_size=2)
    with pytest.raises(
        InputError, match="3 processes cannot share a batch of 2 images: start fewer processes"
    ):
        build_stage_loss(model, settings.stage, Processes(0, 3))


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InputError, match="more processes than this machine has GPUs: use --nproc-per-node=2"):
        distributed._own_device(torch.device("cuda"))


def test_the_doctests_hold():
    assert doctest.testmod(distributed).failed == 0


def test_norms_are_made_synchronous_once_and_keep_their_activation():
    """Every stage asks for it; a second conversion would take timm's norm's own ReLU away."""
    model = trunk.load_trunk("resnetv2_50", from_scratch=True).eval()
    images = torch.randn(1, 3, 64, 64)
    expected = model.features(images)
    for _ in range(2):
        distributed.synchronise_statistics(model, torch.device("cuda"), Processes(0, 2))
        assert any(isinstance(module, torch.nn.SyncBatchNorm) for module in model.modules())
        torch.testing.assert_close(model.features(images), expected)


def test_processes_that_cannot_meet_say_so_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "0")
    with pytest.raises(
        InputError, match="cannot meet at 127.0.0.1, port 0; start torchrun with --standalone"
    ):
        distributed._meet()


def test_processes_that_do_not_meet_in_time_say_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(distributed, "TIME_TO_MEET", timedelta(seconds=1))
    facts = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "9", "RANK": "1", "WORLD_SIZE": "2"}
    for name, value in facts.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="did not meet at 127.0.0.1, port 9 in 1 seconds"):
        distributed._meet()
