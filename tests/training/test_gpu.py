"""Checks training for a GPU without one: torch's fake tensors have devices and types, but no values.

A step that mixes tensors of two devices, or reads a value, which makes a GPU wait, fails here.
"""

import doctest
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from bench.base import signals
from bench.training import batches, captured_step, device, loop
from bench.training.batches import InputTransform
from bench.training.loop import StageRun
from bench.training.stage_cache import StageContext
from bench.training.stages import Stage
from tests.methods.test_contract import METHODS, build, learn, state, trainings

GPU = torch.device("cuda", 0)
STEPS = 3


class DeviceCopier:
    """Replaces the real DeviceCopier: its tensors arrive on the pretended GPU."""

    def __init__(self, on: torch.device) -> None:
        self.on = on

    def send(self, *arrays: Any) -> list[Tensor]:
        return [torch.from_numpy(array) for array in arrays]

    def receive(self, sent: list[Tensor]) -> list[Tensor]:
        return [torch.empty(tensor.shape, dtype=tensor.dtype, device=self.on) for tensor in sent]


@contextmanager
def reduced(on: torch.device, dtype: torch.dtype | None = None) -> Iterator[None]:
    """torch's autocast turns itself off where there is no GPU; this is what it would do."""
    assert on.type == "cuda"
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", dtype or device.precision(on))
    try:
        yield
    finally:
        torch.set_autocast_enabled("cuda", False)
        torch.clear_autocast_cache()


def backward(loss: Tensor) -> None:
    """A gradient for all that the loss depends on; torch's own needs a GPU."""
    remaining, seen = [loss.grad_fn], set()
    while remaining:
        node: Any = remaining.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        remaining += [next_node for next_node, _ in node.next_functions]
        if hasattr(node, "variable"):
            node.variable.grad = torch.empty_like(node.variable)


def update(*given: list[Tensor], found_inf: Tensor, lr: Tensor, **_how: Any) -> None:
    """The optimizer's update, of which torch has no fake: all it is given is on the GPU, in float32."""
    tensors = [*chain(*given), found_inf, lr]
    assert {(tensor.device, tensor.dtype) for tensor in tensors} == {(GPU, torch.float32)}


@contextmanager
def pretended() -> Iterator[None]:
    """Tensors have no values, and there seems to be a GPU."""
    batches._steps.cache_clear()
    with pytest.MonkeyPatch.context() as changes, FakeTensorMode():
        changes.setattr(batches, "DeviceCopier", DeviceCopier)
        changes.setattr(device, "autocast", reduced)
        changes.setattr(captured_step, "CudaRecorder", lambda _device: None)
        changes.setattr(Tensor, "backward", backward)
        for name in ("_fused_sgd_", "_fused_adam_", "_fused_adamw_"):
            changes.setattr(torch, name, update)
        yield
    batches._steps.cache_clear()


def move(model: nn.Module) -> None:
    """All that the model registered is on the GPU from now on; what it keeps beside that is not."""
    for module in model.modules():
        for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
            if tensor is not None:
                on_gpu = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=GPU)
                if name in module._parameters:
                    module._parameters[name] = nn.Parameter(on_gpu)
                else:
                    module._buffers[name] = on_gpu


def stage_run(stage: Stage, model: Any, context: StageContext) -> StageRun:
    """The stage, fed with crops and jitter, for a few steps of an epoch that is longer."""
    hard = replace(stage.augmentation, crops=(256, 128), mirror=True, jitter=0.3)
    pixels = InputTransform(model.trunk.mean, model.trunk.std, GPU)

    def feed(view: Any, chosen: list[Any], **settings: Any) -> Iterator[Any]:
        yield from batches.training(view, chosen[:STEPS], **settings)

    harder = replace(stage, augmentation=hard)
    return StageRun(harder, context.store, 0, pixels, context.folder / "none", "test", feed=feed)


