"""What only a GPU can show: captured steps give the bits of plain ones, fused kernels the right numbers."""

import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.base.paths import ROOT
from bench.data.store import Store
from bench.training import captured_step, inference, loop, method, stage_cache, stage_checkpoint
from bench.training.stage_cache import StageContext
from tests.conftest import small_recipe
from tests.killing import stage_run
from tests.methods.test_contract import build
from tests.training.test_loop import Killed, dying

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
GPU = torch.device("cuda", 0)
CASES: list[tuple[str, dict[str, Any]]] = [
    ("srn", {"precision": torch.bfloat16}),
    ("srn", {"precision": torch.float16, "fused_norms": True}),
    ("resnet101", {"precision": torch.float16}),
    ("resnet101", {"precision": torch.float32}),
    ("resnet101", {"precision": torch.bfloat16, "fused_norms": True}),
]


@pytest.fixture(autouse=True)
def deterministic_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A list that grows by an element with every replay of a CUDA graph."""
    counted: list[int] = []
    replay = torch.cuda.CUDAGraph.replay

    def counting(graph: Any) -> None:
        counted.append(1)
        replay(graph)

    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", counting)
    return counted


def learned(name: str, store: Store, folder: Path, **settings: Any) -> tuple[Any, dict[str, Tensor]]:
    """(the epochs of every stage, the weights) after all stages of a method on the GPU."""
    context = StageContext(store, GPU, folder, **settings)
    model, stages = build(name, context)
    model.to(GPU)
    keys = stage_cache.stage_keys(method.load_method(name), small_recipe(name), context, 0)
    plan = list(zip(stages, keys, strict=True))
    facts = list(stage_cache.run_stages(model, plan, context, seed=0, title=name))
    return [fact["epochs"] for fact in facts], model.state_dict()


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], tensor) for name, tensor in other.items())


@pytest.mark.parametrize(("name", "numerics"), CASES, ids=str)
def test_captured_training_gives_the_bits_of_plain_training(
    name: str, numerics: dict[str, Any], store: Store, tmp_path: Path, replays: list[int]
):
    """In every stage, frozen ones included."""
    epochs, weights = learned(name, store, tmp_path / "plain", captured=False, **numerics)
    again, repeated = learned(name, store, tmp_path / "again", captured=False, **numerics)
    assert epochs == again, "plain training does not repeat itself on this GPU"
    assert equal(weights, repeated), "plain training does not repeat itself on this GPU"
    assert not replays
    captured_epochs, captured_weights = learned(name, store, tmp_path / "captured", **numerics)
    assert replays
    assert captured_epochs == epochs
    assert equal(captured_weights, weights)


@pytest.mark.parametrize("processes", sorted({1, max(1, torch.cuda.device_count())}))
def test_captured_steps_that_exchange_gradients_give_the_bits_of_plain_ones(
    processes: int, store: Store, tmp_path: Path
):
    """Under torchrun with NCCL, on one GPU and on all."""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    words = ["-m", "tests.process_group", "cuda", str(store.folder), str(tmp_path), "captured-on-gpus"]
    ended = subprocess.run(
        [sys.executable, *launch, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    assert "not captured" not in ended.stderr


def on_gpu(store: Store, file: Path) -> tuple[Any, loop.StageRun]:
    model, settings = stage_run(store, file)
    return model.to(GPU), replace(settings, pixels=replace(settings.pixels, device=GPU))


@pytest.mark.parametrize("at", [1, 6])
def test_killed_in_a_captured_stage_training_goes_on_to_the_same_bits(
    at: int, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loop, "LOG_STEPS", 1)
    monkeypatch.setattr(stage_checkpoint, "SAVING_SHARE", float("inf"))
    model, settings = on_gpu(store, tmp_path / "whole")
    history = loop.train(model, settings)
    killed, interrupted = on_gpu(store, tmp_path / "interrupted")
    with pytest.raises(Killed):
        loop.train(killed, replace(interrupted, feed=dying(interrupted.feed, at)))
    again, _ = on_gpu(store, tmp_path / "interrupted")
    assert loop.train(again, interrupted) == history
    assert equal(again.state_dict(), model.state_dict())


def test_sigkill_in_a_captured_stage_loses_no_bit(store: Store, tmp_path: Path):
    model, settings = on_gpu(store, tmp_path / "whole")
    history = loop.train(model, settings)
    words = ["-m", "tests.killing", str(store.folder), str(tmp_path / "killed"), "cuda", "7"]
    ended = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    again, settings = on_gpu(store, tmp_path / "killed")
    assert loop.train(again, settings) == history
    assert equal(again.state_dict(), model.state_dict())


def test_a_loss_that_waits_for_the_device_is_trained_without_capturing(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def waiting(model: Any, images_BCHW: Tensor, labels_BC: Tensor) -> tuple[Tensor, Tensor]:
        loss, logits_BC = settings.stage.loss(model, images_BCHW, labels_BC)
        return loss * (1.0 if float(loss.detach()) else 2.0), logits_BC

    model, settings = on_gpu(store, tmp_path / "plain")
    history = loop.train(model, replace(settings, captured=False))
    other, _ = on_gpu(store, tmp_path / "waiting")
    stage = replace(settings.stage, loss=waiting)
    changed = replace(settings, stage=stage, file=tmp_path / "waiting")
    assert loop.train(other, changed) == history
    assert equal(other.state_dict(), model.state_dict())
    assert "test: steps are not captured in a CUDA graph: " in capsys.readouterr().err


def test_captured_prediction_gives_the_bits_of_plain_prediction(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replays: list[int]
):
    monkeypatch.setattr(inference, "CAPTURED_BATCHES", 2)
    model, settings = on_gpu(store, tmp_path / "c")
    plain, captured = (
        inference.predict(model, store.test, settings.pixels, batch_size=9, captured=wanted)
        for wanted in (False, True)
    )
    assert (plain == captured).all()
    assert len(replays) == math.ceil(len(store.test) / 9) - captured_step.WARM_UP_CALLS


def test_fused_norms_agree_with_float64_and_fused_trunks_with_plain_ones():
    pytest.importorskip("triton")
    from tests.training import fused_norms  # noqa: PLC0415 (needs Triton)

    torch.manual_seed(0)
    fused_norms.check_every_norm("cuda", [(3, 20, 9, 7), (5, 130, 1, 1), (32, 256, 28, 28)])
    fused_norms.check_what_is_not_finite("cuda")
    fused_norms.check_whole_maps("cuda")
    fused_norms.check_trunk("resnet10_narrow", "cuda", fused=14)
    fused_norms.check_trunk("resnet26", "cuda", fused=29, forks=4)
