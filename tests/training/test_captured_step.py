"""A captured step trains as a plain one does, proved without a GPU on a tape of torch's operations.

The tape keeps what a CUDA graph keeps: operations, addresses and constants. What Python counts or decides in
the step happens once, at the recording, so a step that depends on it fails here.
"""

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.base.paths import ROOT
from bench.data.store import Store
from bench.training import captured_step, inference, loop, stage_checkpoint
from bench.training.captured_step import WARM_UP_CALLS, Captured
from tests.killing import stage_run
from tests.training.test_loop import Killed, dying


class Tape(TorchDispatchMode):
    """Records the operations that a function calls, and does them again on the same tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, list[Any]]] = []

    def __torch_dispatch__(self, operation: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        self.operations.append((operation, args, kwargs or {}, tensors(result)))
        return result

    def play(self) -> None:
        for operation, args, kwargs, kept in self.operations:
            result = operation(*args, **kwargs)
            if operation.namespace == "c10d":  # (tensors, work that may still be under way)
                torch.distributed.Work.unbox(result[-1]).wait()
            for old, new in zip(kept, tensors(result), strict=True):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def tensors(result: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]


class TapeRecorder:
    """A recorder on the CPU. A recording computes, so the first replay does not."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0
        self.released = False

    def on_stream(self) -> AbstractContextManager[None]:
        return nullcontext()

    def release(self) -> None:
        self.released = True

    def warm_up(self, function: Callable[[], Any]) -> Any:
        return function()

    def record(self, function: Callable[[], Any]) -> Callable[[], Any]:
        self.recorded += 1
        tape, outputs = Tape(), []

        def replay() -> Any:
            self.replayed += 1
            if outputs:
                with torch.no_grad():
                    tape.play()
            else:
                with tape:
                    outputs.append(function())
            return outputs[0]

        return replay


class Refusing(TapeRecorder):
    def record(self, function: Callable[[], Any]) -> Callable[[], Any]:
        assert function
        raise RuntimeError("operation not permitted\nwhen stream is capturing")


@pytest.fixture
def recorders(monkeypatch: pytest.MonkeyPatch) -> list[TapeRecorder]:
    """Training and prediction are captured on tapes, as they would be on a GPU; returns their recorders."""
    made: list[TapeRecorder] = []

    def recorder(_device: torch.device, *, wanted: bool, **_said: str) -> TapeRecorder | None:
        made.extend([TapeRecorder()] if wanted else [])
        return made[-1] if wanted else None

    monkeypatch.setattr(captured_step, "recorder", recorder)
    return made


def trained(store: Store, folder: Path, *, captured: bool, **fields: Any) -> tuple[Any, Any]:
    """(history, weights) of a short training of several epochs, whose learning rate changes."""
    model, settings = stage_run(store, folder)
    usual: dict[str, Any] = {"patience": None, "milestones": (1, 2)}
    schedule = replace(settings.stage.schedule, **usual, **fields.pop("schedule", {}))
    pixels = replace(settings.pixels, precision=fields.pop("precision", None))
    stage = replace(settings.stage, schedule=schedule, **fields)
    changed = replace(settings, stage=stage, captured=captured, pixels=pixels)
    return loop.train(model, changed), model.state_dict()


ADAM: dict[str, Any] = {"opt": "adamw", "clip_norm": 5.0, "ema": 0.9, "weights": "averaged"}
CYCLE: dict[str, Any] = {"schedule": {"sched": "onecycle", "sched_epochs": 4.0, "lr": 1e-3}}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"momentum": 0.0},
        {"precision": torch.float16},
        {**ADAM, **CYCLE},
        {**ADAM, **CYCLE, "opt": "sgd", "precision": torch.float16},
    ],
)
def test_captured_training_gives_the_same_bits(
    fields: dict[str, Any], store: Store, tmp_path: Path, recorders: list[TapeRecorder]
):
    history, weights = trained(store, tmp_path / "plain", captured=False, **dict(fields))
    assert not recorders
    captured_history, captured_weights = trained(store, tmp_path / "captured", captured=True, **dict(fields))
    assert captured_history == history
    assert all(torch.equal(captured_weights[name], tensor) for name, tensor in weights.items())
    training, _ = recorders
    assert training.recorded == 1
    assert training.replayed > 2


@pytest.mark.parametrize("at", [1, 4, 6])
def test_captured_training_that_was_killed_goes_on_to_the_same_bits(
    at: int, store: Store, tmp_path: Path, recorders: list[TapeRecorder], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loop, "LOG_STEPS", 1)
    monkeypatch.setattr(stage_checkpoint, "SAVING_SHARE", float("inf"))
    model, settings = stage_run(store, tmp_path / "whole")
    history = loop.train(model, replace(settings, captured=False))
    killed, interrupted = stage_run(store, tmp_path / "interrupted")
    with pytest.raises(Killed):
        loop.train(killed, replace(interrupted, feed=dying(interrupted.feed, at)))
    again, _ = stage_run(store, tmp_path / "interrupted")
    assert loop.train(again, interrupted) == history
    assert recorders[-2].replayed
    assert all(torch.equal(again.state_dict()[key], tensor) for key, tensor in model.state_dict().items())