def evaluated(model: Any, context: StageContext) -> Tensor:
    """The logits of the first test images."""
    pixels = InputTransform(model.trunk.mean, model.trunk.std, GPU)
    batch = next(iter(batches.evaluation(context.store.test, batch_size=4, pixels=pixels)))
    with torch.no_grad(), device.autocast(GPU):
        logits_BC: Tensor = model.eval().logits(batch.images_BCHW)
    return logits_BC


@pytest.mark.parametrize("name", METHODS)
def test_no_step_mixes_devices_or_waits_for_a_value(name: str, context: StageContext):
    """Of training, from uint8 pixels to the optimizer's update, and of evaluation."""
    model, _ = learn(name, context)  # learned: it then has all tensors that it predicts with
    _, method_stages = build(name, context)
    with pretended(), signals.Stop(again=True) as stop:
        move(model)
        for stage in trainings(method_stages):
            training = loop._StageTrainer(model, stage_run(stage, model, context), stop)
            model.zero_grad()
            training.train_epoch()
            assert training.position.step == STEPS
            for parameter in model.parameters():
                assert parameter.dtype == torch.float32
                assert (parameter.grad is not None) == parameter.requires_grad, stage.name
        logits_BC = evaluated(model, context)
        assert (logits_BC.shape, logits_BC.device) == ((4, 10), GPU)


@pytest.mark.parametrize("name", METHODS)
def test_in_a_gpus_precision_every_stage_learns_what_it_learns_in_float32(
    name: str, context: StageContext, monkeypatch: pytest.MonkeyPatch
):
    """On the CPU, which has bfloat16 too: the first epoch's loss is the same within 1 %.

    ML-GCN at a tenth of its rate: 0.5 for a loss that is a mean magnifies what rounding changes.
    """
    changes: dict[str, Any] = {"lr": 0.05} if name == "ml_gcn" else {}
    losses = []
    for precision in (torch.float32, torch.bfloat16):
        monkeypatch.setattr(device, "precision", lambda _on, precision=precision: precision)
        model, facts = learn(name, context, epochs=1, **changes)
        assert all(tensor.dtype != torch.bfloat16 for tensor in state(model).values())
        losses.append({stage["name"]: stage["epochs"][0]["loss"] for stage in facts if stage["epochs"]})
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.01)


def test_a_gpu_is_given_enough_at_once():
    assert doctest.testmod(device) == (0, 1)


def test_a_step_that_waits_for_a_value_is_found(context: StageContext):
    """Or one with a tensor that was left on the CPU: the test above can fail."""
    model, method_stages = build("resnet101", context)
    (stage,) = trainings(method_stages)

    def waiting(model: Any, images_BCHW: Tensor, labels_BC: Tensor) -> tuple[Tensor, Tensor]:
        loss, logits_BC = stage.loss(model, images_BCHW, labels_BC)
        return loss * float(loss), logits_BC

    def left(model: Any, images_BCHW: Tensor, labels_BC: Tensor) -> tuple[Tensor, Tensor]:
        loss, logits_BC = stage.loss(model, images_BCHW, labels_BC)
        return loss * torch.ones(1), logits_BC

    for loss, fault in ((waiting, "_local_scalar_dense"), (left, "device")):
        with pretended(), signals.Stop(again=True) as stop:
            move(model)
            wrong = stage_run(replace(stage, loss=loss), model, context)
            with pytest.raises(Exception, match=fault):
                loop._StageTrainer(model, wrong, stop).train_epoch()


def test_kernels_are_searched_for_unless_many_convolutions_are_depthwise(monkeypatch: pytest.MonkeyPatch):
    """To search for those of EfficientNet-lite0 took longer than its whole training."""
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    for number, is_searched in ((0, True), (1, True), (20, False)):
        depthwise = (nn.Conv2d(8, 8, 3, groups=8) for _ in range(number))
        device.search_kernels(nn.Sequential(nn.Conv2d(3, 8, 3), *depthwise), GPU)
        assert torch.backends.cudnn.benchmark == is_searched