def test_sigkill_in_a_captured_stage_loses_no_bit(store: Store, tmp_path: Path):
    """Of a process, so that nothing is released; it is killed in the second of three epochs."""
    model, settings = stage_run(store, tmp_path / "whole")
    history = loop.train(model, settings)
    words = ["-m", "tests.killing", str(store.folder), str(tmp_path / "killed"), "cpu", "7"]
    ended = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    again, settings = stage_run(store, tmp_path / "killed")
    assert loop.train(again, settings) == history
    assert all(torch.equal(again.state_dict()[key], tensor) for key, tensor in model.state_dict().items())


def test_captured_prediction_gives_the_same_bits(
    store: Store, tmp_path: Path, recorders: list[TapeRecorder], monkeypatch: pytest.MonkeyPatch
):
    """Also the last batch, which is smaller."""
    monkeypatch.setattr(inference, "CAPTURED_BATCHES", 2)
    model, settings = stage_run(store, tmp_path / "c")
    plain, captured = (
        inference.predict(model, store.test, settings.pixels, batch_size=9, captured=wanted)
        for wanted in (False, True)
    )
    assert (plain == captured).all()
    assert recorders[0].replayed == len(store.test) // 9 - WARM_UP_CALLS


def test_on_a_gpu_the_last_batch_is_filled_up_and_what_fills_it_is_not_counted(
    store: Store, tmp_path: Path, recorders: list[TapeRecorder], monkeypatch: pytest.MonkeyPatch
):
    """So that it is replayed too; a view that is smaller than one batch stays as it is."""
    monkeypatch.setattr(inference, "CAPTURED_BATCHES", 0)
    model, settings = stage_run(store, tmp_path / "c")
    pixels = settings.pixels
    sizes: list[int] = []
    logits = model.logits
    monkeypatch.setattr(model, "logits", lambda images: (sizes.append(len(images)), logits(images))[1])
    plain = inference.predict(model, store.test, pixels, batch_size=9, captured=False)
    assert sizes == [9, 9, 9, 9, 9, 3]
    monkeypatch.setattr(inference, "_is_filled", lambda _on: True)
    sizes.clear()
    filled = inference.predict(model, store.test, pixels, batch_size=9)
    assert set(sizes) == {9}
    assert recorders[-1].replayed == 6 - WARM_UP_CALLS
    torch.testing.assert_close(filled, plain, rtol=1e-5, atol=1e-5)
    sizes.clear()
    inference.predict(model, store.test, pixels, batch_size=1000)
    assert sizes == [len(store.test)]


def test_outputs_outlive_the_next_replay():
    double = Captured(lambda tensor: (2 * tensor,), TapeRecorder(), name="double")
    outputs = [double(torch.full((2,), float(number)))[0] for number in range(6)]
    assert [float(output[0]) for output in outputs] == [0, 2, 4, 6, 8, 10]


def test_where_a_recording_fails_calls_go_on_and_a_line_says_why(capsys: pytest.CaptureFixture[str]):
    double = Captured(lambda tensor: (2 * tensor,), Refusing(), name="SRN main")
    assert [float(double(torch.tensor(float(number)))[0]) for number in range(6)] == [0, 2, 4, 6, 8, 10]
    said = (
        "SRN main: steps are not captured in a CUDA graph: operation not permitted when stream is capturing"
    )
    assert capsys.readouterr().err.count(said) == 1


def test_where_another_process_cannot_record_none_replays(capsys: pytest.CaptureFixture[str]):
    """A replay that exchanges gradients would wait for the others for ever."""
    recorder, recorded = TapeRecorder(), []
    double = Captured(
        lambda tensor: (2 * tensor,),
        recorder,
        name="SRN",
        warm_up_calls=1,
        agreed=lambda ok: bool(recorded.append(ok)),
    )
    assert [float(double(torch.tensor(float(number)))[0]) for number in range(4)] == [0, 2, 4, 6]
    assert (recorded, recorder.replayed, recorder.released) == ([True], 0, True)
    said = "SRN: steps are not captured in a CUDA graph: another process could not record its own"
    assert capsys.readouterr().err.count(said) == 1


def test_an_obstacle_is_said_and_a_cpu_captures_nothing(capsys: pytest.CaptureFixture[str]):
    gpu = torch.device("cuda", 0)
    assert captured_step.recorder(gpu, wanted=True, obstacle="they are compiled", name="SRN") is None
    assert "SRN: steps are not captured in a CUDA graph: they are compiled" in capsys.readouterr().err
    assert captured_step.recorder(gpu, wanted=False, obstacle="they are compiled") is None
    assert captured_step.recorder(torch.device("cpu"), wanted=True) is None
    assert capsys.readouterr().err == ""
